use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, RecordType},
};
use quorate_fake::unverified;

use super::*;
use crate::fixture::*;

/// A response as lines: RCODE, flags, records of each section.
fn text(message: &Message) -> Vec<String> {
    let flags = match (message.authoritative, message.truncation) {
        (true, true) => " AA TC",
        (true, false) => " AA",
        (false, true) => " TC",
        (false, false) => "",
    };
    let code = format!("{:?}{flags}", message.response_code);
    let sections = message.all_sections().map(ToString::to_string);
    std::iter::once(code).chain(sections).collect()
}

fn soa(origin: &str) -> String {
    format!("{origin} 50 IN SOA ns1.{origin} hostmaster.{origin} 1 7200 900 1209600 50")
}

#[test]
fn a_published_record_is_answered_under_every_origin() {
    let fixture = Fixture::new();
    for origin in ["dns.test.", "two.test."] {
        let owner = iroh(ALICE, origin);
        let record = format!("{owner} 30 IN TXT relay=https://relay.test");
        for transport in [DnsTransport::Udp, DnsTransport::Tcp, DnsTransport::Https] {
            let response = fixture.respond(&query(&owner, RecordType::TXT), transport);
            let response = parse(&response.unwrap());
            assert_eq!(text(&response), ["NoError AA", &record]);
        }
    }
}

#[test]
fn a_missing_type_is_no_data_and_a_missing_name_nxdomain() {
    let fixture = Fixture::new();
    for origin in ["dns.test.", "two.test."] {
        let soa = soa(origin);
        let key = format!("{ALICE}.{origin}");
        for (owner, record_type, code) in [
            (iroh(ALICE, origin), RecordType::A, "NoError AA"),
            (key.clone(), RecordType::TXT, "NoError AA"),
            (iroh(ALICE, origin), RecordType::SOA, "NoError AA"),
            (format!("other.{key}"), RecordType::TXT, "NXDomain AA"),
            (iroh(NOBODY, origin), RecordType::TXT, "NXDomain AA"),
        ] {
            let response = fixture.ask(&query(&owner, record_type));
            assert_eq!(text(&response), [code, &soa], "{owner} {record_type}");
            assert_eq!(response.authorities.len(), 1);
        }
    }
}

/// RFC 8020: neither the key nor any name below it exists.
#[test]
fn a_key_with_an_empty_packet_is_nxdomain() {
    let fixture = Fixture::new();
    let empty = Message::response(0, OpCode::Query).to_vec().unwrap();
    fixture.replica.store(unverified(NOBODY, &empty));
    for owner in [format!("{NOBODY}.dns.test."), iroh(NOBODY, "dns.test.")] {
        let response = fixture.ask(&query(&owner, RecordType::TXT));
        assert_eq!(text(&response), ["NXDomain AA", &soa("dns.test.")]);
    }
}

#[test]
fn refused_is_not_authoritative() {
    let fixture = Fixture::new();
    let mut chaos = query("dns.test.", RecordType::SOA);
    *chaos.last_mut().unwrap() = 3;
    for message in [
        query("google.com.", RecordType::A),
        query("dns.test.", RecordType::AXFR),
        query("dns.test.", RecordType::IXFR),
        chaos,
    ] {
        assert_eq!(text(&fixture.ask(&message)), ["Refused"]);
    }
}

/// RFC 1034, section 4.3.2, step 3b.
#[test]
fn a_referral_is_not_authoritative() {
    let fixture = Fixture::new();
    let message = query(&format!("x.sub.{CUT}.two.test."), RecordType::TXT);
    for (message, opt) in [(message.clone(), 0), (with_opt(message, 1232, 0, &[]), 1)] {
        let bytes = fixture.respond(&message, DnsTransport::Tcp).unwrap();
        assert_eq!(bytes[4..12], [0, 1, 0, 0, 0, 1, 0, 17 + opt], "counts");
        let response = parse(&bytes);
        let cut = format!("sub.{CUT}.two.test.");
        let lines = text(&response);
        assert_eq!(lines[0], "NoError");
        assert_eq!(lines[1], format!("{cut} 60 IN NS ns.{cut}"));
        assert!(lines.contains(&format!("ns.{cut} 20 IN A 192.0.2.1")));
        assert!(lines.contains(&format!("ns.{cut} 20 IN AAAA 2001:db8::1")));
        assert_eq!(response.edns.is_some(), opt == 1);
    }
}

