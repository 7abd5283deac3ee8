//! The checks of every response.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use quorate_dns::{DnsTransport, UDP_SIZE_MAX};

/// The largest UDP response for a client that states no size, in bytes.
const UDP_SIZE_MIN: usize = 512;

const HEADER_SIZE: usize = 12;

/// Checks a response to `query` that came over `transport`, and reads it.
pub(crate) fn check(query: &[u8], response: &[u8], transport: DnsTransport) -> Message {
    let message = Message::from_vec(response).expect("hickory-proto can read it");
    assert!(
        query.len() >= HEADER_SIZE,
        "a query without id is not answered"
    );
    assert_eq!(response[..2], query[..2], "the id");
    assert_eq!(message.message_type, MessageType::Response);
    assert_eq!(query[2] & 0x80, 0, "responses are not answered");
    assert_eq!(response[2] & 0x79, query[2] & 0x79, "opcode and RD");
    assert_eq!(response[3] & 0xe0, 0, "RA, Z and AD");
    let question_size = question_size(response);
    assert!(
        query[HEADER_SIZE..].starts_with(&response[HEADER_SIZE..HEADER_SIZE + question_size]),
        "the question is repeated exactly"
    );
    check_size(query, response, transport);
    let aa = response[2] & 0x04 != 0;
    match message.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain => {}
        ResponseCode::ServFail => panic!("the responder failed or panicked"),
        _ => {
            assert!(!aa, "AA is set with {}", message.response_code);
            assert!(message.answers.is_empty() && message.authorities.is_empty());
        }
    }
    if message.response_code == ResponseCode::NXDomain && response[2] & 0x02 == 0 {
        assert!(aa, "NXDOMAIN is authoritative");
        assert_eq!(message.authorities.len(), 1, "NXDOMAIN has the SOA");
    }
    message
}

fn check_size(query: &[u8], response: &[u8], transport: DnsTransport) {
    if transport != DnsTransport::Udp {
        return;
    }
    let parsed = Message::from_vec(query).ok();
    let edns = parsed.and_then(|query| query.edns.map(|edns| edns.max_payload()));
    let has_opt = query[10..12] != [0, 0];
    let size_max = match (edns, has_opt) {
        (Some(size), _) => usize::from(size).clamp(UDP_SIZE_MIN, UDP_SIZE_MAX.into()),
        (None, false) => UDP_SIZE_MIN,
        // The responder may read an OPT record that hickory-proto does not.
        (None, true) => UDP_SIZE_MAX.into(),
    };
    let size = response.len();
    assert!(
        size <= size_max,
        "{size} bytes for a client that accepts {size_max}"
    );
}

/// The size of the question in a response, in bytes.
fn question_size(response: &[u8]) -> usize {
    if response[4..6] == [0, 0] {
        return 0;
    }
    let mut size = 0;
    loop {
        match usize::from(response[HEADER_SIZE + size]) {
            0 => return size + 5,
            label => size += 1 + label,
        }
    }
}
