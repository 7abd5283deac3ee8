use crate::{ClusterId, JoinRefusal, Joined, Lane, NodeId};
use strum::VariantArray;

use super::*;
use crate::{
    test_nodes::{HOME, HOME_ID, encoded, hello, id, introduction, noise},
    test_service::{joined, token},
};

/// A hello of a node that speaks these versions, as it arrives.
fn speaking(versions: RangeInclusive<u16>) -> Hello {
    let hello = Hello {
        versions,
        ..hello(Lane::Append)
    };
    Hello::parse(&encoded(&hello)).unwrap()
}

/// Names of these bytes, none for zero.
fn names(id: u8, founding: u8) -> ClusterNames {
    let name = |byte: u8| (byte != 0).then_some(ClusterId([byte; 32]));
    ClusterNames {
        id: name(id),
        founding: name(founding),
    }
}

/// A hello of a node whose cluster is called so.
fn of(names: ClusterNames) -> Hello {
    let introduction = Introduction {
        names,
        ..introduction()
    };
    Hello::new(introduction, Lane::Append)
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
    for &lane in Lane::VARIANTS {
        let hello = Hello::parse(&encoded(&hello(lane))).unwrap();
        assert_eq!(hello.check(&HOME, &WIRE_VERSIONS), Ok((lane, 1)));
    }
}

#[test]
fn two_nodes_choose_the_highest_version_that_both_speak() {
    for (old, new, chosen) in [
        (3..=3, 3..=4, 3),
        (3..=4, 3..=7, 4),
        (3..=7, 5..=6, 6),
        (2..=5, 5..=9, 5),
    ] {
        let lane = Lane::Append;
        assert_eq!(speaking(old.clone()).check(&HOME, &new), Ok((lane, chosen)));
        assert_eq!(speaking(new).check(&HOME, &old), Ok((lane, chosen)));
    }
}

#[test]
fn nodes_that_share_no_version_are_told_both_ranges() {
    for (here, there, told) in [
        (3..=3, 2..=2, "version 3 and this node speaks 2:"),
        (2..=2, 3..=3, "version 2 and this node speaks 3:"),
        (3..=4, 5..=9, "version 3 to 4 and this node speaks 5 to 9:"),
        (5..=9, 3..=4, "version 5 to 9 and this node speaks 3 to 4:"),
    ] {
        let rejection = speaking(there).check(&HOME, &here).unwrap_err().to_string();
        assert!(rejection.contains(told), "{rejection}");
    }
}

#[test]
fn every_difference_is_a_rejection_of_its_own() {
    let check = |hello: &Hello, names| hello.check(&names, &WIRE_VERSIONS);
    let hello = hello(Lane::Append);
    let magic = Hello {
        magic: *b"etcd raf",
        ..hello.clone()
    };
    assert_eq!(check(&magic, HOME), Err(Rejection::Magic));
    assert_eq!(check(&hello, names(8, 0)), Err(Rejection::Cluster));
    for lane in [200, 255] {
        let hello = Hello {
            lane,
            ..hello.clone()
        };
        assert_eq!(check(&hello, HOME), Err(Rejection::Lane(lane)));
    }
}

/// Each end goes by what both know: ids, or else the list of founders.
#[test]
fn a_hello_tells_all_names_of_its_cluster() {
    let all = [(0, 0), (0, 2), (1, 0), (1, 2), (3, 2), (3, 4), (0, 4)];
    for (here, there) in all
        .iter()
        .flat_map(|here| all.iter().map(move |there| (here, there)))
    {
        let (here, there) = (names(here.0, here.1), names(there.0, there.1));
        let hello = Hello::parse(&encoded(&of(there))).unwrap();
        assert_eq!(hello.cluster, there);
        let is_welcome = hello.check(&here, &WIRE_VERSIONS).is_ok();
        assert_eq!(is_welcome, here.is_same(&there), "{here:?} and {there:?}");
    }
}

#[test]
fn a_hello_tells_what_is_in_the_log() {
    for log in [LogState::Empty, LogState::Founding, LogState::More] {
        let introduction = Introduction {
            log,
            ..introduction()
        };
        let hello = Hello::new(introduction, Lane::Append);
        assert_eq!(Hello::parse(&encoded(&hello)).unwrap().log, log);
    }
    let mut unknown = encoded(&hello(Lane::Append));
    let log = unknown.len() - 2;
    unknown[log] = 77;
    let later = Hello::parse(&unknown).unwrap();
    assert_eq!(later.log, LogState::More, "something");
}

/// As programs greeted before there was this magic, and as others may.
#[test]
fn of_another_magic_nothing_is_read_but_that() {
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
        let refused = hello.check(&HOME, &WIRE_VERSIONS);
        assert_eq!(refused, Err(Rejection::Magic), "{bytes:?}");
        assert_eq!(hello.cluster, names(0, 0));
    }
}

