//! What changes, as it is applied.

use futures_util::stream::BoxStream;
use quorate_api::Changes;
use quorate_packet::PublicKey;
use quorate_state::LogIndex;

/// Tells who waits, and who asks now and then, what has changed in the local replica.
///
/// A change of a packet is one of its bytes: a refresh with identical ones is none.
pub trait Watcher: Send + Sync + 'static {
    /// Watches a key from now on, until the watch is dropped. To miss nothing, begin to watch, and
    /// read only then. What watches cost is bounded by whoever asks for them.
    fn watch(&self, key: &PublicKey) -> Watch;

    /// What has changed behind the entry `since`: whole entries, as many as have `count_max` changes
    /// together, and at least one if there is one.
    ///
    /// Who has read all packets after it asked for the index of the last entry applied, and follows
    /// [`Changes::next`] from there, knows of every change since. Entries have one index on all nodes,
    /// so that it may go on at another one.
    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost>;
}

/// An item each time that the packet of the key may have changed, as soon as it can be read. Changes
/// that nobody has waited for are one item. It ends when the node does not watch any more, since it
/// stops or has not been opened yet.
pub type Watch = BoxStream<'static, ()>;

/// Why changes cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes so old are not known here any more: list all packets, and go on from there")]
pub struct ChangesLost;