/// A negative answer would remove the record from every cache that asked.
#[test]
fn a_replica_that_cannot_be_read_is_a_servfail() {
    let fixture = Fixture::new();
    fixture.replica.fail_reads(true);
    assert_eq!(text(&fixture.ask(&alice_query())), ["ServFail"]);
    let apex = fixture.ask(&query("dns.test.", RecordType::A));
    assert_eq!(apex.response_code, ResponseCode::NoError);
    fixture.replica.fail_reads(false);
    assert_eq!(fixture.ask(&alice_query()).answers.len(), 1);
}

#[test]
fn a_packet_that_cannot_be_decoded_is_a_servfail() {
    let message = query(&iroh(DAMAGED, "dns.test."), RecordType::TXT);
    assert_eq!(text(&Fixture::new().ask(&message)), ["ServFail"]);
}

/// A panic must not end a thread that serves other clients.
#[test]
fn a_panic_is_a_servfail() {
    let message = query(&iroh(PANICKING, "dns.test."), RecordType::TXT);
    assert_eq!(text(&Fixture::new().ask(&message)), ["ServFail"]);
}

#[test]
fn the_response_copies_only_the_required_header_fields() {
    let fixture = Fixture::new();
    for (third, fourth) in [(0x00, 0x00), (0x01, 0x10), (0x07, 0xff)] {
        let mut message = alice_query();
        (message[2], message[3]) = (third, fourth);
        let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(response[..2], [0xab, 0xcd], "id");
        assert_eq!(response[2], 0x84 | (third & 0x01), "QR, AA, and RD copied");
        assert_eq!(response[3], fourth & 0x10, "CD copied, RA, Z and AD clear");
    }
}

