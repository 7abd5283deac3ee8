//! Why nodes do not join.

use crate::{JoinRefusal, chain};

use crate::dial_error::DialError;

/// Why a node has not joined. What tells of members names each of them, with what came of asking it.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is of no use.
    #[error("the token names no member: have another one made, by `quorate member add`")]
    NoMember,
    /// The cluster has said no.
    #[error("the cluster does not take this node in")]
    Refused(#[source] JoinRefusal),
    /// The key is that of a node that lost its data.
    #[error(
        "this node's key is that of a member whose log was not empty: it must not come back without \
         what it has voted for. Start with a new data directory, which gets a new key, and then run \
         `quorate member replace` with the old key and the new"
    )]
    Forgotten,
    /// Every member turned the node away without a word.
    #[error(
        "no member takes the token: it is unknown there, has expired or was used, or those members \
         are no longer of the cluster. Have another one made, by `quorate member add` ({0})"
    )]
    NotTaken(String),
    /// A member knows the token, and nobody could register the node now.
    #[error("the cluster cannot register this node now, it has to be asked again ({0})")]
    Unavailable(String),
    /// A member could not be reached, and no other took the token.
    #[error(
        "no member that the token names lets this node in: see that they run, and that this machine \
         reaches them ({0})"
    )]
    Unreachable(String),
}

/// What came of asking one member, the more promising the greater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It turned the node away without a word.
    NotTaken(String),
    /// It was not reached, or does not get on with this node.
    Unreachable(String),
    /// It knows the token, or is slow.
    Unavailable(String),
}

impl Verdict {
    pub(crate) fn of(error: &DialError) -> Self {
        match error {
            DialError::NotAdmitted => Self::NotTaken("it knows neither node nor token".to_owned()),
            DialError::TimedOut => Self::Unavailable(chain(error)),
            _ => Self::Unreachable(chain(error)),
        }
    }

    fn reason(&self) -> &str {
        let (Self::NotTaken(reason) | Self::Unreachable(reason) | Self::Unavailable(reason)) = self;
        reason
    }
}

impl JoinError {
    /// What is to be said when these members were asked and none let the node in.
    pub(crate) fn of(verdicts: Vec<(String, Verdict)>) -> Self {
        let any = |wanted: fn(&Verdict) -> bool| verdicts.iter().any(|(_, it)| wanted(it));
        let kind = if verdicts.is_empty() {
            return Self::NoMember;
        } else if any(|verdict| matches!(verdict, Verdict::Unavailable(_))) {
            Self::Unavailable
        } else if any(|verdict| matches!(verdict, Verdict::Unreachable(_))) {
            Self::Unreachable
        } else {
            Self::NotTaken
        };
        let reasons = verdicts
            .iter()
            .map(|(member, verdict)| format!("{member}: {}", verdict.reason()));
        kind(reasons.collect::<Vec<_>>().join("; "))
    }

    /// Whether it may pass by itself, so that it is worth asking again. A token that no member takes
    /// may be too new for those that were asked: a few more rounds tell.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable(_))
    }
}
