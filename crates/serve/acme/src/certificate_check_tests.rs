use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CustomExtension, KeyPair, date_time_ymd};

use super::*;
use crate::fixture::Tls;

/// 2026-06-01.
const NOW: UnixMillis = UnixMillis(1_780_272_000_000);

/// A chain for these names that is valid in these years, and its key.
fn chain(names: &[&str], years: (i32, i32)) -> (String, KeyPair) {
    changed_chain(names, |params| {
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
    })
}

fn changed_chain(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, KeyPair) {
    let tls = Tls::issue(names, |params| {
        params.use_authority_key_identifier_extension = true;
        change(params);
    });
    let key = KeyPair::from_pem(&tls.key_pem).unwrap();
    (format!("{}{}", tls.certificate_pem, tls.root_pem), key)
}

fn check_for(
    chain: &str,
    key: &KeyPair,
    names: &[&str],
) -> Result<CheckedCertificate, CertificateFault> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    check(chain, &key.serialize_pem(), &names, NOW)
}

#[test]
fn the_ordered_certificate_is_accepted() {
    let (chain, key) = chain(&["Example.org", "*.example.org"], (2026, 2027));
    let checked = check_for(&chain, &key, &["*.example.org", "example.org"]).unwrap();
    assert_eq!(checked.not_after_ms, 1_798_761_600_000);
    assert_eq!(checked.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(checked.ari_id.unwrap().contains('.'));
    let again = check_for(&checked.chain_pem, &key, &["example.org"]).unwrap();
    assert_eq!(again.chain_pem, checked.chain_pem);
}

/// A wildcard is not taken for the names that it covers.
#[test]
fn other_names_are_refused() {
    let (chain, key) = chain(&["*.example.org", "example.net"], (2026, 2027));
    for missing in ["example.org", "a.example.org", "*.example.net"] {
        let fault = check_for(&chain, &key, &["*.example.org", missing]).unwrap_err();
        let text = format!(
            "the issued certificate is not for {missing}, but for *.example.org, example.net"
        );
        assert_eq!(fault.to_string(), text);
    }
}

#[test]
fn another_key_is_refused() {
    let (chain, _) = chain(&["example.org"], (2026, 2027));
    let key = KeyPair::generate().unwrap();
    assert_eq!(
        check_for(&chain, &key, &["example.org"]),
        Err(CertificateFault::OtherKey)
    );
    let names = ["example.org".to_owned()];
    assert_eq!(
        check(&chain, "no key", &names, NOW),
        Err(CertificateFault::Key)
    );
}

#[test]
fn a_certificate_of_another_time_is_refused_unless_a_clock_may_be_wrong() {
    let (old, key) = chain(&["example.org"], (2024, 2026));
    let fault = check_for(&old, &key, &["example.org"]);
    assert!(
        matches!(fault, Err(CertificateFault::Expired(_))),
        "{fault:?}"
    );
    let check_after = |wait: Duration| {
        let (new, key) = changed_chain(&["example.org"], |params| {
            params.not_before =
                (SystemTime::UNIX_EPOCH + Duration::from_millis(NOW.0) + wait).into();
        });
        check_for(&new, &key, &["example.org"]).map(drop)
    };
    assert_eq!(check_after(Duration::from_hours(1)), Ok(()));
    let late = check_after(Duration::from_secs(3601));
    assert_eq!(late, Err(CertificateFault::NotYet(3601)));
}

/// What the parser accepts is not what TLS accepts.
#[test]
fn a_certificate_that_cannot_be_served_is_refused() {
    let unknown = |is_critical| {
        let (chain, key) = changed_chain(&["example.org"], |params| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 9999], vec![5, 0]);
            extension.set_criticality(is_critical);
            params.custom_extensions = vec![extension];
        });
        check_for(&chain, &key, &["example.org"])
    };
    unknown(false).unwrap();
    let fault = unknown(true).unwrap_err();
    assert!(matches!(fault, CertificateFault::Unusable(_)), "{fault}");
}

#[test]
fn garbage_is_refused() {
    let (chain, key) = chain(&["example.org"], (2026, 2027));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let refuse = |text: &str| check_for(text, &key, &["example.org"]).unwrap_err();
    assert_eq!(refuse(""), CertificateFault::NotPem);
    assert_eq!(refuse("<html>"), CertificateFault::NotPem);
    assert_eq!(
        refuse("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
        CertificateFault::NotPem
    );
    assert_eq!(refuse(junk), CertificateFault::Unparsable(1));
    assert_eq!(
        refuse(&format!("{chain}{junk}")),
        CertificateFault::Unparsable(3)
    );
    assert_eq!(refuse(&junk.repeat(11)), CertificateFault::TooLong(11));
}

/// Whatever else the authority sends does not get into the files of listeners.
#[test]
fn only_certificates_are_kept_of_a_chain() {
    let (chain, key) = chain(&["example.org"], (2026, 2027));
    let theirs = KeyPair::generate().unwrap().serialize_pem();
    let checked = check_for(
        &format!("# a comment\n{theirs}{chain}"),
        &key,
        &["example.org"],
    )
    .unwrap();
    assert!(checked.chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!checked.chain_pem.contains("PRIVATE"));
}
