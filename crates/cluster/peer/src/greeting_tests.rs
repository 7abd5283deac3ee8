use crate::{ClusterId, JoinRejection, Joined, NodeId, StreamKind, vouch};
use quorate_state::{CHAIN_LEN_MAX, LogIndex, Term};
use strum::VariantArray;

use super::*;
use crate::{
    test_nodes::{HOME, LOSS, STATED, encoded, hello, id, identity, introduction, noise},
    test_service::{joined, token},
};

/// The hello of a node with these versions, as it is received.
fn speaking(versions: RangeInclusive<u16>) -> Hello {
    let hello = Hello {
        versions,
        ..hello(StreamKind::Append)
    };
    Hello::parse(&encoded(&hello)).unwrap()
}

/// As many vouchers as there may be, with the largest indexes.
fn longest_chain() -> Vec<Voucher> {
    let voucher = vouch(&identity(1), HOME, id(2), LogIndex(u64::MAX));
    vec![voucher; CHAIN_LEN_MAX]
}

/// A hello of a node of the cluster with this id.
fn of(id: u8) -> Hello {
    let introduction = Introduction {
        cluster: ClusterId([id; 32]),
        ..introduction()
    };
    Hello::new(introduction, StreamKind::Append)
}

/// The longest request there is.
fn widest_request() -> JoinRequest {
    let node = id(1);
    JoinRequest::new(
        &token(Vec::new()),
        node,
        node,
        "n".repeat(63),
        "a".repeat(260),
    )
}

#[test]
fn a_hello_of_the_same_cluster_and_version_is_welcome() {
    for &stream_kind in StreamKind::VARIANTS {
        let hello = Hello::parse(&encoded(&hello(stream_kind))).unwrap();
        assert_eq!(hello.check(HOME, &WIRE_VERSIONS), Ok((stream_kind, 1)));
    }
}

#[test]
fn two_nodes_choose_the_highest_common_version() {
    for (old, new, chosen) in [
        (3..=3, 3..=4, 3),
        (3..=4, 3..=7, 4),
        (3..=7, 5..=6, 6),
        (2..=5, 5..=9, 5),
    ] {
        let stream_kind = StreamKind::Append;
        assert_eq!(
            speaking(old.clone()).check(HOME, &new),
            Ok((stream_kind, chosen))
        );
        assert_eq!(speaking(new).check(HOME, &old), Ok((stream_kind, chosen)));
    }
}

#[test]
fn nodes_without_a_common_version_get_both_ranges() {
    for (here, there, expected) in [
        (3..=3, 2..=2, "version 3 and this node speaks 2:"),
        (2..=2, 3..=3, "version 2 and this node speaks 3:"),
        (3..=4, 5..=9, "version 3 to 4 and this node speaks 5 to 9:"),
        (5..=9, 3..=4, "version 5 to 9 and this node speaks 3 to 4:"),
    ] {
        let rejection = speaking(there).check(HOME, &here).unwrap_err().to_string();
        assert!(rejection.contains(expected), "{rejection}");
    }
}

#[test]
fn every_difference_has_its_own_rejection() {
    let check = |hello: &Hello, cluster| hello.check(cluster, &WIRE_VERSIONS);
    let hello = hello(StreamKind::Append);
    let magic = Hello {
        magic: *b"etcd raf",
        ..hello.clone()
    };
    assert_eq!(check(&magic, HOME), Err(Rejection::Magic));
    assert_eq!(check(&hello, ClusterId([8; 32])), Err(Rejection::Cluster));
    for stream_kind in [200, 255] {
        let hello = Hello {
            stream_kind,
            ..hello.clone()
        };
        assert_eq!(check(&hello, HOME), Err(Rejection::StreamKind(stream_kind)));
    }
}

