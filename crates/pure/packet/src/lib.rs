//! Public keys and signed packets: **parsing is verification**.
//!
//! A [`SignedPacket`] in hand is proof that its key signed its bytes: the only way to make one from
//! bytes of a stranger is [`SignedPacket::parse`]. Nothing here does I/O, reads a clock or draws
//! randomness, and nothing here decides whether a packet is *wanted*: that is the state machine's
//! work (`quorate-state`).
//!
//! | piece | what it is |
//! |---|---|
//! | [`PublicKey`] | an Ed25519 public key, written in z-base-32 |
//! | [`SignedPacket`] | key, and the payload of pkarr's relay protocol, verified |
//! | [`Timestamp`] | microseconds since the Unix epoch, chosen by the signer |
//! | [`label_text`], [`quoted`] | bytes as RFC 1035 writes them |
//! | [`message`] | the screen that every DNS message passes before a parser sees it |
//!
//! Sources: `design/relays.md` of pubky/pkarr, BEP 44 (mutable items), RFC 8032, RFC 1035.

#![warn(missing_docs)]

mod key;
pub mod message;
mod signed;
mod text;
mod timestamp;

pub use key::{InvalidKeyError, KeyError, PUBLIC_KEY_SIZE, PublicKey, Z32_LEN};
pub use signed::{DNS_SIZE_MAX, PAYLOAD_SIZE_MAX, PAYLOAD_SIZE_MIN, PacketError, SignedPacket};
pub use text::{label_text, quoted, txt_text};
pub use timestamp::Timestamp;
