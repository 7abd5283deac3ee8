//! The packets of a node in memory, **ready to be served: a question finds its packet by one look into
//! one map**, parses nothing, and waits for no disk and for no writer but one that moves a pointer.
//!
//! | piece | what it is | who uses it |
//! |---|---|---|
//! | [`Index`] | the packets by key | reads take from it; the store changes it |
//! | [`Prepared`] | all packets of a start or a snapshot, to be put in place of those that are there | the store |
//! | [`ChangeFeed`] | what has changed in them, for those who wait for it | whoever applies entries feeds it |
//!
//! # What must hold
//!
//! - Each packet is held once, here: the store keeps nothing beside it that could differ.
//! - A packet is made ready when it is put, before anybody can read it: so no reader sees a packet
//!   that is not the one last put, and no cache stands between.
//! - Whatever one reader sees, one after the other, was there in this order, across keys too:
//!   [`Index::install`] changes all packets at once.
//!
//! # Layout
//!
//! A map is divided by a hash into so many that one that grows, under its lock, moves a thousand
//! pointers of a million. A map holds nothing but these: the key stands with the packet, where a reader looks
//! next anyway. The hash is keyed by chance, for keys are made by strangers.

mod feed;
mod packets_index;
mod progress;
mod ring;
mod watches;

pub use feed::ChangeFeed;
pub use packets_index::{Index, Prepared};
