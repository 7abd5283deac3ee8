//! The certificate that the cluster gets by ACME (RFC 8555).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The certificate of the cluster, and the state of its renewal. GET.
    pub const CERTIFICATE: &str = "/v1/certificate";
    /// A demand for a new certificate. POST.
    pub const CERTIFICATE_RENEWAL: &str = "/v1/certificate/renewal";
}

/// The certificate of the cluster, and the state of its renewal. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateStatus {
    /// The directory of the certificate authority; empty if this node is not configured to order.
    pub directory: String,
    /// The names that this node is configured to order a certificate for.
    pub names: Vec<String>,
    /// The certificate, if there is one.
    #[schema(required)]
    pub certificate: Option<CertificateSummary>,
    /// When it will be renewed.
    #[schema(required)]
    pub renew_at_ms: Option<u64>,
    /// Why a new one is demanded: `requested`, or `compromised` if its key may be known to others.
    #[schema(required)]
    pub renewal: Option<String>,
    /// The order that is pending.
    #[schema(required)]
    pub order: Option<PendingCertificateOrder>,
    /// When a certificate was stored last.
    #[schema(required)]
    pub last_success_ms: Option<u64>,
    /// The last failure since then.
    #[schema(required)]
    pub last_failure: Option<CertificateFailure>,
    /// How many attempts have failed since then.
    pub failure_count: u32,
    /// When the next attempt starts, if one has failed.
    #[schema(required)]
    pub next_attempt_ms: Option<u64>,
    /// Why this node cannot read the stored certificate, if so.
    #[schema(required)]
    pub unreadable: Option<String>,
}

/// A certificate without its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateSummary {
    /// The names that it was ordered for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// From when on it is valid.
    pub not_before_ms: u64,
    /// Until when it is valid.
    pub not_after_ms: u64,
    /// Whether it has expired.
    pub expired: bool,
    /// The chain in PEM, the certificate first. It is public.
    pub chain: String,
}

/// An order at the certificate authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingCertificateOrder {
    /// Its URL.
    pub url: String,
    /// The last step that is done: `created`, `records_set`, `challenges_ready` or `finalized`.
    pub step: String,
    /// When it was created.
    pub started_ms: u64,
}

/// A failed attempt to get a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateFailure {
    /// When.
    pub at_ms: u64,
    /// What failed, in one word, as in the label of `quorate_acme_failures_total`.
    pub kind: String,
    /// What happened.
    pub text: String,
}

/// Asks for a new certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewCertificateRequest {}
