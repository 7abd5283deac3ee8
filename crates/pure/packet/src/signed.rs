//! Signed packets in the format of pkarr's relay payload.

use std::{cmp::Ordering, fmt, io::Write};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bytes::Bytes;
use hickory_proto::op::Message;

use crate::{InvalidKeyError, PublicKey, Timestamp, message};

/// Size of an Ed25519 signature, in bytes.
const SIGNATURE_SIZE: usize = 64;

/// Size of the big-endian timestamp, in bytes.
const TIMESTAMP_SIZE: usize = 8;

/// The largest DNS packet, in bytes: the limit of BEP 44 on a mutable item's value.
pub const DNS_SIZE_MAX: usize = 1000;

/// The smallest payload, in bytes: signature and timestamp.
pub const PAYLOAD_SIZE_MIN: usize = SIGNATURE_SIZE + TIMESTAMP_SIZE;

/// The largest payload, in bytes.
pub const PAYLOAD_SIZE_MAX: usize = PAYLOAD_SIZE_MIN + DNS_SIZE_MAX;

/// A DNS packet and the key that signed it.
///
/// The payload is that of pkarr's relay protocol, kept byte for byte: signature (64 bytes),
/// timestamp (8, big-endian), DNS packet (at most [`DNS_SIZE_MAX`]). Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPacket {
    key: PublicKey,
    payload: Bytes,
}

impl SignedPacket {
    /// Parses and verifies a payload that came from outside.
    /// Verification is strict (RFC 8032, rejecting small-order keys and points), like that of iroh, so that
    /// every client accepts what a node accepts. It costs tens of microseconds, so callers do it once, where
    /// the packet enters.
    pub fn parse(key: PublicKey, payload: Bytes) -> Result<Self, PacketError> {
        match payload.len() {
            size if size < PAYLOAD_SIZE_MIN => return Err(PacketError::TooShort(size)),
            size if size > PAYLOAD_SIZE_MAX => return Err(PacketError::TooLong(size)),
            _ => {}
        }
        let packet = Self { key, payload };
        packet.check_dns()?;
        packet.check_signature()?;
        Ok(packet)
    }

    /// Rebuilds a packet that was parsed before, from our own log, store or a peer.
    /// Returns `None` if the payload has an impossible size.
    pub fn assume_verified(key: PublicKey, payload: Bytes) -> Option<Self> {
        (PAYLOAD_SIZE_MIN..=PAYLOAD_SIZE_MAX)
            .contains(&payload.len())
            .then_some(Self { key, payload })
    }

    /// The signer.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The signer's timestamp.
    pub fn timestamp(&self) -> Timestamp {
        let mut bytes = [0; TIMESTAMP_SIZE];
        bytes.copy_from_slice(&self.payload[SIGNATURE_SIZE..PAYLOAD_SIZE_MIN]);
        Timestamp::from_micros(u64::from_be_bytes(bytes))
    }

    /// The DNS packet as it was signed.
    pub fn dns(&self) -> &[u8] {
        &self.payload[PAYLOAD_SIZE_MIN..]
    }

    /// The payload, as a relay receives and sends it.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Compares this packet with another one of the same key: `Greater` replaces it, `Equal` has the same
    /// contents. The larger timestamp wins, then the larger DNS packet (pkarr, `more_recent_than`).
    pub fn recency(&self, other: &Self) -> Ordering {
        debug_assert_eq!(self.key, other.key);
        (self.timestamp(), self.dns()).cmp(&(other.timestamp(), other.dns()))
    }

    fn check_dns(&self) -> Result<(), PacketError> {
        if !message::counts_fit(self.dns()) {
            return Err(PacketError::Dns(
                "it is shorter than its header claims".into(),
            ));
        }
        match Message::from_vec(self.dns()) {
            Ok(_) => Ok(()),
            Err(error) => Err(PacketError::Dns(error.to_string())),
        }
    }

    fn check_signature(&self) -> Result<(), PacketError> {
        let (signature, _) = self.payload.split_at(SIGNATURE_SIZE);
        let nonce = signature.first_chunk().expect("it begins with a point");
        if self.key.has_small_order() {
            return Err(InvalidKeyError::Weak(self.key).into());
        }
        let verified = UnparsedPublicKey::new(&ED25519, self.key.as_bytes())
            .verify(&signable(self.timestamp(), self.dns()), signature);
        match verified {
            Ok(()) if !PublicKey::from_bytes(*nonce).has_small_order() => Ok(()),
            _ => {
                self.key.validate()?;
                Err(PacketError::Signature(self.key))
            }
        }
    }
}

impl fmt::Debug for SignedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedPacket")
            .field("key", &self.key)
            .field("timestamp", &self.timestamp())
            .field("dns_size", &self.dns().len())
            .finish()
    }
}

/// The signed bytes: `seq` and `v` of BEP 44 in bencoding, without salt.
fn signable(timestamp: Timestamp, dns: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DNS_SIZE_MAX + 48);
    write!(bytes, "3:seqi{timestamp}e1:v{}:", dns.len()).expect("a Vec accepts every write");
    bytes.extend_from_slice(dns);
    bytes
}

/// Why a payload is not a signed packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// It is too short for signature and timestamp.
    #[error("the payload has {0} bytes, a signature and a timestamp alone take {PAYLOAD_SIZE_MIN}")]
    TooShort(usize),
    /// It is longer than with a DNS packet of [`DNS_SIZE_MAX`] bytes.
    #[error("the payload has {0} bytes, the limit is {PAYLOAD_SIZE_MAX}")]
    TooLong(usize),
    /// The DNS packet cannot be decoded.
    #[error("the DNS packet cannot be decoded: {0}")]
    Dns(String),
    /// The key cannot have exactly one owner.
    #[error(transparent)]
    Key(#[from] InvalidKeyError),
    /// The signature is not that of the key over timestamp and DNS packet.
    #[error("the signature is not that of {0} over this timestamp and DNS packet")]
    Signature(PublicKey),
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
