//! Public keys and signed packets: **parsing is verification**.
//! A [`SignedPacket`] proves that its key signed its bytes: the only way to create one from a stranger's
//! bytes is [`SignedPacket::parse`]. Nothing here does I/O, reads a clock or uses randomness. Whether a
//! packet is *accepted* is decided by the state machine (`quorate-state`).
//!
//! | piece | what it is |
//! |---|---|
//! | [`PublicKey`] | an Ed25519 public key, written in z-base-32 |
//! | [`SignedPacket`] | a key and a verified payload of pkarr's relay protocol |
//! | [`Timestamp`] | microseconds since the Unix epoch, chosen by the signer |
//! | [`label_text`], [`quoted`] | bytes in the text format of RFC 1035 |
//! | [`message`] | the check of every DNS message before a parser reads it |
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