#[test]
fn the_layout_of_greetings_stays() {
    let whole = Hello {
        lane: Lane::Snapshot as u8,
        versions: 3..=5,
        ..of(names(7, 9))
    };
    let names_of = |id: &[u8], founding: &[u8]| {
        [b"quorate1".as_slice(), &[3, 5], id, founding, &[1, 3]].concat()
    };
    let [id, founding] = [7, 9].map(|byte| [[1].as_slice(), &[byte; 32]].concat());
    assert_eq!(encoded(&whole), names_of(&id, &founding));
    let by_list = Hello {
        cluster: names(0, 9),
        ..whole
    };
    assert_eq!(encoded(&by_list), names_of(&[0], &founding));

    let lanes = [
        Lane::Append,
        Lane::Control,
        Lane::Forward,
        Lane::Snapshot,
        Lane::Pull,
        Lane::Admin,
        Lane::Join,
    ];
    assert_eq!(lanes.map(|lane| hello(lane).lane), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(lanes, Lane::VARIANTS);
    let welcome = Greeting::Welcome {
        version: 3,
        log: LogState::More,
    };
    assert_eq!(encoded(&welcome), [0, 3, 2]);
    let refused = Greeting::Refused("no".to_owned());
    assert_eq!(encoded(&refused), [1, 2, b'n', b'o']);
    assert_eq!(encoded(&Greeting::Forgotten), [2]);
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
        id: HOME_ID,
        founding: Some(ClusterId([8; 32])),
        members: vec![(node, "h:1".to_owned())],
    };
    let members = [[1].as_slice(), node.0.as_bytes(), &[3, b'h', b':', b'1']].concat();
    let expected = [[3, 0].as_slice(), &[7; 32], &[1], &[8; 32], &members].concat();
    assert_eq!(
        encoded(&Greeting::Join(JoinAnswer::Joined(joined))),
        expected
    );
    let refusals = [
        JoinRefusal::Unknown,
        JoinRefusal::Expired,
        JoinRefusal::Used,
        JoinRefusal::NameTaken,
        JoinRefusal::Bounds,
    ];
    for (number, refusal) in (0..).zip(refusals) {
        let refused = Greeting::Join(JoinAnswer::Refused(refusal));
        assert_eq!(encoded(&refused), [3, 1, number]);
    }
    let unavailable = JoinAnswer::Unavailable("no".to_owned());
    assert_eq!(encoded(&Greeting::Join(unavailable)), [3, 2, 2, b'n', b'o']);
}

#[test]
fn what_later_versions_add_to_greetings_is_skipped() {
    let grown = |content: &[u8]| [content, &[9; 200]].concat();
    let hello = Hello {
        versions: 3..=4,
        ..of(names(7, 9))
    };
    assert_eq!(Hello::parse(&grown(&encoded(&hello))), Ok(hello));
    let request = widest_request();
    assert_eq!(JoinRequest::parse(&grown(&encoded(&request))), Ok(request));
    for greeting in [
        Greeting::Welcome {
            version: 4,
            log: LogState::Empty,
        },
        Greeting::Refused("no".to_owned()),
        Greeting::Forgotten,
        Greeting::Join(JoinAnswer::Joined(joined())),
    ] {
        assert_eq!(Greeting::parse(&grown(&encoded(&greeting))), Ok(greeting));
    }
    let unknown_log = Greeting::Welcome {
        version: 4,
        log: LogState::More,
    };
    assert_eq!(Greeting::parse(&[0, 4, 77]), Ok(unknown_log));
}

#[test]
fn garbage_is_no_greeting_and_no_panic() {
    for size in 0..64 {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let _ = Hello::parse(&vec![byte; size]);
            let _ = Greeting::parse(&vec![byte; size]);
            let _ = JoinRequest::parse(&vec![byte; size]);
        }
    }
    let endless = [MAGIC.as_slice(), &[0xff; 20]].concat();
    assert!(Hello::parse(&endless).is_err());
    assert!(Greeting::parse(&[4]).is_err());
}

/// Noise, and noise within what nodes say.
#[test]
fn no_first_words_make_parsing_panic_and_what_is_read_is_bounded() {
    let hello = of(names(7, 9));
    let answer = Greeting::Join(JoinAnswer::Joined(joined()));
    let said = [
        encoded(&hello),
        encoded(&widest_request()),
        encoded(&answer),
    ];
    let mut byte = noise();
    for round in 0..60_000 {
        let mut bytes = match round % 4 {
            3 => (0..byte()).map(|_| byte()).collect(),
            kind => said[kind].clone(),
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
            // Which takes a while.
            if round % 64 == 1 {
                let _ = request.is_proved(&[1; 32], HOME_ID, id(1), NodeId::default());
            }
        }
        if let Ok(Greeting::Join(JoinAnswer::Joined(joined))) = Greeting::parse(&bytes) {
            // No count of members is believed that there is no room for.
            assert!(joined.members.capacity() <= 1024 * 1024 / 56);
        }
    }
}

#[test]
fn the_longest_first_words_fit_a_greeting() {
    let widest = || listed(&(65_534..=u16::MAX));
    for rejection in [
        Rejection::Magic,
        Rejection::WireVersion {
            ours: widest(),
            theirs: widest(),
        },
        Rejection::Cluster,
        Rejection::Lane(u8::MAX),
        Rejection::LinkCount,
        Rejection::Forgotten,
    ] {
        assert!(encoded(&rejection.greeting()).len() <= GREETING_SIZE_MAX);
    }
    assert!(encoded(&widest_request()).len() <= GREETING_SIZE_MAX);
    let widest = Hello {
        versions: 0..=u16::MAX,
        lane: u8::MAX,
        log: LogState::More,
        ..of(names(0xff, 0xff))
    };
    assert_eq!(
        Hello::parse(&encoded(&widest)),
        Ok(widest),
        "all of it is read"
    );
}
