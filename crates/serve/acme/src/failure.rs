//! Why an attempt to get a certificate failed.

use std::{error::Error, fmt::Write, time::Duration};

use quorate_replica::SecretError;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The longest reason that is stored and logged, in bytes. The authority writes a part of it.
const TEXT_SIZE_MAX: usize = 1000;

/// What failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, VariantArray, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum FailureKind {
    /// The authority cannot be reached, is slow, or answers nonsense.
    Directory,
    /// There is no account, or it was refused.
    Account,
    /// The authority wants fewer requests.
    RateLimited,
    /// The authority did not accept the proof that a name is ours.
    Challenge,
    /// The order was refused, became invalid, or did not end in time.
    Order,
    /// The issued certificate is not the one that was ordered.
    Certificate,
    /// The records could not be set, or are not served.
    Zone,
    /// The settings do not fit together, or a file cannot be read.
    Config,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
    /// How long the authority wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the pending order is of no use any more.
    pub(crate) ends_order: bool,
    /// Whether the account does not exist any more.
    pub(crate) ends_account: bool,
    /// Whether the authority may have deactivated the account: it says "unauthorized", which has other causes too.
    pub(crate) doubts_account: bool,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if text.len() > TEXT_SIZE_MAX {
            text.truncate(text.floor_char_boundary(TEXT_SIZE_MAX));
            text.push('…');
        }
        // A line of the log is one line.
        let text = text.replace(|c: char| c.is_control(), " ");
        Self {
            kind,
            text,
            retry_after: None,
            ends_order: false,
            ends_account: false,
            doubts_account: false,
        }
    }

    /// The same, of a request that every account may make.
    pub(crate) fn of_account(self) -> Self {
        match self.doubts_account {
            true => Self {
                kind: FailureKind::Account,
                ends_account: true,
                ..self
            },
            false => self,
        }
    }

    /// The same, and the pending order is of no use any more.
    pub(crate) fn ending_order(self) -> Self {
        Self {
            ends_order: true,
            ..self
        }
    }
}

/// Why an attempt stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// This node no longer leads, or another one has changed a secret: the next look decides. It is no failure.
    #[error("the state of the cluster changed")]
    Changed(#[source] SecretError),
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<SecretError> for Stop {
    fn from(error: SecretError) -> Self {
        Self::Changed(error)
    }
}

/// An error with its sources, as one text.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            // Writing to a string never fails.
            let _ = write!(text, ": {cause}");
        }
        source = error.source();
    }
    text
}
