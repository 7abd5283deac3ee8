use bytes::{Buf, Bytes};

use super::*;

fn counters() -> FrameCounters {
    FrameCounters {
        frames: Counter::new("frames", "frames").unwrap(),
        bytes: Counter::new("bytes", "bytes").unwrap(),
    }
}

fn codec(size_max: usize) -> FrameCodec<(u64, Bytes)> {
    FrameCodec::new(size_max, Some(counters()))
}

fn message(number: u64) -> (u64, Bytes) {
    (number, Bytes::from(vec![0xab; 300]))
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
    let error = codec(302).encode(message(1), &mut buffer).unwrap_err();
    assert!(matches!(
        error,
        FrameError::Outgrown {
            size: 303,
            size_max: 302
        }
    ));
    assert_eq!(buffer, b"before"[..]);
    codec(303).encode(message(1), &mut buffer).unwrap();
}

#[test]
fn an_announced_size_over_the_limit_is_refused_before_it_comes() {
    for length in [1001, u32::MAX] {
        let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
        let error = codec(1000).decode(&mut buffer).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge(1000)), "{error}");
        assert!(buffer.capacity() < 1000, "no room is made for it");
    }
}

#[test]
fn what_is_no_message_is_refused() {
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
    let error = codec(1000)
        .decode(&mut frame(&[1, 1, 0, 9, 9]))
        .unwrap_err();
    assert!(matches!(error, FrameError::Rest(2)), "{error}");
}
