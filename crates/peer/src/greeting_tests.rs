use quorate_rpc::Lane;
use strum::VariantArray;

use super::*;

const HOME: ClusterId = ClusterId([7; 32]);

fn encoded(content: &impl Content) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    content.encode(&mut buffer).unwrap();
    buffer.to_vec()
}

/// A hello of a node that speaks these versions, as it arrives.
fn hello(versions: RangeInclusive<u16>) -> Hello {
    let hello = Hello {
        versions,
        ..Hello::new(HOME, Lane::Append)
    };
    Hello::parse(&encoded(&hello)).unwrap()
}

#[test]
fn a_hello_of_the_same_cluster_and_version_is_welcome() {
    for &lane in Lane::VARIANTS {
        let hello = Hello::parse(&encoded(&Hello::new(HOME, lane))).unwrap();
        assert_eq!(hello.check(HOME, &WIRE_VERSIONS), Ok((lane, 3)));
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
        assert_eq!(hello(old.clone()).check(HOME, &new), Ok((lane, chosen)));
        assert_eq!(hello(new).check(HOME, &old), Ok((lane, chosen)));
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
        let rejection = hello(there).check(HOME, &here).unwrap_err().to_string();
        assert!(rejection.contains(told), "{rejection}");
    }
}

#[test]
fn every_difference_is_a_rejection_of_its_own() {
    let check = |hello: &Hello, cluster| hello.check(cluster, &WIRE_VERSIONS);
    let hello = Hello::new(HOME, Lane::Append);
    let magic = Hello {
        magic: *b"etcd raf",
        ..hello.clone()
    };
    assert_eq!(check(&magic, HOME), Err(Rejection::Magic));
    assert_eq!(check(&hello, ClusterId([8; 32])), Err(Rejection::Cluster));
    for lane in [5, 255] {
        let hello = Hello {
            lane,
            ..hello.clone()
        };
        assert_eq!(check(&hello, HOME), Err(Rejection::Lane(lane)));
    }
}

#[test]
fn the_layout_of_greetings_stays() {
    let hello = Hello::new(HOME, Lane::Snapshot);
    let of_version_3 = [b"quorate\n".as_slice(), &[3], &[7; 32], &[3]].concat();
    assert_eq!(encoded(&hello), of_version_3);
    let ranging = Hello {
        versions: 3..=5,
        ..hello
    };
    assert_eq!(encoded(&ranging), [of_version_3.as_slice(), &[2]].concat());
    let lanes = [
        Lane::Append,
        Lane::Control,
        Lane::Forward,
        Lane::Snapshot,
        Lane::Pull,
    ];
    let numbers = lanes.map(|lane| Hello::new(HOME, lane).lane);
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let welcome = Greeting::Welcome {
        version: 3,
        log: LogState::More,
    };
    assert_eq!(encoded(&welcome), [0, 3, 2]);
    let refused = Greeting::Refused("no".to_owned());
    assert_eq!(encoded(&refused), [1, 2, b'n', b'o']);
}

#[test]
fn what_later_versions_add_to_greetings_is_skipped() {
    let grown = |content: &[u8]| [content, &[9; 200]].concat();
    let hello = Hello {
        versions: 3..=4,
        ..Hello::new(HOME, Lane::Control)
    };
    assert_eq!(Hello::parse(&grown(&encoded(&hello))), Ok(hello));
    for greeting in [
        Greeting::Welcome {
            version: 4,
            log: LogState::Empty,
        },
        Greeting::Refused("no".to_owned()),
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
        }
    }
    let front = encoded(&Hello::new(HOME, Lane::Append));
    let endless = [front.as_slice(), &[0xff; 20]].concat();
    assert!(Hello::parse(&endless).is_err());
    assert!(Greeting::parse(&[2]).is_err());
}

#[test]
fn every_rejection_fits_a_greeting() {
    let widest = || Versions(65_534..=u16::MAX);
    for rejection in [
        Rejection::Magic,
        Rejection::WireVersion {
            ours: widest(),
            theirs: widest(),
        },
        Rejection::Cluster,
        Rejection::Lane(u8::MAX),
        Rejection::LinkCount,
    ] {
        let greeting = Greeting::Refused(rejection.to_string());
        assert!(encoded(&greeting).len() <= GREETING_SIZE_MAX);
    }
}
