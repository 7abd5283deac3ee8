//! Extended DNS errors (RFC 8914): the reason of a response code.

/// The extended errors that this server sends, by their numbers (RFC 8914, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendedError {
    /// An error without a number of its own.
    Other = 0,
    /// The node has not caught up since it started. Other servers may have the answer.
    NotReady = 14,
    /// The operator does not allow it.
    Prohibited = 18,
    /// No zone of this server has the name.
    NotAuthoritative = 20,
    /// This server does not support the opcode.
    NotSupported = 21,
    /// The DHT may have a packet of the key, but did not answer in time.
    Unreachable = 22,
    /// The stored packet of the key cannot be decoded.
    InvalidData = 24,
}
