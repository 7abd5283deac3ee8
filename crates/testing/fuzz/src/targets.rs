//! The fuzz targets.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode},
};
use data_encoding::BASE64URL_NOPAD;
use hickory_proto::{
    op::{self, Message, ResponseCode},
    rr::{Name, RecordType},
};
use http_body_util::BodyExt;
use quorate_dns::{DnsTransport, QUERY_SIZE_MAX, doh_router};
use quorate_http::ClientRules;
use quorate_packet::{DNS_SIZE_MAX, PAYLOAD_SIZE_MIN, SignedPacket, message::counts_fit};
use quorate_zone::CompiledPacket;
use tower::ServiceExt;

use crate::{
    choices::Choices,
    fixture::{Fixture, KEY, ORIGINS},
    response::check,
};

/// The most records of a fuzzed packet that are queried.
const QUERIED_COUNT_MAX: usize = 16;

/// The most labels of a chosen name, without those of the zone.
const LABEL_COUNT_MAX: usize = 12;

const TRANSPORTS: [DnsTransport; 5] = [
    DnsTransport::Udp,
    DnsTransport::Tcp,
    DnsTransport::Tls,
    DnsTransport::Quic,
    DnsTransport::Https,
];

const DNS_MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// The types that are queried: those with special rules, and some others.
const TYPES: [u16; 20] = [
    1, 2, 5, 6, 12, 15, 16, 17, 28, 33, 35, 39, 41, 64, 65, 251, 252, 255, 257, 65280,
];

thread_local! {
    static FIXTURE: Fixture = Fixture::new();
}

/// A message over UDP. The response is correct, or there is none.
pub fn datagram(data: &[u8]) {
    FIXTURE.with(|fixture| respond(fixture, data, DnsTransport::Udp));
}

/// A well-formed query with random fields. It is answered, but not with FORMERR or NOTIMP.
pub fn query(data: &[u8]) {
    let mut choices = Choices::new(data);
    let transport = choices.one_of(&TRANSPORTS);
    let Some(message) = chosen_query(&mut choices) else {
        return;
    };
    FIXTURE.with(|fixture| {
        let response = respond(fixture, &message, transport).expect("a query is answered");
        let rcode = response.response_code;
        assert!(
            !matches!(rcode, ResponseCode::FormErr | ResponseCode::NotImp),
            "{rcode}"
        );
    });
}

/// A DNS message that a key publishes. Any bytes can be compiled. If it could be published, each of
/// its records is queried.
pub fn packet(data: &[u8]) {
    let payload = [&[0; PAYLOAD_SIZE_MIN], data].concat();
    let Some(signed) = SignedPacket::assume_verified(KEY, payload.into()) else {
        return;
    };
    let compiled = CompiledPacket::compile(&signed);
    assert_eq!(compiled.packet().dns(), data);
    let Some(published) = publishable(data) else {
        return;
    };
    let ttls = published.all_sections().map(|record| record.ttl);
    assert_eq!(compiled.ttl_secs_min(), ttls.min(), "the smallest TTL");
    let fixture = Fixture::new();
    fixture.publish(data);
    for record in published.answers.iter().take(QUERIED_COUNT_MAX) {
        for origin in ORIGINS {
            let origin = Name::from_ascii(origin).expect("it is a valid name");
            let Ok(owner) = record.name.clone().append_domain(&origin) else {
                continue;
            };
            for record_type in [record.record_type(), RecordType::A, RecordType::ANY] {
                let mut message = Message::query();
                message.add_query(op::Query::query(owner.clone(), record_type));
                let message = message.to_vec().expect("its names are valid");
                for transport in [DnsTransport::Udp, DnsTransport::Tcp] {
                    respond(&fixture, &message, transport).expect("a query is answered");
                }
            }
        }
    }
}

/// The length of a DNS message, the message, which is published, and choices for a query.
pub fn answer(data: &[u8]) {
    let mut choices = Choices::new(data);
    let transport = choices.one_of(&TRANSPORTS);
    let size = choices.u16();
    let dns = choices.bytes(size.into());
    if publishable(dns).is_none() {
        return;
    }
    let Some(message) = chosen_query(&mut choices) else {
        return;
    };
    let fixture = Fixture::new();
    fixture.publish(dns);
    respond(&fixture, &message, transport).expect("a query is answered");
}