/// RFC 4343, section 4.1; resolvers put entropy into letter case (0x20).
#[test]
fn the_question_is_echoed_byte_for_byte() {
    let fixture = Fixture::new();
    let canonical = iroh(ALICE, "dns.test.");
    let mixed: String = canonical
        .char_indices()
        .map(|(at, c)| {
            if at % 3 == 0 {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    for owner in [mixed, iroh(NOBODY, "DnS.tESt."), "GooGLE.com.".to_owned()] {
        let message = query(&owner, RecordType::TXT);
        let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert_eq!(response[12..message.len()], message[12..]);
        for record in &parse(&response).answers {
            assert_eq!(record.name.to_ascii(), owner);
        }
    }
}

#[test]
fn garbage_after_a_header_gets_a_formerr_without_a_question() {
    let fixture = Fixture::new();
    let mut message = alice_query();
    message.truncate(40);
    let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
    assert_eq!(response, [0xab, 0xcd, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    message[2] = 0x28;
    let response = fixture.respond(&message, DnsTransport::Udp).unwrap();
    assert_eq!(response, [0xab, 0xcd, 0xa8, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// RFC 6891, section 7.
#[test]
fn a_query_with_opt_gets_opt_with_every_response_code() {
    let fixture = Fixture::new();
    let valid = with_opt(alice_query(), 1232, 0, &[]);
    let mut other_opcode = valid.clone();
    other_opcode[2] |= 0x28;
    for (message, rcode) in [
        ([&valid[..], b"more"].concat(), 1),
        (with_opt(alice_query(), 1232, 0, &[7]), 1),
        (with_opt(valid.clone(), 1232, 0, &[]), 1),
        (other_opcode, 4),
        (with_opt(alice_query(), 1232, 1, &[]), 16),
    ] {
        let response = fixture.ask(&message);
        assert_eq!(u16::from(response.response_code), rcode);
        let edns = response.edns.expect("an OPT");
        assert_eq!((edns.version(), edns.max_payload()), (0, UDP_SIZE_MAX));
        assert!(edns.flags().dnssec_ok);
    }
}

mod edns {
    use super::*;

    /// RFC 6891, section 6.1.1.
    #[test]
    fn there_is_an_opt_if_and_only_if_the_query_has_one() {
        let fixture = Fixture::new();
        for (owner, code) in [
            (iroh(ALICE, "dns.test."), ResponseCode::NoError),
            (iroh(NOBODY, "dns.test."), ResponseCode::NXDomain),
            (iroh(DAMAGED, "dns.test."), ResponseCode::ServFail),
            ("google.com.".to_owned(), ResponseCode::Refused),
        ] {
            let message = query(&owner, RecordType::TXT);
            let response = fixture.ask(&message);
            assert_eq!((response.response_code, response.edns), (code, None));
            let response = fixture.ask(&with_opt(message, 4096, 0, &[]));
            assert_eq!(response.response_code, code);
            let edns = response.edns.expect("an OPT");
            assert_eq!((edns.max_payload(), edns.version()), (UDP_SIZE_MAX, 0));
            assert!(edns.flags().dnssec_ok, "RFC 3225, section 3");
        }
    }

    /// RFC 6891, section 6.1.3.
    #[test]
    fn a_later_edns_version_gets_version_0() {
        let fixture = Fixture::new();
        let response = fixture.ask(&with_opt(alice_query(), 1232, 1, &[0xff; 3]));
        assert_eq!(
            response.response_code,
            ResponseCode::FormErr,
            "broken options"
        );
        let response = fixture.ask(&with_opt(alice_query(), 1232, 1, &[]));
        // hickory-proto reads 16 as BADSIG, its other meaning.
        assert_eq!(u16::from(response.response_code), 16);
        assert_eq!(response.edns.unwrap().version(), 0);
        assert!(response.answers.is_empty() && response.queries.len() == 1);
    }

    #[test]
    fn unknown_options_are_ignored() {
        let fixture = Fixture::new();
        let options = [0xfd, 0xe9, 0, 3, 1, 2, 3, 0, 12, 0, 2, 0, 0];
        let response = fixture.ask(&with_opt(alice_query(), 1232, 0, &options));
        assert_eq!(response.answers.len(), 1);
    }
}

mod sizes {
    use super::*;

    fn big_txt() -> Vec<u8> {
        query(&format!("txt.{BIG}.dns.test."), RecordType::TXT)
    }

    #[test]
    fn a_set_that_does_not_fit_is_left_out_completely() {
        let fixture = Fixture::new();
        for message in [
            big_txt(),
            with_opt(big_txt(), 100, 0, &[]),
            with_opt(big_txt(), 600, 0, &[]),
        ] {
            let edns = message[11];
            let bytes = fixture.respond(&message, DnsTransport::Udp).unwrap();
            let response = parse(&bytes);
            assert_eq!(text(&response), ["NoError AA TC"]);
            assert_eq!(response.edns.is_some(), edns == 1, "OPT stays");
            assert_eq!(response.queries.len(), 1);
        }
        let truncated = fixture.metric("quorate_dns_responses_truncated_total");
        assert_eq!(truncated, 3);
    }

    #[test]
    fn sets_before_it_are_kept() {
        let message = query(&format!("alias.{BIG}.dns.test."), RecordType::TXT);
        let response = Fixture::new().ask(&message);
        assert!(response.truncation);
        assert_eq!(response.answers.len(), 1);
        assert_eq!(response.answers[0].record_type(), RecordType::CNAME);
    }

    /// RFC 9471, section 3.1.
    #[test]
    fn a_referral_without_all_its_glue_is_truncated() {
        let fixture = Fixture::new();
        let message = query(&format!("sub.{CUT}.dns.test."), RecordType::A);
        let response = fixture.ask(&message);
        assert!(response.truncation);
        assert_eq!(response.authorities.len(), 1);
        assert_eq!(response.additionals.len(), 1, "the addresses that fit stay");
        let response = fixture.ask(&with_opt(message, 1232, 0, &[]));
        assert!(!response.truncation);
        assert_eq!(response.additionals.len(), 17);
    }

    #[test]
    fn larger_responses_fit_with_edns_and_tcp() {
        let fixture = Fixture::new();
        let message = with_opt(big_txt(), 1232, 0, &[]);
        assert_eq!(fixture.ask(&message).answers.len(), 3);
        for transport in [DnsTransport::Tcp, DnsTransport::Https] {
            let response = parse(&fixture.respond(&big_txt(), transport).unwrap());
            assert!(!response.truncation);
            assert_eq!(response.answers.len(), 3);
        }
    }

    /// RFC 9715: for any UDP size of the client, and any published packet.
    #[test]
    fn no_datagram_is_larger_than_1232_bytes() {
        let fixture = Fixture::new();
        let message = with_opt(query(&srv_owner(), RecordType::SRV), u16::MAX, 0, &[]);
        let bytes = fixture.respond(&message, DnsTransport::Udp).unwrap();
        assert!(bytes.len() <= UDP_SIZE_MAX.into());
        assert!(parse(&bytes).truncation);
        let bytes = fixture.respond(&message, DnsTransport::Tcp).unwrap();
        assert!(bytes.len() > UDP_SIZE_MAX.into(), "{}", bytes.len());
        let response = parse(&bytes);
        assert!(!response.truncation);
        assert_eq!(response.answers.len(), 5);
        let is_srv = |record: &hickory_proto::rr::Record| matches!(record.data, RData::SRV(_));
        assert!(response.answers.iter().all(is_srv));
    }

    #[test]
    fn any_stays_small() {
        let message = query(&format!("txt.{BIG}.dns.test."), RecordType::ANY);
        let bytes = Fixture::new().respond(&message, DnsTransport::Udp).unwrap();
        assert!(bytes.len() < message.len() + 30, "{} bytes", bytes.len());
    }
}

#[test]
fn the_cache_time_is_the_smallest_ttl() {
    let fixture = Fixture::new();
    let ttl = |owner: &str| {
        let message = query(owner, RecordType::TXT);
        let summary =
            fixture
                .responder
                .respond(&message, &client(DnsTransport::Https), &mut Vec::new());
        summary.unwrap().ttl_secs
    };
    assert_eq!(ttl(&iroh(ALICE, "dns.test.")), Some(30));
    assert_eq!(ttl(&iroh(NOBODY, "dns.test.")), Some(50));
    assert_eq!(ttl(&format!("sub.{CUT}.dns.test.")), Some(60), "not glue's");
    assert_eq!(ttl(&iroh(DAMAGED, "dns.test.")), None);
    assert_eq!(ttl("google.com."), None);
}

#[test]
fn queries_are_counted_by_origin_transport_and_rcode() {
    let fixture = Fixture::new();
    let nobody = query(&iroh(NOBODY, "two.test."), RecordType::TXT);
    fixture.respond(&nobody, DnsTransport::Udp);
    fixture.respond(&alice_query(), DnsTransport::Udp);
    fixture.respond(&alice_query(), DnsTransport::Https);
    fixture.respond(&query("google.com.", RecordType::A), DnsTransport::Tcp);
    fixture.respond(&[0; 11], DnsTransport::Udp);
    let count = |origin: &str, rcode: &str, transport: &str| {
        fixture.metric(&format!(
            "quorate_dns_queries_total{{origin=\"{origin}\",rcode=\"{rcode}\",transport=\"{transport}\"}}"
        ))
    };
    assert_eq!(count("dns.test.", "noerror", "udp"), 1);
    assert_eq!(count("dns.test.", "noerror", "https"), 1);
    assert_eq!(count("two.test.", "noerror", "udp"), 0);
    assert_eq!(count("two.test.", "nxdomain", "udp"), 1);
    assert_eq!(count("other", "refused", "tcp"), 1);
    assert_eq!(count("other", "refused", "udp"), 0);
    assert_eq!(fixture.metric("quorate_dns_messages_ignored_total"), 1);
}

/// There is no cache between the replica and the answer.
#[test]
fn published_replaced_and_removed_packets_are_seen_immediately() {
    let fixture = Fixture::new();
    let message = query(&iroh(NOBODY, "dns.test."), RecordType::TXT);
    for round in 0..3 {
        assert_eq!(fixture.ask(&message).response_code, ResponseCode::NXDomain);
        for version in [round, round + 1] {
            let mut packet = Message::response(0, OpCode::Query);
            packet.add_answer(txt("_iroh", NOBODY, format!("v={version}")));
            fixture
                .replica
                .store(unverified(NOBODY, &packet.to_vec().unwrap()));
            let response = fixture.ask(&message);
            assert_eq!(response.answers[0].data.to_string(), format!("v={version}"));
        }
        fixture.replica.remove(NOBODY);
    }
}
