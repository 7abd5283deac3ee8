//! Which version of HTTP a client speaks that was not asked (RFC 9113, section 3.3).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Reads as much as it takes to tell the version. What is returned is read again from the start.
pub(crate) async fn detect<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<(Version, Reread<S>)> {
    let mut begin = [0; PREFACE.len()];
    let mut size = 0;
    let version = loop {
        let read = stream.read(&mut begin[size..]).await?;
        size += read;
        if read == 0 || begin[..size] != PREFACE[..size] {
            break Version::Http1;
        }
        if size == PREFACE.len() {
            break Version::Http2;
        }
    };
    let reread = Reread {
        begin,
        unread: 0..size,
        stream,
    };
    Ok((version, reread))
}

/// A stream whose begin is read once more.
#[derive(Debug)]
pub(crate) struct Reread<S> {
    begin: [u8; PREFACE.len()],
    unread: std::ops::Range<usize>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Reread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let size = self.unread.len().min(buffer.remaining());
        let end = self.unread.start + size;
        buffer.put_slice(&self.begin[self.unread.start..end]);
        self.unread.start = end;
        // With what has come behind it: a header that is read in two pieces is parsed twice, and takes
        // a larger buffer.
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reread<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// However it arrives.
    #[tokio::test]
    async fn the_version_is_told_and_every_byte_read_again() {
        use Version::{Http1, Http2};
        let http2 = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (bytes, version) in [
            (&http2[..], Http2),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Http1),
            (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", Http1),
            (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", Http1),
            (b"P", Http1),
            (b"", Http1),
        ] {
            for piece_size in [1, 3, 1000] {
                let (mut client, server) = tokio::io::duplex(piece_size);
                let send = async {
                    client.write_all(bytes).await.unwrap();
                    drop(client);
                };
                let receive = async {
                    let (told, mut stream) = detect(server).await.unwrap();
                    let mut read = Vec::new();
                    stream.read_to_end(&mut read).await.unwrap();
                    (told, read)
                };
                let ((), (told, read)) = tokio::join!(send, receive);
                assert_eq!((told, &*read), (version, bytes));
            }
        }
    }
}
