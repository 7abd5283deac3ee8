//! What limits are asked of a request, and with what.

use std::{cmp::Ordering, net::IpAddr};

use quorate_limit::{Change, Refusal};
use quorate_packet::{PublicKey, SignedPacket};

use crate::relay::Relay;

impl Relay {
    /// Whether the client may PUT a packet of this key, before any more is known of it.
    pub(crate) fn check_put(&self, client: IpAddr, key: &PublicKey) -> Result<(), Refusal> {
        let change = match self.replica.packet(key) {
            Ok(None) => Change::NewKey,
            Ok(Some(_)) => Change::Key(key.as_bytes()),
            Err(_) => Change::Nothing,
        };
        self.config.rules.limits.check_put(client, change)
    }

    /// Whether the client may have this verified packet stored. Bytes that are stored already cost
    /// nothing more: that is what makes a refresh cheap.
    pub(crate) fn check_change(
        &self,
        client: IpAddr,
        packet: &SignedPacket,
    ) -> Result<(), Refusal> {
        let change = match self.replica.packet(packet.key()) {
            Ok(None) => Change::NewKey,
            Ok(Some(stored)) => {
                let stored = stored.compiled.packet();
                match packet.recency(stored) {
                    Ordering::Greater => Change::Key(packet.key().as_bytes()),
                    _ if packet == stored => return Ok(()),
                    _ => Change::Nothing,
                }
            }
            Err(_) => Change::Nothing,
        };
        self.config.rules.limits.check_change(client, change)
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
