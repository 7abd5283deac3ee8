//! Frames: a length of 4 bytes, big-endian, and a message in postcard.

use std::{io, marker::PhantomData};

use bytes::{BufMut, BytesMut};
use postcard::ser_flavors::Flavor;
use quorate_metrics::Counter;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec, LengthDelimitedCodecError};

/// The largest frame, in bytes, without its length.
///
/// An append carries entries of about 2 MiB, a piece of a snapshot 1 MiB and a batch of packets
/// less than that. Four times the largest leaves room for a command that outgrows its batch, and
/// stays small beside what a node has for records.
pub const FRAME_SIZE_MAX: usize = 8 * 1024 * 1024;

/// Size of the length before each frame, in bytes.
const LENGTH_SIZE: usize = 4;

/// Counts frames and their bytes.
#[derive(Debug, Clone)]
pub(crate) struct FrameCounters {
    pub(crate) frames: Counter,
    pub(crate) bytes: Counter,
}

impl FrameCounters {
    fn count(&self, size: usize) {
        self.frames.inc();
        self.bytes
            .inc_by(u64::try_from(LENGTH_SIZE + size).unwrap_or(u64::MAX));
    }
}

/// Writes messages as frames.
#[derive(Debug)]
pub(crate) struct FrameEncoder<T> {
    size_max: usize,
    counters: Option<FrameCounters>,
    message: PhantomData<fn(T)>,
}

impl<T> FrameEncoder<T> {
    /// Greetings are not counted: they have no lane yet.
    pub(crate) fn new(size_max: usize, counters: Option<FrameCounters>) -> Self {
        Self {
            size_max,
            counters,
            message: PhantomData,
        }
    }
}

impl<T: Serialize> Encoder<T> for FrameEncoder<T> {
    type Error = FrameError;

    /// Writes the message behind what `buffer` holds; when it fails, nothing.
    fn encode(&mut self, message: T, buffer: &mut BytesMut) -> Result<(), FrameError> {
        let start = buffer.len();
        buffer.put_bytes(0, LENGTH_SIZE);
        let encoded = postcard::serialize_with_flavor(&message, Tail(buffer));
        let size = buffer.len() - start - LENGTH_SIZE;
        let length = match (encoded, u32::try_from(size)) {
            (Ok(()), Ok(length)) if size <= self.size_max => length,
            (encoded, _) => {
                buffer.truncate(start);
                encoded.map_err(FrameError::Encode)?;
                let size_max = self.size_max;
                return Err(FrameError::Outgrown { size, size_max });
            }
        };
        buffer[start..start + LENGTH_SIZE].copy_from_slice(&length.to_be_bytes());
        if let Some(counters) = &self.counters {
            counters.count(size);
        }
        Ok(())
    }
}

/// Lets postcard write behind what a buffer holds.
struct Tail<'a>(&'a mut BytesMut);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.put_u8(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads frames as messages.
#[derive(Debug)]
pub(crate) struct FrameDecoder<T> {
    frames: LengthDelimitedCodec,
    counters: Option<FrameCounters>,
    message: PhantomData<fn() -> T>,
}

impl<T> FrameDecoder<T> {
    /// Greetings are not counted: they have no lane yet.
    pub(crate) fn new(size_max: usize, counters: Option<FrameCounters>) -> Self {
        Self {
            frames: LengthDelimitedCodec::builder()
                .length_field_length(LENGTH_SIZE)
                .max_frame_length(size_max)
                .new_codec(),
            counters,
            message: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Decoder for FrameDecoder<T> {
    type Item = T;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<T>, FrameError> {
        let frame = self.frames.decode(buffer).map_err(|error| {
            match error
                .get_ref()
                .is_some_and(|e| e.is::<LengthDelimitedCodecError>())
            {
                true => FrameError::TooLarge(self.frames.max_frame_length()),
                false => FrameError::Io(error),
            }
        })?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        if let Some(counters) = &self.counters {
            counters.count(frame.len());
        }
        match postcard::take_from_bytes(&frame) {
            Ok((message, [])) => Ok(Some(message)),
            Ok((_, rest)) => Err(FrameError::Rest(rest.len())),
            Err(error) => Err(FrameError::Decode(error)),
        }
    }
}

/// Why frames cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the other end closed the link")]
    Closed,
    #[error("a frame is announced that is larger than {0} bytes")]
    TooLarge(usize),
    #[error("a frame holds no message of this wire version")]
    Decode(#[source] postcard::Error),
    #[error("a frame holds {0} bytes behind its message")]
    Rest(usize),
    #[error("a message takes {size} bytes, and a frame at most {size_max}")]
    Outgrown { size: usize, size_max: usize },
    #[error("a message cannot be encoded")]
    Encode(#[source] postcard::Error),
}

impl FrameError {
    /// Whether the other end just went away, between two frames or within one.
    pub(crate) fn is_disconnect(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => is_disconnect(error),
            _ => false,
        }
    }
}

/// Whether a connection failed because the other end just went away.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
