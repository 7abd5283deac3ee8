//! Errors of decoding a command.

use crate::Level;

/// The first byte of every command. Commands from before the feature levels were reset start with 1 or 2.
pub(crate) const MAGIC: u8 = b'Q';

/// Why bytes are not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("it starts with {0:#04x}, but a command starts with {MAGIC:#04x}")]
    Magic(u8),
    /// The level does not have this kind of command.
    #[error("feature level {level} has no command of kind {kind}")]
    Kind {
        /// The level in its header.
        level: Level,
        /// The kind in its header.
        kind: u8,
    },
    /// The bytes end early.
    #[error("the command ends early")]
    Truncated,
    /// Bytes are left over.
    #[error("{0} bytes follow the command")]
    Trailing(usize),
    /// More packets, or larger ones, than a batch can hold.
    #[error("{count} packets in {size} bytes are more than a batch can hold")]
    BatchSize {
        count: usize,
        /// Their size in bytes.
        size: usize,
    },
    #[error("a text in it is not UTF-8")]
    Text,
    /// A name or the data of a record cannot be read.
    #[error("a name or a record in it is unreadable")]
    Record,
    /// A condition cannot be read, or its packet is not in the batch.
    #[error("a condition in it is unreadable")]
    Condition,
    /// A change of who may publish cannot be read.
    #[error("a change of who may publish is unreadable")]
    Publishing,
    /// A payload has an impossible size.
    #[error("a packet of {0} bytes is impossible")]
    PayloadSize(usize),
}

impl From<bytes::TryGetError> for CommandError {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Truncated
    }
}
