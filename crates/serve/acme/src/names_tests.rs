use super::*;
use crate::fixture::name;

fn check(names: &[&str], delegated: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let delegated = delegated.iter().map(|(name, challenge)| Delegated {
        name: (*name).to_owned(),
        challenge: (*challenge).to_owned(),
    });
    let delegated: Vec<_> = delegated.collect();
    let zones = [
        name("example.org"),
        name("sub.example.org"),
        name("example.net"),
    ];
    let show = |checked: CertificateName| {
        let CertificateName { name, owner, zone } = checked;
        format!("{name} at {owner} in {zone}")
    };
    match check_names(&names, &delegated, &zones) {
        Ok(names) => Ok(names.into_iter().map(show).collect()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn names_are_proved_in_the_longest_zone_that_has_them() {
    assert_eq!(
        check(
            &[
                "*.Example.org",
                "example.org.",
                "a.sub.example.org",
                "sub.example.org"
            ],
            &[]
        )
        .unwrap(),
        [
            "*.example.org at _acme-challenge.example.org. in example.org.",
            "a.sub.example.org at _acme-challenge.a.sub.example.org. in sub.example.org.",
            "example.org at _acme-challenge.example.org. in example.org.",
            "sub.example.org at _acme-challenge.sub.example.org. in sub.example.org.",
        ]
    );
    assert_eq!(check(&[], &[]).unwrap().len(), 3, "the zones");
}

#[test]
fn delegated_names_are_proved_where_their_cname_leads() {
    let delegated = [("WWW.example.com", "proof.example.net")];
    assert_eq!(
        check(&["www.example.com", "*.www.example.com"], &delegated).unwrap(),
        [
            "*.www.example.com at proof.example.net. in example.net.",
            "www.example.com at proof.example.net. in example.net.",
        ]
    );
    let errors = check(
        &["www.example.com"],
        &[("www.example.com", "proof.example.com")],
    )
    .unwrap_err();
    assert!(errors[0].contains("is in none of the zones"), "{errors:?}");
}

#[test]
fn an_error_says_which_name_and_why_and_what_to_do() {
    for (bad, reason) in [
        (
            "www.example.com",
            "\"www.example.com\" is in none of the zones that are served here (example.org, \
          sub.example.org, example.net): add its zone to dns.origins, or lead _acme-challenge.www.example.com by a \
          CNAME to a name in one of them and list that in tls.acme.delegated",
        ),
        ("", "is no name"),
        ("*.", "only as its first label"),
        ("a..example.org", "two dots"),
        ("a.*.example.org", "only as its first label"),
        ("*.*.example.org", "only as its first label"),
        ("-a.example.org", "hyphen"),
        ("a_b.example.org", "other characters"),
        ("a b.example.org", "other characters"),
        ("bücher.example.org", "xn--"),
        ("192.0.2.1", "is an address"),
        (&format!("{}.example.org", "a".repeat(64)), "63"),
        (&format!("{}example.org", "a.".repeat(125)), "253"),
    ] {
        let errors = check(&["example.org", bad], &[]).unwrap_err();
        assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
        assert!(errors[0].contains(reason), "{bad}: {errors:?}");
    }
    let errors = check(&["a.example.org", "A.example.org."], &[]).unwrap_err();
    assert!(errors[0].contains("listed twice"), "{errors:?}");
}

#[test]
fn a_certificate_has_at_most_a_hundred_names() {
    let names: Vec<_> = (0..101)
        .map(|index| format!("n{index}.example.org"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(check(&names[..100], &[]).unwrap().len(), 100);
    assert!(check(&names, &[]).unwrap_err()[0].contains("at most 100"));
}

/// Below a public key, only its owner has records.
#[test]
fn a_name_below_a_public_key_is_refused() {
    let key = quorate_fake::packet(1, 1, "x", 30).key().to_string();
    let errors = check(&[&format!("{key}.example.org")], &[]).unwrap_err();
    assert!(errors[0].contains("public key"), "{errors:?}");
}