/// Greetings of programs from before this magic, and of others.
#[test]
fn nothing_is_read_after_another_magic() {
    let before = [
        b"quorate\n".as_slice(),
        &[3],
        &[7; 32],
        &[3, 2, 2, 1],
        &[9; 32],
    ]
    .concat();
    for bytes in [&before[..], b"", b"quorate", &[0xff; 300]] {
        let hello = Hello::parse(bytes).unwrap();
        let rejected = hello.check(HOME, &WIRE_VERSIONS);
        assert_eq!(rejected, Err(Rejection::Magic), "{bytes:?}");
        assert_eq!(hello.cluster, ClusterId([0; 32]));
    }
}

#[test]
fn the_layout_of_greetings_stays() {
    let voucher = Voucher {
        member: id(1),
        index: LogIndex(9),
        signer: id(2),
        r: [4; 32],
        s: [5; 32],
    };
    let whole = Hello {
        stream_kind: StreamKind::Snapshot as u8,
        versions: 3..=5,
        stated: STATED,
        vouchers: vec![voucher],
        ..of(7)
    };
    let [member, signer] = [1, 2].map(|name| *id(name).0.as_bytes());
    let vouchers = [&[1][..], &member, &[9], &signer, &[4; 32], &[5; 32]].concat();
    let expected = [
        b"quorate2".as_slice(),
        &[3, 5],
        &[7; 32],
        &[3, 1, 2, 7],
        &[3],
        &vouchers,
    ];
    assert_eq!(encoded(&whole), expected.concat());

    let streams = [
        StreamKind::Append,
        StreamKind::Control,
        StreamKind::Forward,
        StreamKind::Snapshot,
        StreamKind::Pull,
        StreamKind::Admin,
        StreamKind::Join,
    ];
    assert_eq!(
        streams.map(|stream_kind| hello(stream_kind).stream_kind),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!(streams, StreamKind::VARIANTS);
    let welcome = Greeting::Welcome {
        version: 3,
        stated: STATED,
    };
    assert_eq!(encoded(&welcome), [0, 3, 3, 1, 2, 7]);
    let rejected = Greeting::Rejected("no".to_owned());
    assert_eq!(encoded(&rejected), [1, 2, b'n', b'o']);
    assert_eq!(encoded(&Greeting::DataLost(LOSS)), [2, 1, 3, 2, 9, 1, 2, 7]);
}

#[test]
fn the_layout_of_joining_stays() {
    let request = JoinRequest::new(
        &token(Vec::new()),
        id(1),
        id(2),
        "n".to_owned(),
        "h:1".to_owned(),
    );
    let bytes = encoded(&request);
    let front = [[5; 16].as_slice(), &[1, b'n', 3, b'h', b':', b'1', 64]].concat();
    assert_eq!(bytes[..front.len()], front);
    assert_eq!(bytes.len(), front.len() + 64);

    let node = id(1);
    let joined = Joined {
        id: HOME,
        index: LogIndex(9),
        term: Term(4),
        members: vec![(node, "h:1".to_owned())],
    };
    let members = [[1].as_slice(), node.0.as_bytes(), &[3, b'h', b':', b'1']].concat();
    let expected = [[3, 0].as_slice(), &[7; 32], &[9, 4], &members].concat();
    assert_eq!(
        encoded(&Greeting::Join(JoinAnswer::Joined(joined))),
        expected
    );
    let rejections = [
        JoinRejection::Unknown,
        JoinRejection::Expired,
        JoinRejection::Used,
        JoinRejection::NameTaken,
        JoinRejection::Bounds,
    ];
    for (number, rejection) in (0..).zip(rejections) {
        let rejected = Greeting::Join(JoinAnswer::Rejected(rejection));
        assert_eq!(encoded(&rejected), [3, 1, number]);
    }
    let unavailable = JoinAnswer::Unavailable("no".to_owned());
    assert_eq!(encoded(&Greeting::Join(unavailable)), [3, 2, 2, b'n', b'o']);
}

#[test]
fn fields_of_later_versions_in_greetings_are_skipped() {
    let grown = |content: &[u8]| [content, &[9; 200]].concat();
    let hello = Hello {
        versions: 3..=4,
        vouchers: longest_chain(),
        ..of(7)
    };
    assert_eq!(Hello::parse(&grown(&encoded(&hello))), Ok(hello));
    let request = widest_request();
    assert_eq!(JoinRequest::parse(&grown(&encoded(&request))), Ok(request));
    for greeting in [
        Greeting::Welcome {
            version: 4,
            stated: STATED,
        },
        Greeting::Rejected("no".to_owned()),
        Greeting::DataLost(LOSS),
        Greeting::Join(JoinAnswer::Joined(joined())),
    ] {
        assert_eq!(Greeting::parse(&grown(&encoded(&greeting))), Ok(greeting));
    }
}

#[test]
fn garbage_is_rejected_as_a_greeting_without_panic() {
    for size in 0..64 {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let _ = Hello::parse(&vec![byte; size]);
            let _ = Greeting::parse(&vec![byte; size]);
            let _ = JoinRequest::parse(&vec![byte; size]);
        }
    }
    let endless = [MAGIC.as_slice(), &[0xff; 20]].concat();
    assert!(Hello::parse(&endless).is_err());
    assert!(Greeting::parse(&[5]).is_err());
}

