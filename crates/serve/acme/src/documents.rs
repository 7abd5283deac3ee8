//! What is stored as replicated secrets, in JSON. A node of another version ignores fields that it does not know.

use std::fmt;

use quorate_replica::{LogIndex, Renewal, SecretKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strum::IntoStaticStr;

use crate::{config::KeyType, failure::FailureKind};

/// A document and where it is stored.
pub(crate) trait Document: Serialize + DeserializeOwned {
    const KIND: SecretKind;
}

/// The account at the authority.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AccountDocument {
    pub(crate) directory: String,
    #[serde(default)]
    pub(crate) contact: Vec<String>,
    #[serde(default)]
    pub(crate) eab_key_id: String,
    /// A key, in PKCS #8 and base64url, with which an account is about to be created. While it is set, there are no
    /// credentials.
    #[serde(default)]
    pub(crate) new_key: Option<String>,
    /// Those of instant-acme: where the account is, and its key.
    pub(crate) credentials: serde_json::Value,
    /// Whether the authority does not know it any more.
    #[serde(default)]
    pub(crate) is_gone: bool,
    /// An account whose key others may know, and which must be deactivated.
    #[serde(default)]
    pub(crate) retired: Option<serde_json::Value>,
}

/// The pending order, what was tried, and what remains to be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OrderDocument {
    pub(crate) pending: Option<PendingOrder>,
    /// Records that were set, or are about to be, and must be removed.
    pub(crate) records: Vec<ChallengeRecord>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) attempts: Attempts,
}

/// An order at the authority.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingOrder {
    pub(crate) url: String,
    pub(crate) order_for: Wanted,
    /// The key of its certificate, in PEM.
    pub(crate) key_pem: String,
    pub(crate) step: Step,
    pub(crate) started_ms: u64,
}

/// What a certificate is wanted for. Another one is ordered when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    pub(crate) directory: String,
    /// Sorted.
    pub(crate) names: Vec<String>,
    pub(crate) profile: String,
    pub(crate) key_type: KeyType,
}

/// The last step of an order that is done.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Step {
    Created,
    RecordsSet,
    ChallengesReady,
    Finalized,
}

/// TXT records that answer challenges at one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChallengeRecord {
    pub(crate) zone: String,
    pub(crate) owner: String,
    pub(crate) values: Vec<String>,
}

/// A certificate whose key others may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revocation {
    /// The certificate alone, in PEM.
    pub(crate) certificate: String,
    pub(crate) directory: String,
    pub(crate) not_after_ms: u64,
    #[serde(default)]
    pub(crate) failure_count: u32,
    #[serde(default)]
    pub(crate) next_attempt_ms: u64,
}

/// What was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attempts {
    pub(crate) last_success_ms: Option<u64>,
    pub(crate) last_failure: Option<FailureRecord>,
    /// How many have failed since the last success.
    pub(crate) failure_count: u32,
    pub(crate) next_attempt_ms: Option<u64>,
    /// Before this, the authority does not want to be asked.
    pub(crate) not_before_ms: Option<u64>,
    /// What the failed attempt was for. Another demand is tried without waiting.
    pub(crate) failed_for: Option<Demand>,
}

impl Attempts {
    /// Nothing is to be tried again.
    pub(crate) fn end_failures(&mut self) {
        self.failure_count = 0;
        self.next_attempt_ms = None;
    }
}

/// What operators want an attempt for. The settings do not count: those of the next leader may differ by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demand {
    pub(crate) renewal: Option<Renewal>,
    /// The entry of the certificate that is to be replaced. A demand changes it.
    pub(crate) certificate: Option<LogIndex>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailureRecord {
    pub(crate) at_ms: u64,
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
}

/// The certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificateDocument {
    /// In PEM, the certificate first.
    pub(crate) chain_pem: String,
    /// In PEM.
    pub(crate) key_pem: String,
    pub(crate) issued_for: Wanted,
    pub(crate) not_before_ms: u64,
    pub(crate) not_after_ms: u64,
    pub(crate) renew_at_ms: u64,
    /// Its id for renewal information (RFC 9773, section 4.1), if it has one.
    #[serde(default)]
    pub(crate) ari_id: Option<String>,
    /// When the authority suggests to renew it.
    #[serde(default)]
    pub(crate) window: Option<RenewalWindow>,
}

/// When the authority suggests to renew a certificate (RFC 9773, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RenewalWindow {
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
}

impl Document for AccountDocument {
    const KIND: SecretKind = SecretKind::AcmeAccount;
}

impl Document for OrderDocument {
    const KIND: SecretKind = SecretKind::AcmeOrder;
}

impl Document for CertificateDocument {
    const KIND: SecretKind = SecretKind::Certificate;
}

/// Hides the key.
impl fmt::Debug for AccountDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountDocument({}, ..)", self.directory)
    }
}

/// Hides the key.
impl fmt::Debug for PendingOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingOrder({}, {:?}, ..)", self.url, self.step)
    }
}

/// Hides the key.
impl fmt::Debug for CertificateDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, end) = (&self.issued_for.names, self.not_after_ms);
        write!(f, "CertificateDocument({names:?} until {end}, ..)")
    }
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
