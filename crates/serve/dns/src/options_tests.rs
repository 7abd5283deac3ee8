//! Responses to EDNS options.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hickory_proto::rr::RecordType;
use quorate_metrics::Registry;
use quorate_packet::PublicKey;
use quorate_replica::{CookieSecrets, IndexedPacket, NotReady, ReadError, Reader, ZoneState};

use crate::{
    DnsConfig, DnsMetrics, DnsTransport, Responder, SharedLimits, edns::option, fixture::*,
};

const SECRET: [u8; 16] = [7; 16];
const COOKIE_OF_CLIENT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Parses the options in the OPT record at the end of a response.
fn options(response: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let hickory = parse(response).edns.expect("an OPT");
    let count = hickory.options().options.len();
    // The OPT record is the one that ends where the response ends.
    let start = (12..response.len() - 10).rev().find(|at| {
        let size = u16::from_be_bytes([response[at + 9], response[at + 10]]);
        response[*at..].starts_with(&[0, 0, 41]) && at + 11 + usize::from(size) == response.len()
    });
    let mut rest = &response[start.expect("it is the last record") + 11..];
    let mut options = Vec::new();
    while let Some(([a, b, c, d], data)) = rest.split_first_chunk() {
        let (value, after) = data.split_at(u16::from_be_bytes([*c, *d]).into());
        options.push((u16::from_be_bytes([*a, *b]), value.to_vec()));
        rest = after;
    }
    assert_eq!(options.len(), count, "hickory sees as many");
    options
}

fn value(response: &[u8], code: u16) -> Option<Vec<u8>> {
    let mut options = options(response).into_iter();
    options.find(|(of, _)| *of == code).map(|(_, value)| value)
}

fn encode(code: u16, value: &[u8]) -> Vec<u8> {
    let size = value.len() as u16;
    [&code.to_be_bytes()[..], &size.to_be_bytes(), value].concat()
}

fn alice_query_with(code: u16, value: &[u8]) -> Vec<u8> {
    with_opt(alice_query(), 1232, 0, &encode(code, value))
}

mod cookies {
    use super::*;

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.set_cookie_secrets(SECRET, None);
        fixture
    }

    fn cookie(response: &[u8]) -> Vec<u8> {
        value(response, option::COOKIE).expect("a cookie")
    }

    fn count(fixture: &Fixture, proof: &str) -> u64 {
        fixture.metric(&format!("quorate_dns_cookies_total{{proof=\"{proof}\"}}"))
    }

    /// RFC 7873, section 5.2.3: a client without a server cookie is answered.
    #[test]
    fn a_client_gets_an_answer_and_a_cookie_that_is_valid() {
        let fixture = fixture();
        let message = alice_query_with(option::COOKIE, &COOKIE_OF_CLIENT);
        let first = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(parse(&first).answers.len(), 1);
        let given = cookie(&first);
        assert_eq!((given.len(), &given[..8]), (24, &COOKIE_OF_CLIENT[..]));

        let message = alice_query_with(option::COOKIE, &given);
        let second = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(parse(&second).answers.len(), 1);
        assert_eq!(cookie(&second), given);
        assert_eq!(
            (count(&fixture, "client_only"), count(&fixture, "valid")),
            (1, 1)
        );
    }

    /// RFC 7873, section 5.2.4; TCP proves the address (section 5.2.3).
    #[test]
    fn an_invalid_cookie_is_badcookie_over_udp_only() {
        let fixture = fixture();
        let forged = [&COOKIE_OF_CLIENT[..], &[9; 16]].concat();
        let message = alice_query_with(option::COOKIE, &forged);
        let rejected = fixture.respond(&message, DnsTransport::Udp).unwrap();
        let given = cookie(&rejected);
        let parsed = parse(&rejected);
        assert_eq!(u16::from(parsed.response_code), 23);
        assert!(parsed.answers.is_empty() && parsed.queries.len() == 1);
        let answered = fixture.respond(&message, DnsTransport::Tcp).unwrap();
        assert_eq!(parse(&answered).answers.len(), 1);
        assert_eq!(count(&fixture, "invalid"), 2);

        let retry = alice_query_with(option::COOKIE, &given);
        let retried = fixture.respond(&retry, DnsTransport::Udp).unwrap();
        assert_eq!(
            parse(&retried).answers.len(),
            1,
            "the cookie in BADCOOKIE is valid"
        );
    }

    #[test]
    fn a_cookie_outlives_one_rotation_of_the_secret() {
        let fixture = fixture();
        let message = alice_query_with(option::COOKIE, &COOKIE_OF_CLIENT);
        let given = cookie(&fixture.respond(&message, DnsTransport::Udp).unwrap());
        let message = alice_query_with(option::COOKIE, &given);
        fixture.set_cookie_secrets([8; 16], Some(SECRET));
        let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(parse(&response).answers.len(), 1);
        assert_ne!(cookie(&response), given, "the new secret created it");
        fixture.set_cookie_secrets([9; 16], Some([8; 16]));
        let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(u16::from(parse(&response).response_code), 23);
    }

    /// RFC 7873, section 5.4.
    #[test]
    fn a_query_may_request_only_a_cookie() {
        let mut message = alice_query_with(option::COOKIE, &COOKIE_OF_CLIENT);
        message.drain(12..alice_query().len());
        message[5] = 0;
        let response = fixture().respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(response[3] & 0x0f, 0, "NOERROR");
        assert_eq!(response[4..12], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(cookie(&response).len(), 24);
        let without_secret = Fixture::new().respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(without_secret[3] & 0x0f, 1, "FORMERR");
    }

    #[test]
    fn cookies_are_ignored_without_a_secret_or_when_disabled() {
        let disabled = DnsConfig {
            cookies: false,
            ..DnsConfig::default()
        };
        let disabled = Fixture::with(&disabled, None);
        disabled.set_cookie_secrets(SECRET, None);
        let forged = [&COOKIE_OF_CLIENT[..], &[9; 16]].concat();
        for fixture in [Fixture::new(), disabled] {
            let message = alice_query_with(option::COOKIE, &forged);
            let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
            assert_eq!(parse(&response).answers.len(), 1);
            assert_eq!(value(&response, option::COOKIE), None);
        }
    }
}

