use hickory_proto::rr::RecordType;

use super::*;
use crate::fixture::{alice_query, query, with_opt};

fn rcode(message: &[u8]) -> Rcode {
    match Query::parse(message).expect("a response").question {
        Err(rcode) => rcode,
        Ok(question) => panic!("not rejected: {question}"),
    }
}

#[test]
fn a_plain_query_is_read() {
    let message = query("Dns.tEst.", RecordType::SOA);
    let parsed = Query::parse(&message).unwrap();
    assert_eq!(parsed.question.unwrap().wire(), &message[HEADER_SIZE..]);
    assert_eq!(parsed.edns, None);
    assert_eq!(parsed.header.id, [0xab, 0xcd]);
    assert_eq!(parsed.header.opcode_and_rd, 1);
}

#[test]
fn a_message_shorter_than_a_header_is_ignored() {
    for size in 0..HEADER_SIZE {
        assert!(Query::parse(&alice_query()[..size]).is_none());
    }
}

/// Two servers that answer responses could loop forever.
#[test]
fn a_response_is_ignored() {
    let mut message = alice_query();
    message[2] |= 0x80;
    assert!(Query::parse(&message).is_none());
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in 1..16 {
        let mut message = alice_query();
        message[2] |= opcode << 3;
        assert_eq!(rcode(&message), Rcode::NotImp, "{opcode}");
        assert_eq!(rcode(&message[..20]), Rcode::NotImp, "{opcode}, truncated");
    }
}

/// RFC 9619.
#[test]
fn there_is_exactly_one_question() {
    let mut none = alice_query()[..HEADER_SIZE].to_vec();
    none[5] = 0;
    assert_eq!(rcode(&none), Rcode::FormErr);
    let two = [&alice_query()[..], &alice_query()[HEADER_SIZE..]].concat();
    let mut counted = two.clone();
    counted[5] = 2;
    assert_eq!(rcode(&counted), Rcode::FormErr);
    assert_eq!(
        rcode(&two),
        Rcode::FormErr,
        "a question that is not counted"
    );
}

/// RFC 7873, section 5.4.
#[test]
fn a_message_without_a_question_may_ask_for_a_cookie() {
    let mut none = alice_query()[..HEADER_SIZE].to_vec();
    none[5] = 0;
    let cookie = [&[0, 10, 0, 8][..], &[7; 8]].concat();
    assert_eq!(
        rcode(&with_opt(none.clone(), 1232, 0, &cookie)),
        Rcode::NoError
    );
    assert_eq!(rcode(&with_opt(none, 1232, 0, &[])), Rcode::FormErr);
}

/// RFC 6891, section 7.
#[test]
fn the_opt_of_a_malformed_message_is_read() {
    let well_formed = with_opt(alice_query(), 1232, 0, &[]);
    let mut other_opcode = well_formed.clone();
    other_opcode[2] |= 0x20;
    let mut two_questions = [&alice_query()[..], &alice_query()[HEADER_SIZE..]].concat();
    two_questions[5] = 2;
    let mut one_record_too_few = well_formed.clone();
    one_record_too_few[11] = 2;
    for message in [
        other_opcode,
        with_opt(two_questions, 1232, 0, &[]),
        one_record_too_few,
        with_opt(well_formed.clone(), 1232, 0, &[]),
        with_opt(alice_query(), 1232, 0, &[7]),
        with_opt(alice_query(), 1232, 0, &[0, 10, 0, 3, 1, 2, 3]),
        [&well_formed[..], b"more"].concat(),
    ] {
        let parsed = Query::parse(&message).unwrap();
        assert!(parsed.question.is_err());
        assert_eq!(parsed.edns.expect("an OPT").udp_size, 1232);
    }
    let message = alice_query();
    let no_opt = Query::parse(&message[..40]).unwrap();
    assert!(no_opt.question.is_err() && no_opt.edns.is_none());
}

#[test]
fn a_query_truncated_anywhere_is_malformed() {
    let message = with_opt(alice_query(), 1232, 0, &[0, 12, 0, 1, 7]);
    assert!(Query::parse(&message).unwrap().question.is_ok());
    for size in HEADER_SIZE..message.len() {
        assert_eq!(rcode(&message[..size]), Rcode::FormErr, "{size}");
    }
}

#[test]
fn bytes_after_the_last_record_are_malformed() {
    assert_eq!(rcode(&[&alice_query()[..], b"x"].concat()), Rcode::FormErr);
}

