use super::*;
use crate::documents::Wanted;

fn certificate(chain: &str) -> CertificateDocument {
    CertificateDocument {
        chain_pem: chain.to_owned(),
        key_pem: String::new(),
        issued_for: Wanted::default(),
        not_before_ms: 0,
        not_after_ms: 1_000_000,
        renew_at_ms: 0,
        ari_id: None,
        window: None,
    }
}

fn in_window(chain: &str, start_ms: u64, end_ms: u64) -> Option<u64> {
    moment(&certificate(chain), RenewalWindow { start_ms, end_ms })
}

#[test]
fn every_leader_finds_the_same_moment_and_certificates_differ() {
    let found: std::collections::BTreeSet<_> = (0..50)
        .map(|index| {
            let chain = index.to_string();
            let moment = in_window(&chain, 600_000, 700_000).unwrap();
            assert!((600_000..=700_000).contains(&moment));
            assert_eq!(in_window(&chain, 600_000, 700_000), Some(moment));
            moment
        })
        .collect();
    assert!(found.len() > 45, "{found:?}");
}

#[test]
fn windows_that_cannot_be_meant_are_ignored() {
    assert_eq!(in_window("a", 700_000, 600_000), None, "reversed");
    assert_eq!(in_window("a", 1_000_000, 2_000_000), None, "after the end");
    assert_eq!(
        in_window("a", 999_999, u64::MAX),
        Some(1_000_000),
        "bounded by the end"
    );
    assert!(in_window("a", 0, 1).is_some(), "in the past: at once");
}