/// An HTTP request: method, header fields, and a message in its URI or body.
pub fn doh(data: &[u8]) {
    let mut choices = Choices::new(data);
    let method = ["GET", "POST", "HEAD", "PUT"][choices.below(4)];
    let form = choices.byte();
    let accept = choices.one_of(&[None, Some("*/*"), Some("application/dns-json"), Some("")]);
    let content_type = choices.one_of(&[Some("application/dns-message"), None, Some("text/plain")]);
    let rest = choices.rest();
    let query = match form % 4 {
        0 => format!("?dns={}", BASE64URL_NOPAD.encode(rest)),
        1 => format!("?dns={}", printable(rest)),
        2 => format!("?name={}&type=TXT", printable(rest)),
        _ => String::new(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/dns-query{query}"));
    for (field, value) in [("accept", accept), ("content-type", content_type)] {
        if let Some(value) = value {
            request = request.header(field, value);
        }
    }
    let Ok(request) = request.body(Body::from(rest.to_vec())) else {
        return;
    };
    let response = FIXTURE.with(|fixture| send(fixture, request));
    let status = response.status();
    let status_is_known = matches!(status.as_u16(), 200 | 400 | 405 | 406 | 413 | 414 | 415);
    assert!(status_is_known, "{status}");
    let is_message = response.headers().get("content-type") == Some(&DNS_MESSAGE);
    let sent = match (method, form % 4) {
        ("POST", _) | ("GET", 0) => Some(rest),
        _ => None,
    };
    let body = response.into_body();
    if let Some(sent) = sent.filter(|_| status == StatusCode::OK) {
        assert!(sent.len() <= QUERY_SIZE_MAX);
        if is_message {
            check(sent, &body, DnsTransport::Https);
        } else {
            serde_json::from_slice::<serde_json::Value>(&body).expect("other bodies are JSON");
        }
    }
}

fn send(fixture: &Fixture, request: Request<Body>) -> Response<Vec<u8>> {
    let router = doh_router(Arc::clone(&fixture.responder), ClientRules::default());
    let response = async {
        let response = router.oneshot(request).await.expect("it cannot fail");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is in memory");
        Response::from_parts(parts, body.to_bytes().to_vec())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime without I/O cannot fail");
    runtime.block_on(response)
}

/// Maps bytes to characters that a URI may have.
fn printable(bytes: &[u8]) -> String {
    let characters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=%&";
    let bytes = bytes.iter();
    let bytes = bytes.map(|byte| char::from(characters[usize::from(*byte) % characters.len()]));
    bytes.collect()
}

/// Sends a query, and checks the response if there is one.
fn respond(fixture: &Fixture, message: &[u8], transport: DnsTransport) -> Option<Message> {
    let response = fixture.respond(message, transport)?;
    Some(check(message, &response, transport))
}

/// Parses a DNS message that a PUT would accept, apart from its signature.
fn publishable(dns: &[u8]) -> Option<Message> {
    Some(dns)
        .filter(|dns| dns.len() <= DNS_SIZE_MAX && counts_fit(dns))
        .and_then(|dns| Message::from_vec(dns).ok())
}

/// A well-formed query. `None` if its name would be too long.
fn chosen_query(choices: &mut Choices<'_>) -> Option<Vec<u8>> {
    let mut message = choices.bytes(2).to_vec();
    message.resize(2, 0);
    message.extend([choices.byte() & 0x07, choices.byte()]);
    let has_opt = choices.byte() % 2;
    message.extend([0, 1, 0, 0, 0, 0, 0, has_opt]);
    message.extend(chosen_name(choices)?);
    message.extend(choices.one_of(&TYPES).to_be_bytes());
    message.extend(choices.one_of(&[1u16, 1, 1, 3, 255]).to_be_bytes());
    if has_opt == 1 {
        message.extend([0, 0, 41]);
        message.extend(choices.u16().to_be_bytes());
        message.extend([0, 0, choices.byte() & 0x80, 0]);
        let mut options = Vec::new();
        while !choices.is_empty() && options.len() < 200 {
            // Without cookies and keepalives, whose rules could make the query malformed.
            let code = choices.one_of(&[3u16, 8, 12, 15, 65001]);
            let size = choices.below(20);
            let data = choices.bytes(size);
            options.extend(code.to_be_bytes());
            options.extend([0, u8::try_from(data.len()).expect("it is below 20")]);
            options.extend(data);
        }
        let size = u16::try_from(options.len()).expect("it is short");
        message.extend(size.to_be_bytes());
        message.extend(options);
    }
    Some(message)
}

/// Common or random labels, in most cases followed by the key and a zone.
fn chosen_name(choices: &mut Choices<'_>) -> Option<Vec<u8>> {
    let key = KEY.to_string();
    let upper = key.to_uppercase();
    let known = [
        "_iroh", "www", "old", "sub", "ns", "mail", "a", "*", "wild", &key, &upper, "dns", "test",
    ];
    let mut name = Vec::new();
    let mut push = |label: &[u8]| {
        if let Ok(size @ 1..=63) = u8::try_from(label.len()) {
            name.push(size);
            name.extend_from_slice(label);
        }
    };
    for _ in 0..choices.below(LABEL_COUNT_MAX) {
        match choices.byte() {
            0..=127 => push(choices.one_of(&known).as_bytes()),
            byte => push(choices.bytes(usize::from(byte & 0x3f))),
        }
    }
    let origin: &[&str] = match choices.below(8) {
        0 => &[],
        1 => &["dns", "test"],
        2 => &[&key],
        3 => &[&key, "inner", "dns", "test"],
        4 => &[&upper, "DNS", "tEST"],
        _ => &[&key, "dns", "test"],
    };
    origin.iter().for_each(|label| push(label.as_bytes()));
    name.push(0);
    (name.len() <= 255).then_some(name)
}
