//! Publishes every key once, before something is measured.

use anyhow::ensure;
use quorate_ctl::RelayUrl;
use quorate_tests::Packet;

use crate::{
    cluster::FILL_CONNECTIONS,
    load::{Bounds, Outcome, connections::drive, requests::Requests},
    packets::Keys,
};

/// Packets signed at a time: 40 MB.
const FILL_PACKETS: usize = 100_000;

/// How long writing them may take, in seconds: ten times as long as expected.
const FILL_SECS: u64 = 120;

/// Publishes every key once at these relays.
pub(crate) async fn fill(keys: &Keys, relays: &[RelayUrl]) -> anyhow::Result<()> {
    fill_by(keys, async |packets, bounds| {
        let puts = Requests::puts(packets);
        drive(puts, relays.to_vec(), FILL_CONNECTIONS, bounds).await
    })
    .await
}

/// Publishes every key once by `put`.
pub(crate) async fn fill_by(
    keys: &Keys,
    put: impl AsyncFn(Vec<Packet>, Bounds) -> anyhow::Result<Outcome>,
) -> anyhow::Result<()> {
    let key_count = keys.names().len();
    for start in (0..key_count).step_by(FILL_PACKETS) {
        let packets = keys.sign_range(start..key_count.min(start + FILL_PACKETS));
        let packet_count = u64::try_from(packets.len())?;
        let bounds = Bounds {
            secs: FILL_SECS,
            count: None,
        };
        let outcome = put(packets, bounds).await?;
        let ok_count = outcome.tally.ok_count();
        ensure!(
            ok_count == packet_count,
            "{ok_count} of {packet_count} keys were published in {FILL_SECS} s{}",
            match outcome.tally.first_error {
                Some(error) => format!("; first error: {error}"),
                None => String::new(),
            }
        );
    }
    Ok(())
}