/// Random bytes, and random bytes within valid messages.
#[test]
fn no_first_message_makes_parsing_panic_or_allocate_much() {
    let hello = Hello {
        vouchers: longest_chain()[..2].to_vec(),
        ..of(7)
    };
    let answer = Greeting::Join(JoinAnswer::Joined(joined()));
    let message = [
        encoded(&hello),
        encoded(&widest_request()),
        encoded(&answer),
    ];
    let mut byte = noise();
    for round in 0..60_000 {
        let mut bytes = match round % 4 {
            3 => (0..byte()).map(|_| byte()).collect(),
            kind => message[kind].clone(),
        };
        for _ in 0..byte() % 4 {
            let place = usize::from(byte()) * 256 + usize::from(byte());
            match (place % (bytes.len() + 1), byte() % 3) {
                (end, 0) => bytes.truncate(end),
                (place, 1) => bytes.insert(place, byte()),
                (place, _) => bytes
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|it| *it = byte()),
            }
        }
        if let Ok(hello) = Hello::parse(&bytes) {
            assert_eq!(Hello::parse(&encoded(&hello)), Ok(hello));
        }
        if let Ok(request) = JoinRequest::parse(&bytes) {
            assert!(request.fits());
            // Each takes some time.
            if round % 64 == 1 {
                let _ = request.is_proved(&[1; 32], HOME, id(1), NodeId::default());
            }
        }
        if let Ok(Greeting::Join(JoinAnswer::Joined(joined))) = Greeting::parse(&bytes) {
            // A claimed count of members allocates no memory.
            assert!(joined.members.capacity() <= 1024 * 1024 / 56);
        }
    }
}

#[test]
fn the_longest_first_messages_fit_a_greeting() {
    let widest = || listed(&(65_534..=u16::MAX));
    for rejection in [
        Rejection::Magic,
        Rejection::WireVersion {
            ours: widest(),
            theirs: widest(),
        },
        Rejection::Cluster,
        Rejection::StreamKind(u8::MAX),
        Rejection::LinkCount,
        Rejection::DataLost(LOSS),
    ] {
        assert!(encoded(&rejection.greeting()).len() <= GREETING_SIZE_MAX);
    }
    assert!(encoded(&widest_request()).len() <= HELLO_SIZE_MAX);
    let widest = Hello {
        versions: 0..=u16::MAX,
        stream_kind: u8::MAX,
        stated: STATED,
        vouchers: longest_chain(),
        ..of(0xff)
    };
    assert!(encoded(&widest).len() <= HELLO_SIZE_MAX);
    assert_eq!(
        Hello::parse(&encoded(&widest)),
        Ok(widest),
        "all of it is read"
    );
}