#[test]
fn a_header_with_too_large_counts_is_malformed() {
    assert_eq!(
        rcode(&[0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
        Rcode::FormErr
    );
}

/// No name comes before a question that it could point to, and it is repeated byte for byte.
#[test]
fn a_question_is_not_compressed() {
    let pointer = [
        0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 4, 0, 1, 0, 1,
    ];
    assert_eq!(rcode(&pointer), Rcode::FormErr);
}

#[test]
fn names_and_labels_have_their_limits() {
    let header = [0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let label = |size: u8| [vec![size], vec![b'x'; size.into()]].concat();
    let message = |labels: Vec<Vec<u8>>| {
        let name = labels.concat();
        [&header[..], &name, &[0, 0, 1, 0, 1]].concat()
    };
    let longest = vec![label(63), label(63), label(63), label(61)];
    let longest_message = message(longest.clone());
    assert!(Query::parse(&longest_message).unwrap().question.is_ok());
    assert_eq!(
        rcode(&message([longest, vec![label(1)]].concat())),
        Rcode::FormErr
    );
    assert_eq!(rcode(&message(vec![label(64)])), Rcode::FormErr);
}

#[test]
fn other_records_are_skipped() {
    let mut message = alice_query();
    // A TSIG-like record whose name is a pointer to the name in the question.
    message.extend_from_slice(&[0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 1, 2]);
    message[11] = 1;
    let message = with_opt(message, 4096, 0, &[]);
    let edns = Query::parse(&message).unwrap().edns.unwrap();
    assert_eq!(edns.udp_size, 4096);
    assert!(edns.dnssec_ok);
}

/// RFC 6891, sections 6.1.1 and 6.1.2.
#[test]
fn there_is_at_most_one_opt_and_the_root_owns_it() {
    let once = with_opt(alice_query(), 1232, 0, &[]);
    let twice = with_opt(once.clone(), 1232, 0, &[]);
    assert_eq!(rcode(&twice), Rcode::FormErr);

    let mut owned = alice_query();
    owned.extend_from_slice(&[1, b'x']);
    owned.extend_from_slice(&once[alice_query().len()..]);
    owned[11] = 1;
    assert_eq!(rcode(&owned), Rcode::FormErr);

    for options in [&[0, 10, 0, 2, 7][..], &[0, 10, 0], &[7]] {
        let message = with_opt(alice_query(), 1232, 0, options);
        assert_eq!(rcode(&message), Rcode::FormErr, "{options:?}");
    }
}

mod properties {
    use hickory_proto::{
        op::{self, Message},
        rr::{DNSClass, Name},
        serialize::binary::{BinDecodable, BinDecoder},
    };
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn codec_question(question: &Question<'_>) -> op::Query {
        op::Query::read(&mut BinDecoder::new(question.wire())).unwrap()
    }

    fn any_name() -> impl Strategy<Value = Name> {
        let labels = vec(vec(any::<u8>(), 1..=24), 0..=10);
        labels.prop_map(|labels| {
            let labels = labels.iter().map(|label| &label[..]);
            Name::from_labels(labels).unwrap()
        })
    }

    /// Random bytes, random bytes after the header of a query, and a query with changed bytes.
    fn any_message() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || vec(any::<u8>(), 0..300);
        let after_header = bytes().prop_map(|rest| {
            let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            [&header[..], &rest].concat()
        });
        let changed = vec(any::<(prop::sample::Index, u8)>(), 1..4).prop_map(|changes| {
            let mut message = with_opt(alice_query(), 1232, 0, &[0, 12, 0, 2, 1, 2]);
            for (at, byte) in changes {
                let at = at.index(message.len());
                message[at] = byte;
            }
            message
        });
        prop_oneof![bytes(), after_header, changed]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(1024)
        })]

        /// Anybody may send bytes to the parser. If it finds a query, the ID is that of the
        /// message; if it finds a question, hickory-proto finds the same one.
        #[test]
        fn no_bytes_cause_a_panic(message in any_message()) {
            let Some(query) = Query::parse(&message) else {
                prop_assert!(message.len() < HEADER_SIZE || message[2] & 0x80 != 0);
                return Ok(());
            };
            prop_assert_eq!(&query.header.id[..], &message[..2]);
            if let (Ok(question), Ok(read)) = (query.question, Message::from_vec(&message)) {
                prop_assert_eq!(&read.queries, &[codec_question(&question)]);
            }
        }

        #[test]
        fn queries_of_hickory_are_parsed_correctly(
            name in any_name(),
            record_type: u16,
            class: u16,
            id: u16,
            rd: bool,
            cd: bool,
            edns in proptest::option::of((512..=u16::MAX, any::<bool>())),
        ) {
            let mut question = op::Query::query(name, record_type.into());
            question.set_query_class(DNSClass::from(class));
            let mut message = Message::query();
            message.add_query(question.clone());
            message.metadata.id = id;
            message.metadata.recursion_desired = rd;
            message.metadata.checking_disabled = cd;
            message.edns = edns.map(|(udp_size, dnssec_ok)| {
                let mut edns = op::Edns::new();
                edns.set_max_payload(udp_size).set_dnssec_ok(dnssec_ok);
                edns
            });

            let message = message.to_vec().unwrap();
            let query = Query::parse(&message).unwrap();
            let read = codec_question(&query.question.unwrap());
            prop_assert!(read.name().eq_case(question.name()));
            prop_assert_eq!(read, question);
            let header = Header {
                id: id.to_be_bytes(),
                opcode_and_rd: u8::from(rd),
                cd: u8::from(cd) << 4,
            };
            prop_assert_eq!(query.header, header);
            let edns = edns.map(|(udp_size, dnssec_ok)| Edns {
                udp_size,
                version: 0,
                dnssec_ok,
                options: Options::default(),
            });
            prop_assert_eq!(query.edns, edns);
        }
    }
}
