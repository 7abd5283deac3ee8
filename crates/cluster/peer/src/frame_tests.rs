use crate::message::{Proposed, Request, Response};
use bytes::{Buf, Bytes};
use quorate_state::{LogPosition, PutOutcome};

use super::*;
use crate::test_nodes::noise;

fn counters() -> FrameCounters {
    FrameCounters {
        frames: Counter::new("frames", "frames").unwrap(),
        bytes: Counter::new("bytes", "bytes").unwrap(),
    }
}

fn codec(size_max: usize) -> FrameCodec<Frame<Bytes>> {
    FrameCodec::new(size_max, Some(counters()))
}

fn message(number: u64) -> Frame<Bytes> {
    Frame {
        id: number,
        message: Bytes::from(vec![0xab; 300]),
        metadata: FrameMetadata {
            clock_ms: 1_700_000_000_000,
            level: 3,
            ..FrameMetadata::default()
        },
    }
}

#[test]
fn messages_survive_the_round_trip_byte_by_byte() {
    let (mut encoder, mut decoder) = (codec(1000), codec(1000));
    let mut wire = BytesMut::new();
    for number in 0..3 {
        encoder.encode(message(number), &mut wire).unwrap();
    }
    let size = wire.len();
    let mut buffer = BytesMut::new();
    let mut decoded = Vec::new();
    while wire.has_remaining() {
        buffer.put_u8(wire.get_u8());
        decoded.extend(decoder.decode(&mut buffer).unwrap());
    }
    assert_eq!(decoded, [message(0), message(1), message(2)]);
    assert!(buffer.is_empty());
    for counters in [encoder.counters, decoder.counters].into_iter().flatten() {
        assert_eq!(counters.frames.get(), 3);
        assert_eq!(counters.bytes.get(), size as u64);
    }
}

#[test]
fn a_message_that_outgrows_a_frame_leaves_nothing_in_the_buffer() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    // One byte for the number, two for the length, and the metadata.
    let size = 303 + postcard::to_stdvec(&message(1).metadata).unwrap().len();
    let error = codec(size - 1).encode(message(1), &mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::Outgrown { size: stated, .. } if stated == size));
    assert_eq!(buffer, b"before"[..]);
    codec(size).encode(message(1), &mut buffer).unwrap();
}

#[test]
fn an_announced_size_over_the_limit_is_rejected_before_the_frame() {
    for length in [1001, u32::MAX] {
        let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
        let error = codec(1000).decode(&mut buffer).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge(1000)), "{error}");
        assert!(buffer.capacity() < 1000, "no memory is allocated for it");
    }
}

/// Another layout needs another magic in the greeting.
#[test]
fn the_answer_to_a_forward_has_a_fixed_layout() {
    let answer = Response::Proposed(Proposed::Applied {
        position: LogPosition::new(5, 300),
        outcomes: vec![PutOutcome::Stored, PutOutcome::Blocked],
    });
    let layout = postcard::to_stdvec(&answer).unwrap();
    assert_eq!(layout, [3, 0, 5, 0xac, 2, 2, 0, 7]);
}

#[test]
fn bytes_that_are_not_a_message_are_rejected() {
    let frame = |body: &[u8]| {
        let mut frame = BytesMut::new();
        frame.put_u32(u32::try_from(body.len()).unwrap());
        frame.extend_from_slice(body);
        frame
    };
    // An empty frame, a varint without end, more bytes promised than there are.
    for body in [&[][..], &[0xff; 20], &[1, 5, 0, 0]] {
        let error = codec(1000).decode(&mut frame(body)).unwrap_err();
        assert!(matches!(error, FrameError::Decode(_)), "{body:?}: {error}");
    }
    let bad_tail = [&[1, 1, 0][..], &[0xff; 20]].concat();
    let error = codec(1000).decode(&mut frame(&bad_tail)).unwrap_err();
    assert!(matches!(error, FrameError::Decode(_)), "{error}");
}

#[test]
fn the_layout_of_a_frame_stays() {
    let frame = Frame {
        id: 300,
        message: Bytes::from_static(b"hi"),
        metadata: FrameMetadata {
            clock_ms: 1,
            level: 2,
            ..FrameMetadata::default()
        },
    };
    let mut buffer = BytesMut::new();
    codec(1000).encode(frame, &mut buffer).unwrap();
    assert_eq!(
        buffer,
        [
            &[0, 0, 0, 18, 0xac, 2, 2][..],
            b"hi",
            &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]
        ]
        .concat()[..]
    );
}

#[test]
fn no_bytes_make_parsing_panic() {
    let mut byte = noise();
    for round in 0..20_000 {
        let bytes: Vec<u8> = (0..round % 96).map(|_| byte()).collect();
        let _ = Frame::<Request>::parse(&bytes);
        let _ = Frame::<Response>::parse(&bytes);
    }
}
