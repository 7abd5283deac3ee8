use super::*;
use crate::fixture::name;

fn errors(change: impl FnOnce(&mut AcmeConfig)) -> Vec<String> {
    let mut config = AcmeConfig {
        directory: "https://ca.test/dir".to_owned(),
        ..AcmeConfig::default()
    };
    change(&mut config);
    let mut findings = Findings::default();
    let at = KeyPath::from("tls.acme");
    config.check_acme(&[name("example.org")], &at, &mut findings);
    let errors = findings.errors.iter();
    errors
        .map(|found| format!("{}: {}", found.key, found.reason))
        .collect()
}

#[test]
fn it_is_off_by_default_and_then_nothing_is_checked() {
    assert!(!AcmeConfig::default().is_on());
    assert_eq!(
        errors(|config| config.names = vec!["example.com".to_owned()]).len(),
        1
    );
    let off = |config: &mut AcmeConfig| {
        config.directory = String::new();
        config.names = vec!["example.com".to_owned()];
    };
    assert_eq!(errors(off), [""; 0]);
    assert_eq!(errors(|_| {}), [""; 0]);
}

#[test]
fn settings_that_do_not_fit_together_are_reported_with_their_key() {
    let found = errors(|config| config.directory = "http://ca.test/dir".to_owned());
    assert!(found[0].starts_with("tls.acme.directory: "), "{found:?}");
    let found = errors(|config| config.directory = "ca.test".to_owned());
    assert!(found[0].contains("https://"), "{found:?}");
    let found = errors(|config| config.contact = vec!["me@example.org".to_owned()]);
    assert!(found[0].contains("mailto:"), "{found:?}");
    let found = errors(|config| config.eab_key_id = "kid-1".to_owned());
    assert!(found[0].contains("belong together"), "{found:?}");
    let found = errors(|config| config.names = vec!["example.com".to_owned()]);
    assert!(
        found[0].starts_with("tls.acme.names: \"example.com\" is in none"),
        "{found:?}"
    );
}
