//! Extended errors (RFC 8914): why a response code was given.

/// The reasons that this server gives, by their numbers (RFC 8914, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendedError {
    /// Something failed that has no number of its own.
    Other = 0,
    /// The node has not caught up since it started. Other servers may know.
    NotReady = 14,
    /// The operator does not allow it.
    Prohibited = 18,
    /// No zone of this server has the name.
    NotAuthoritative = 20,
    /// The opcode is not one that this server knows.
    NotSupported = 21,
    /// What the key published cannot be read any more.
    InvalidData = 24,
}
