//! Limits on responses over UDP to clients whose address is not proved.

use std::net::IpAddr;

use hickory_proto::rr::RecordType;

use crate::{DnsClient, DnsConfig, DnsTransport, edns::option, fixture::*};

/// A burst of three answers, and one a second.
fn limits() -> quorate_limit::LimitConfig {
    quorate_limit::LimitConfig {
        dns_answer_burst: 3,
        dns_answer_per_sec: 1,
        ..quorate_limit::LimitConfig::default()
    }
}

fn ask(fixture: &Fixture, message: &[u8], client: &DnsClient) -> Vec<u8> {
    let mut out = Vec::new();
    fixture
        .responder
        .respond(message, client, &mut out)
        .expect("a response");
    out
}

fn client_without_cookie() -> DnsClient {
    client(DnsTransport::Udp)
}

fn rate_limited_count(fixture: &Fixture) -> u64 {
    fixture.metric("quorate_dns_responses_rate_limited_total")
}

/// Like `slip 1` in other servers: a real client retries over TCP.
#[test]
fn a_client_above_its_rate_must_retry_over_tcp() {
    let fixture = Fixture::with(&DnsConfig::default(), Some(&limits()));
    let message = with_opt(alice_query(), 1232, 0, &[]);
    let first: Vec<_> = (0..3)
        .map(|_| ask(&fixture, &message, &client_without_cookie()))
        .collect();
    assert!(
        first
            .iter()
            .all(|response| parse(response).answers.len() == 1)
    );
    let response = ask(&fixture, &message, &client_without_cookie());
    assert!(response.len() <= message.len(), "no amplification");
    let response = parse(&response);
    assert!(response.truncation && response.answers.is_empty());
    assert!(response.edns.is_some() && response.queries.len() == 1);
    assert_eq!(rate_limited_count(&fixture), 1);

    let over_tcp = ask(&fixture, &message, &client(DnsTransport::Tcp));
    assert_eq!(parse(&over_tcp).answers.len(), 1);
    let other = DnsClient::new("2001:db8::9".parse().unwrap(), DnsTransport::Udp);
    assert_eq!(parse(&ask(&fixture, &message, &other)).answers.len(), 1);
}

#[test]
fn a_cookie_or_an_exempt_address_is_not_limited() {
    let fixture = Fixture::with(&DnsConfig::default(), Some(&limits()));
    fixture.set_cookie_secrets([7; 16], None);
    let cookie = [&option::COOKIE.to_be_bytes()[..], &[0, 8], &[1; 8]].concat();
    let message = with_opt(alice_query(), 1232, 0, &cookie);
    let response = ask(&fixture, &message, &client_without_cookie());
    // The cookie is the only option, at the end.
    let cookie = [
        &option::COOKIE.to_be_bytes()[..],
        &[0, 24],
        &response[response.len() - 24..],
    ];
    let with_cookie = with_opt(alice_query(), 1232, 0, &cookie.concat());
    let loopback = DnsClient::new(IpAddr::from([127, 0, 0, 1]), DnsTransport::Udp);
    for _ in 0..20 {
        assert_eq!(
            parse(&ask(&fixture, &with_cookie, &client_without_cookie()))
                .answers
                .len(),
            1
        );
        assert_eq!(
            parse(&ask(&fixture, &alice_query(), &loopback))
                .answers
                .len(),
            1
        );
    }
    assert_eq!(rate_limited_count(&fixture), 0);
}

/// The address may be forged, so the response is small: somebody else may receive it.
#[test]
fn a_client_without_a_cookie_gets_no_large_answer_over_udp() {
    let fixture = Fixture::with(
        &DnsConfig::default(),
        Some(&quorate_limit::LimitConfig::default()),
    );
    let message = with_opt(
        query(&format!("txt.{BIG}.dns.test."), RecordType::TXT),
        1232,
        0,
        &[],
    );
    let response = ask(&fixture, &message, &client_without_cookie());
    assert!(response.len() <= message.len(), "no amplification");
    assert!(parse(&response).truncation && parse(&response).answers.is_empty());
    let metric = "quorate_dns_responses_size_limited_total";
    assert_eq!(fixture.metric(metric), 1);

    let exempt = DnsClient::new("::1".parse().unwrap(), DnsTransport::Udp);
    assert_eq!(parse(&ask(&fixture, &message, &exempt)).answers.len(), 3);
    let unlimited = Fixture::new();
    assert_eq!(
        parse(&ask(&unlimited, &message, &client_without_cookie()))
            .answers
            .len(),
        3
    );
    assert_eq!(fixture.metric(metric), 1);
}

#[test]
fn disabled_limits_have_no_effect() {
    let off = quorate_limit::LimitConfig {
        enabled: false,
        ..limits()
    };
    let fixture = Fixture::with(&DnsConfig::default(), Some(&off));
    for _ in 0..10 {
        let response = ask(&fixture, &alice_query(), &client_without_cookie());
        assert_eq!(parse(&response).answers.len(), 1);
    }
}
