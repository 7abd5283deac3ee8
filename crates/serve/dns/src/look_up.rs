//! Queries for keys that the cluster does not store, but the DHT may.
//!
//! The thread that reads a query never waits. If only the DHT can tell, it gets the key instead of a
//! response, and the query is answered after the lookup: a packet, or that the DHT has none, or
//! SERVFAIL. A datagram whose source may be forged starts no lookup: it is answered truncated, so that
//! the client repeats the query over TCP.

use std::sync::Arc;

use quorate_packet::PublicKey;
use quorate_replica::{DhtAnswer, IndexedPacket};

use crate::{
    DnsClient, Responder, ResponseSummary, answer_error::AnswerError, responder::Patience,
};

impl Responder {
    /// Writes the response like [`respond`](Self::respond), after a lookup if it needs one.
    pub async fn respond_in_time(
        &self,
        message: &[u8],
        client: &DnsClient,
        out: &mut Vec<u8>,
    ) -> Option<ResponseSummary> {
        match self.try_respond(message, client, out) {
            Ok(responded) => responded,
            Err(key) => {
                self.look_up(&key, client).await;
                self.respond(message, client, out)
            }
        }
    }

    /// Waits until the DHT has answered, or the deadline has passed.
    pub(crate) async fn look_up(&self, key: &PublicKey, client: &DnsClient) {
        if let Some(dht) = &self.dht {
            let _ = dht.bridge.lookup(key, client.address, dht.deadline).await;
        }
    }

    /// The packet that the DHT has of a key.
    pub(crate) fn known_in_dht(
        &self,
        key: &PublicKey,
        patience: Patience,
    ) -> Result<Option<Arc<IndexedPacket>>, AnswerError> {
        let Some(dht) = &self.dht else {
            return Ok(None);
        };
        let known = match patience {
            // A lookup that runs may find a newer one.
            Patience::MayWait => dht.bridge.known(key),
            Patience::AtOnce => dht.bridge.known_so_far(key),
        };
        match known {
            Some(DhtAnswer::Found(found)) => Ok(Some(found)),
            Some(DhtAnswer::Absent) => Ok(None),
            _ => Err(AnswerError::NotLookedUp(*key)),
        }
    }
}

#[cfg(test)]
#[path = "look_up_tests.rs"]
mod tests;
