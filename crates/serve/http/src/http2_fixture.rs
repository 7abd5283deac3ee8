//! An HTTP/2 client that sends frame by frame.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use crate::fixture::{Client, Fixture, within};

/// Types of HTTP/2 frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The setting of the initial window of streams (RFC 9113, section 6.5.2).
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = size[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A request's header, without its dynamic table (RFC 7541, sections 6.1 and 6.2.2).
fn header_block(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x01, 1, b'a', 0x04];
    block.push(u8::try_from(path.len()).unwrap());
    block.extend(path.as_bytes());
    block
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    header_block(0x82, path)
}

/// PUT, which is not in the static table.
pub(crate) fn put(path: &str) -> Vec<u8> {
    let post = header_block(0x83, path);
    [&[0x02, 3, b'P', b'U', b'T'], &post[1..]].concat()
}

/// The ids of streams that a client may open.
pub(crate) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// An HTTP/2 client that sends frame by frame.
pub(crate) struct Http2 {
    pub(crate) reader: OwnedReadHalf,
    pub(crate) writer: OwnedWriteHalf,
}

impl Http2 {
    pub(crate) async fn connect(server: &Fixture, settings: &[u8]) -> Self {
        let Client(stream) = server.connect().await;
        let (reader, mut writer) = stream.into_split();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let preface = [&preface[..], &frame(SETTINGS, 0, 0, settings)].concat();
        writer.write_all(&preface).await.unwrap();
        Self { reader, writer }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// The next frame: its type, its stream and its payload.
    pub(crate) async fn receive(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        let read = self.reader.read_exact(&mut head);
        within("a frame arrives", read).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.reader.read_exact(&mut payload).await.ok()?;
        Some((kind, u32::from_be_bytes(stream), payload))
    }

    /// Reads until a frame of this type, and returns its payload.
    pub(crate) async fn receive_kind(&mut self, kind: u8) -> Vec<u8> {
        loop {
            match self.receive().await {
                Some((got, _, payload)) if got == kind => return payload,
                Some(_) => {}
                None => panic!("the connection ended before a frame of kind {kind}"),
            }
        }
    }

    /// Reads until the connection ends, and returns the error code of the first GOAWAY.
    pub(crate) async fn read_to_end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some((kind, _, payload)) = self.receive().await {
            if kind == GOAWAY {
                let code = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                reason.get_or_insert(code);
            }
        }
        reason
    }
}