/// RFC 5001: only if the client requests it.
#[test]
fn nsid_is_the_name_of_the_server() {
    let named = DnsConfig {
        server_id: "fra-1".to_owned(),
        ..DnsConfig::default()
    };
    let named = Fixture::with(&named, None);
    let message = alice_query_with(option::NSID, b"");
    let response = named.respond(&message, DnsTransport::Udp).unwrap();
    assert_eq!(options(&response), [(option::NSID, b"fra-1".to_vec())]);
    let without_nsid = with_opt(alice_query(), 1232, 0, &[]);
    let response = named.respond(&without_nsid, DnsTransport::Udp).unwrap();
    assert_eq!(options(&response), []);
    let response = Fixture::new().respond(&message, DnsTransport::Udp).unwrap();
    assert_eq!(options(&response), []);
}

/// RFC 7828, section 3.3.2; over UDP the option is ignored, and HTTP has its own timeouts.
#[test]
fn a_connection_receives_its_idle_timeout() {
    let fixture = Fixture::new();
    let message = alice_query_with(option::TCP_KEEPALIVE, b"");
    for (transport, timeout) in [
        (DnsTransport::Tcp, Some(vec![0, 100])),
        (DnsTransport::Tls, Some(vec![0, 100])),
        (DnsTransport::Udp, None),
        (DnsTransport::Https, None),
    ] {
        let response = fixture.respond(&message, transport).unwrap();
        assert_eq!(
            value(&response, option::TCP_KEEPALIVE),
            timeout,
            "{transport:?}"
        );
    }
    // RFC 9250, section 4.3.3.
    assert_eq!(fixture.respond(&message, DnsTransport::Quic), None);
}

/// RFC 7830, section 4; RFC 8467, section 4.1.
#[test]
fn encrypted_responses_are_padded_if_the_query_is() {
    let fixture = Fixture::new();
    let padded = alice_query_with(option::PADDING, &[0; 40]);
    let unpadded = with_opt(alice_query(), 1232, 0, &[]);
    for (transport, is_padded) in [
        (DnsTransport::Tls, true),
        (DnsTransport::Quic, true),
        (DnsTransport::Https, true),
        (DnsTransport::Tcp, false),
        (DnsTransport::Udp, false),
    ] {
        let response = fixture.respond(&padded, transport).unwrap();
        assert_eq!(value(&response, option::PADDING).is_some(), is_padded);
        assert_eq!(response.len() == 468, is_padded, "{transport:?}");
        assert_eq!(parse(&response).answers.len(), 1);
        let response = fixture.respond(&unpadded, transport).unwrap();
        assert_eq!(value(&response, option::PADDING), None);
    }
}

