//! What a client sends and is sent: at what pace, and in which version of HTTP.

use std::{
    io,
    net::IpAddr,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Charges a client for bytes, and says how long it waits before the next. No bytes cost nothing.
pub type Charge = Arc<dyn Fn(IpAddr, usize) -> Duration + Send + Sync>;

/// Who pays for the bytes of a connection.
pub(crate) struct Meter {
    client: IpAddr,
    charge: Option<Charge>,
    /// How many bytes a second the connection may have, in both directions together, and as many
    /// at once.
    bytes_per_sec: u64,
    /// Until when the connection has had its bytes.
    paid_until: Instant,
    /// When the client is heard again, where it is not.
    heard_at: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(client: IpAddr, charge: Option<Charge>, bytes_per_sec: u64) -> Self {
        let now = Instant::now();
        let mut meter = Self {
            client,
            charge,
            bytes_per_sec,
            paid_until: now,
            heard_at: None,
        };
        // Nobody is heard sooner by connecting anew.
        meter.charge(0);
        meter
    }

    /// Has the client wait as long as these bytes ask for.
    fn charge(&mut self, byte_count: usize) {
        let now = Instant::now();
        let cost = Duration::from_secs_f64(byte_count as f64 / self.bytes_per_sec as f64);
        self.paid_until = self.paid_until.max(now) + cost;
        let of_connection = (self.paid_until - now).saturating_sub(Duration::from_secs(1));
        let charge = self.charge.as_ref();
        let of_client = charge.map_or(Duration::ZERO, |charge| charge(self.client, byte_count));
        let wait = of_connection.max(of_client);
        if !wait.is_zero() {
            self.heard_at = self.heard_at.max(Some(now + wait));
        }
    }
}

/// A connection on which bytes are paid for. Who has had too many is not heard for a while: what it
/// then sends stays in the system's buffers, and it soon can send no more. What is sent to it is not
/// held back, since it is no more than what it was heard to ask for.
pub(crate) struct ClientStream<S> {
    stream: S,
    /// `None` where bytes are free.
    meter: Option<Meter>,
    /// What wakes the one who reads when the client is heard again.
    pause: Option<Pin<Box<Sleep>>>,
    /// What was read to tell the version,
    begin: [u8; PREFACE.len()],
    /// and how much of it is still to be read again.
    unread: Range<usize>,
}

impl<S> ClientStream<S> {
    pub(crate) fn new(stream: S, meter: Option<Meter>) -> Self {
        Self {
            stream,
            meter,
            pause: None,
            begin: [0; PREFACE.len()],
            unread: 0..0,
        }
    }

    fn charge(&mut self, byte_count: usize) {
        if let Some(meter) = &mut self.meter {
            meter.charge(byte_count);
        }
    }

    /// Ready when the client is heard.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            // Taken here alone: whoever writes is not the one to be woken.
            match self.meter.as_mut().and_then(|meter| meter.heard_at.take()) {
                Some(heard_at) => self.pause = Some(Box::pin(sleep_until(heard_at))),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// Whether a client that was not asked speaks HTTP/2 (RFC 9113, section 3.3). Reads as much as it
    /// takes to tell, which is read again from the start.
    pub(crate) async fn is_http2(&mut self) -> io::Result<bool> {
        let mut begin = [0; PREFACE.len()];
        let mut size = 0;
        let is_http2 = loop {
            let read = self.read(&mut begin[size..]).await?;
            size += read;
            if read == 0 || begin[..size] != PREFACE[..size] {
                break false;
            }
            if size == PREFACE.len() {
                break true;
            }
        };
        (self.begin, self.unread) = (begin, 0..size);
        Ok(is_http2)
    }

    fn poll_charged(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_heard(cx));
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.charge(buffer.filled().len() - filled);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return self.poll_charged(cx, buffer);
        }
        let begin = self.unread.start;
        let end = begin + self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.begin[begin..end]);
        self.unread.start = end;
        // With what has come behind it: a header that is read in two pieces is parsed twice, and takes
        // a larger buffer.
        match self.poll_charged(cx, buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.charge(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces))?;
        self.charge(written);
        Poll::Ready(Ok(written))
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn read_all(meter: Option<Meter>, size: usize) -> Duration {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { client.write_all(&vec![0; size]).await });
        let mut server = ClientStream::new(server, meter);
        let begun = Instant::now();
        server.read_exact(&mut vec![0; size]).await.unwrap();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_its_bytes_of_a_second_at_once_and_then_as_many_each_second() {
        assert_eq!(read_all(None, 1_000_000).await, Duration::ZERO);
        let meter = || Some(Meter::new(CLIENT, None, 100_000));
        assert_eq!(read_all(meter(), 100_000).await, Duration::ZERO);
        // What was read last is waited for before the next.
        let took = read_all(meter(), 1_000_000).await;
        assert!((8.0..=9.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_as_long_as_it_is_told_to() {
        let charge: Charge = Arc::new(|client, byte_count| {
            assert_eq!(client, CLIENT);
            Duration::from_millis(byte_count as u64)
        });
        let took = read_all(Some(Meter::new(CLIENT, Some(charge), u64::MAX)), 100_000).await;
        assert!((30.0..=101.0).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_to_a_client_counts_too_and_is_not_held_back() {
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let mut server = ClientStream::new(server, Some(Meter::new(CLIENT, None, 10_000)));
        let begun = Instant::now();
        server.write_all(&[0; 110_000]).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        client.write_all(b"x").await.unwrap();
        server.read_u8().await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_sent_more_while_it_waits_is_heard_later_and_not_never() {
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let server = ClientStream::new(server, Some(Meter::new(CLIENT, None, 10_000)));
        let (mut reader, mut writer) = tokio::io::split(server);
        let begun = Instant::now();
        client.write_all(b"x").await.unwrap();
        writer.write_all(&[0; 20_000]).await.unwrap();
        let read = tokio::spawn(async move { reader.read_u8().await });
        tokio::task::yield_now().await;
        writer.write_all(&[0; 10_000]).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert_eq!(read.expect("it is heard").unwrap().unwrap(), b'x');
        assert!(begun.elapsed() >= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_anew_waits_for_what_it_moved_before() {
        let wait = Duration::from_secs(2);
        let charge: Charge = Arc::new(move |_, byte_count| match byte_count {
            0 => wait,
            _ => Duration::ZERO,
        });
        let took = read_all(Some(Meter::new(CLIENT, Some(charge), u64::MAX)), 1).await;
        assert!(took >= wait, "{took:?}");
    }

    /// However it arrives.
    #[tokio::test]
    async fn the_version_is_told_and_every_byte_read_again() {
        let http2 = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (bytes, is_http2) in [
            (&http2[..], true),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
            (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", false),
            (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", false),
            (b"P", false),
            (b"", false),
        ] {
            for piece_size in [1, 3, 1000] {
                let (mut client, server) = tokio::io::duplex(piece_size);
                let send = async {
                    client.write_all(bytes).await.unwrap();
                    drop(client);
                };
                let receive = async {
                    let mut stream = ClientStream::new(server, None);
                    let told = stream.is_http2().await.unwrap();
                    let mut read = Vec::new();
                    stream.read_to_end(&mut read).await.unwrap();
                    (told, read)
                };
                let ((), (told, read)) = tokio::join!(send, receive);
                assert_eq!((told, &*read), (is_http2, bytes));
            }
        }
    }
}
