//! Response codes.

use quorate_zone::AnswerKind;
use strum::{IntoStaticStr, VariantArray};

/// The response codes that this server sends, by their numbers (RFC 6895, section 2.3). The names
/// are the label values in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    YxDomain = 6,
    BadVers = 16,
    BadCookie = 23,
}

impl From<AnswerKind> for Rcode {
    fn from(kind: AnswerKind) -> Self {
        match kind {
            AnswerKind::Records | AnswerKind::NoData | AnswerKind::Referral => Self::NoError,
            AnswerKind::NxDomain => Self::NxDomain,
            AnswerKind::YxDomain => Self::YxDomain,
            AnswerKind::Refused => Self::Refused,
        }
    }
}
