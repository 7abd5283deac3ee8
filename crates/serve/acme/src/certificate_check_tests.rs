use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, date_time_ymd};

use super::*;

/// 2026-06-01.
const NOW: UnixMillis = UnixMillis(1_780_272_000_000);

/// A chain for these names that is valid in these years, and its key.
fn chain(names: &[&str], years: (i32, i32)) -> (String, KeyPair) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.use_authority_key_identifier_extension = true;
    let pem = params.signed_by(&key, &issuer).unwrap().pem();
    (format!("{pem}{root_pem}"), key)
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
fn an_expired_certificate_is_refused_and_one_for_tomorrow_is_not() {
    let (old, key) = chain(&["example.org"], (2024, 2026));
    let fault = check_for(&old, &key, &["example.org"]);
    assert!(
        matches!(fault, Err(CertificateFault::Expired(_))),
        "{fault:?}"
    );
    let (new, key) = chain(&["example.org"], (2027, 2028));
    check_for(&new, &key, &["example.org"]).unwrap();
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
