//! Why a query has no answer.

use quorate_packet::PublicKey;
use quorate_replica::ReadError;
use quorate_zone::UndecodableError;

use crate::extended_error::ExtendedError;

/// Why there is no answer. Clients get SERVFAIL for each: resolvers would believe and cache a
/// negative answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the replica cannot be read")]
    Read(#[from] ReadError),
    #[error("starting: building the zones")]
    ZonesNotBuilt,
    #[error("the DHT has not answered")]
    NotLookedUp(PublicKey),
    #[error("the stored packet cannot be served")]
    Undecodable(#[from] UndecodableError),
}

impl AnswerError {
    /// How a client is told.
    pub(crate) fn extended_error(&self) -> ExtendedError {
        match self {
            Self::Read(ReadError::NotReady(_)) | Self::ZonesNotBuilt => ExtendedError::NotReady,
            Self::Read(ReadError::Failed(_)) => ExtendedError::Other,
            Self::NotLookedUp(_) => ExtendedError::Unreachable,
            Self::Undecodable(_) => ExtendedError::InvalidData,
        }
    }
}
