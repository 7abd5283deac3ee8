//! Frames: a length of 4 bytes, big-endian, and the content.

use std::{io, marker::PhantomData};

use crate::{DecodeError, Frame, FrameMetadata, LinkError};
use bytes::{BufMut, BytesMut};
use quorate_metrics::Counter;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

/// The largest frame, in bytes, without its length.
/// An append carries entries of about 2 MiB, a piece of a snapshot 1 MiB, a batch of packets less. Four times
/// the largest leaves room for larger commands, and is small compared with the memory for packets.
pub const FRAME_SIZE_MAX: usize = 8 * 1024 * 1024;

/// Size of the length before each frame, in bytes.
const LENGTH_SIZE: usize = 4;

/// Counts frames and their bytes.
#[derive(Debug, Clone)]
pub(crate) struct FrameCounters {
    pub(crate) frames: Counter,
    pub(crate) bytes: Counter,
}

/// The content of a frame, in postcard.
pub(crate) trait Content: Serialize + Sized {
    /// Decodes it from a frame.
    fn parse(frame: &[u8]) -> Result<Self, DecodeError>;
}

/// Encoded as number and message, then the metadata up to the end of the frame.
impl<T: Serialize + DeserializeOwned> Content for Frame<T> {
    fn parse(frame: &[u8]) -> Result<Self, DecodeError> {
        let ((id, message), metadata) = parse_front(frame)?;
        let metadata = FrameMetadata::decode(metadata)?;
        Ok(Self {
            id,
            message,
            metadata,
        })
    }
}

/// Decodes a postcard value, and returns the bytes after it.
pub(crate) fn parse_front<T: DeserializeOwned>(frame: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    postcard::take_from_bytes(frame).map_err(|error| DecodeError(error.to_string()))
}

/// A codec of frames with a `T`.
#[derive(Debug)]
pub(crate) struct FrameCodec<T> {
    frames: LengthDelimitedCodec,
    counters: Option<FrameCounters>,
    message: PhantomData<fn(T) -> T>,
}

impl<T> FrameCodec<T> {
    /// Without counters for greetings, which have no stream kind yet.
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

    fn count(&self, size: usize) {
        if let Some(FrameCounters { frames, bytes }) = &self.counters {
            frames.inc();
            bytes.inc_by(u64::try_from(LENGTH_SIZE + size).unwrap_or(u64::MAX));
        }
    }
}

impl<T: Content> Encoder<T> for FrameCodec<T> {
    type Error = FrameError;

    /// Appends the message to `buffer`; on failure, nothing.
    fn encode(&mut self, message: T, buffer: &mut BytesMut) -> Result<(), FrameError> {
        let start = buffer.len();
        buffer.put_bytes(0, LENGTH_SIZE);
        let encoded = postcard::to_io(&message, buffer.writer()).map(drop);
        let size = buffer.len() - start - LENGTH_SIZE;
        let size_max = self.frames.max_frame_length();
        let length = match (encoded, u32::try_from(size)) {
            (Ok(()), Ok(length)) if size <= size_max => length,
            (encoded, _) => {
                buffer.truncate(start);
                encoded.map_err(FrameError::Encode)?;
                return Err(FrameError::Outgrown { size, size_max });
            }
        };
        buffer[start..start + LENGTH_SIZE].copy_from_slice(&length.to_be_bytes());
        self.count(size);
        Ok(())
    }
}

impl<T: Content> Decoder for FrameCodec<T> {
    type Item = T;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<T>, FrameError> {
        let frame = self.frames.decode(buffer);
        // This is the only error of a length.
        let frame = frame.map_err(|_| FrameError::TooLarge(self.frames.max_frame_length()))?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        self.count(frame.len());
        T::parse(&frame).map(Some).map_err(FrameError::Decode)
    }
}

/// Why frames cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the other end closed the link")]
    Closed,
    #[error("the length of a frame is more than {0} bytes")]
    TooLarge(usize),
    #[error("a frame does not contain a message of this wire version")]
    Decode(#[source] DecodeError),
    #[error("a message has {size} bytes, but a frame at most {size_max}")]
    Outgrown { size: usize, size_max: usize },
    #[error("a message cannot be encoded")]
    Encode(#[source] postcard::Error),
}

impl FrameError {
    /// Whether the other end disconnected, between two frames or within one.
    pub(crate) fn is_disconnect(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => is_disconnect(error),
            _ => false,
        }
    }

    /// The error for users of the link, with this text.
    pub(crate) fn link_error(&self, text: String) -> LinkError {
        match self.is_disconnect() {
            true => LinkError::Closed(text),
            false => LinkError::Failed(text),
        }
    }
}

/// Whether a connection failed because the other end disconnected.
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
