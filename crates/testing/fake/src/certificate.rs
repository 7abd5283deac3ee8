//! A certificate that nobody orders.

use quorate_replica::{CertificateOperator, CertificateStatus};

/// The state of a certificate for `dns.test`.
#[derive(Debug)]
pub struct FakeCertificate;

impl CertificateOperator for FakeCertificate {
    fn status(&self) -> CertificateStatus {
        CertificateStatus {
            directory: "https://ca.test/".to_owned(),
            names: vec!["dns.test".to_owned()],
            renew_at_ms: Some(7),
            ..CertificateStatus::default()
        }
    }
}
