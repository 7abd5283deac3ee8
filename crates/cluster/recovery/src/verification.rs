//! Signatures of packets that nobody has verified since they were written.

use std::{num::NonZero, thread};

use quorate_packet::SignedPacket;
use quorate_state::StoredPacket;

/// Whether the signature of a packet is valid.
pub(crate) fn is_valid(packet: &SignedPacket) -> bool {
    SignedPacket::parse(*packet.key(), packet.payload().clone()).is_ok()
}

/// The packets with a valid signature, verified on all cores. Counts the others.
pub(crate) fn retain_valid(
    mut packets: Vec<StoredPacket>,
    invalid_count: &mut u64,
) -> Vec<StoredPacket> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = packets.len().div_ceil(cores).max(1);
    let verdicts: Vec<Vec<bool>> = thread::scope(|scope| {
        let check = |part: &[StoredPacket]| -> Vec<bool> {
            part.iter().map(|stored| is_valid(&stored.packet)).collect()
        };
        let parts = packets.chunks(part);
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || check(part))).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.map(|verified| verified.expect("verification does not panic"))
            .collect()
    });
    let mut verdicts = verdicts.into_iter().flatten();
    let count = packets.len();
    packets.retain(|_| verdicts.next() == Some(true));
    *invalid_count += (count - packets.len()) as u64;
    packets
}
