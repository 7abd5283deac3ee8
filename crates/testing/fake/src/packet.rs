//! Packets to store.

use std::time::{SystemTime, UNIX_EPOCH};

use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
use quorate_replica::StoredPacket;
use quorate_state::UnixMillis;

/// A packet that the `pkarr` crate signs with the secret key `[seed; 32]`: one TXT record at
/// `_iroh`, with this text and TTL in seconds.
pub fn packet(seed: u8, micros: u64, txt: &str, ttl_secs: u32) -> SignedPacket {
    let signer = pkarr::Keypair::from_secret_key(&[seed; 32]);
    let name = "_iroh".try_into().expect("it is a name");
    let txt = txt.try_into().expect("it is short enough for a TXT record");
    let signed = pkarr::SignedPacket::builder()
        .txt(name, txt, ttl_secs)
        .timestamp(micros.into())
        .sign(&signer)
        .expect("one record is small enough for a packet");
    let key = signer.public_key().to_z32();
    let key = key.parse().expect("pkarr writes keys as we do");
    SignedPacket::parse(key, signed.to_relay_payload()).expect("pkarr signs what we verify")
}

/// An unsigned packet with this DNS message, with timestamp 0 and received at 0, as a damaged store
/// could return it.
pub fn unverified(key: PublicKey, dns: &[u8]) -> StoredPacket {
    let payload = [&[0; PAYLOAD_SIZE_MIN], dns].concat();
    StoredPacket {
        received: UnixMillis::default(),
        packet: SignedPacket::assume_verified(key, payload.into())
            .expect("the DNS message is small enough"),
    }
}

/// The packet as the cluster would store it if it received it now.
pub fn received_now(packet: SignedPacket) -> StoredPacket {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.expect("the clock is set").as_millis();
    StoredPacket {
        received: UnixMillis(u64::try_from(millis).expect("it is not the far future")),
        packet,
    }
}