/// RFC 8914.
#[test]
fn a_response_without_an_answer_has_an_extended_error() {
    let fixture = Fixture::new();
    let reason = |message: Vec<u8>| {
        let message = with_opt(message, 1232, 0, &[]);
        let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
        value(&response, option::EXTENDED_ERROR).map(|value| value[1])
    };
    let of_key = |key| query(&iroh(key, "dns.test."), RecordType::TXT);
    assert_eq!(reason(alice_query()), None);
    assert_eq!(reason(of_key(NOBODY)), None);
    assert_eq!(reason(of_key(DAMAGED)), Some(24), "invalid data");
    assert_eq!(reason(of_key(PANICKING)), Some(0), "other");
    let elsewhere = query("google.com.", RecordType::A);
    assert_eq!(reason(elsewhere), Some(20), "not authoritative");
    let transfer = query("dns.test.", RecordType::AXFR);
    assert_eq!(reason(transfer), Some(18), "prohibited");
    fixture.replica.fail_reads(true);
    assert_eq!(reason(alice_query()), Some(0), "other");
}

/// A replica that has not caught up since the node started.
struct NotReadyReplica;

impl Reader for NotReadyReplica {
    fn packet(&self, _: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        self.check_ready().map(|()| None)
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        Err(ReadError::NotReady(NotReady::Replaying))
    }

    fn zone_version(&self) -> u64 {
        0
    }

    fn zones_changed_after(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        Arc::default()
    }

    fn cookie_secrets(&self) -> Option<CookieSecrets> {
        None
    }

    fn set_zones_served(&self, _version: u64) {}
}

/// RFC 8914, section 4.15; resolvers then ask another server.
#[test]
fn a_node_that_has_not_caught_up_reports_not_ready() {
    let responder = Responder::new(
        &DnsConfig::default(),
        vec![origin("dns.test.")],
        SharedLimits::default(),
        Arc::new(NotReadyReplica),
        DnsMetrics::register(&Registry::new()).unwrap(),
    );
    let mut response = Vec::new();
    let responder = responder.unwrap();
    // The zone may also have replicated records.
    let queries = ["dns.test.", "www.dns.test."].map(|name| query(name, RecordType::A));
    for message in queries.into_iter().chain([alice_query()]) {
        let message = with_opt(message, 1232, 0, &[]);
        responder.respond(&message, &client(DnsTransport::Udp), &mut response);
        assert_eq!(response[3] & 0x0f, 2, "SERVFAIL");
        assert_eq!(value(&response, option::EXTENDED_ERROR), Some(vec![0, 14]));
    }
    responder.respond(&alice_query(), &client(DnsTransport::Udp), &mut response);
    assert_eq!(response.len(), alice_query().len(), "no OPT");
}

/// RFC 4892; RFC 8914 for the reason of REFUSED.
#[test]
fn the_class_ch_reports_the_configured_identity() {
    let config = DnsConfig {
        server_id: "fra-1".to_owned(),
        server_version: "Quorate".to_owned(),
        ..DnsConfig::default()
    };
    let reporting = Fixture::with(&config, None);
    let by_default = Fixture::new();
    for (owner, text) in [
        ("id.server.", "fra-1"),
        ("hostname.bind.", "fra-1"),
        ("Version.Bind.", "Quorate"),
        ("version.server.", "Quorate"),
    ] {
        let mut message = query(owner, RecordType::TXT);
        *message.last_mut().unwrap() = 3;
        let response = reporting.ask(&message);
        assert!(response.authoritative);
        let answer = &response.answers[0];
        assert_eq!(answer.data.to_string(), text);
        assert_eq!((answer.name.to_ascii(), answer.ttl), (owner.to_owned(), 0));
        assert_eq!(u16::from(answer.dns_class), 3);
        let refused = by_default.ask(&message);
        assert_eq!(u16::from(refused.response_code), 5);
        assert!(!refused.authoritative);
    }
    for (owner, record_type) in [
        ("authors.bind.", RecordType::TXT),
        ("version.bind.", RecordType::A),
        ("dns.test.", RecordType::SOA),
    ] {
        let mut message = query(owner, record_type);
        *message.last_mut().unwrap() = 3;
        assert_eq!(
            u16::from(reporting.ask(&message).response_code),
            5,
            "{owner}"
        );
    }
}
