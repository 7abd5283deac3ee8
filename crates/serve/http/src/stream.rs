//! The byte stream of a client: limits its bytes per second and detects the version of HTTP.

use std::{
    future::poll_fn,
    io, mem,
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

/// The first bytes of an HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Counts bytes of a client, and returns how long it must wait before the next. 0 bytes only return
/// the waiting time.
pub type BandwidthLimiter = Arc<dyn Fn(IpAddr, usize) -> Duration + Send + Sync>;

/// What a TLS handshake counts of its client's bytes, in addition to those that it transfers: it
/// costs as much CPU as answers of this size, about 0.2 ms. With the default limits a client can
/// start 4,096 at once, enough for 2,000 endpoints behind one address, and 512 per second.
pub const HANDSHAKE_COST: usize = 16 * 1024;

/// How many bytes of a connection are counted for its client at once. Counting each request and
/// each answer would be a tenth of the cost of a GET.
const CHARGE_SIZE: usize = 4 * 1024;

/// Limits the bytes per second of a connection and of its client.
pub struct Throttle {
    client: IpAddr,
    charge: Option<BandwidthLimiter>,
    /// Bytes that were not counted for the client yet.
    uncharged: usize,
    /// How many bytes per second the connection may transfer, in both directions together. The
    /// burst is as large.
    bytes_per_sec: u64,
    /// The time at which the connection's rate has caught up with the bytes that it transferred.
    spent_until: Instant,
    /// When reading from the client resumes, if it is paused.
    resume_at: Option<Instant>,
}

impl Throttle {
    /// `bytes_per_sec` is the limit of the connection, and `charge` that of its client.
    pub fn new(client: IpAddr, charge: Option<BandwidthLimiter>, bytes_per_sec: u64) -> Self {
        let now = Instant::now();
        let mut throttle = Self {
            client,
            charge,
            uncharged: 0,
            bytes_per_sec,
            spent_until: now,
            resume_at: None,
        };
        // A new connection does not shorten the waiting time of its client.
        let wait = throttle.charge_client(0);
        throttle.pause(wait);
        throttle
    }

    /// Counts bytes, and pauses reading for as long as they require.
    fn charge(&mut self, byte_count: usize) {
        let now = Instant::now();
        let cost = Duration::from_secs_f64(byte_count as f64 / self.bytes_per_sec as f64);
        self.spent_until = self.spent_until.max(now) + cost;
        let of_connection = (self.spent_until - now).saturating_sub(Duration::from_secs(1));
        self.uncharged += byte_count;
        let of_client = match self.uncharged < CHARGE_SIZE {
            true => Duration::ZERO,
            false => {
                let byte_count = mem::take(&mut self.uncharged);
                self.charge_client(byte_count)
            }
        };
        self.pause(of_connection.max(of_client));
    }

    fn charge_client(&self, byte_count: usize) -> Duration {
        let charge = self.charge.as_ref();
        charge.map_or(Duration::ZERO, |charge| charge(self.client, byte_count))
    }

    /// Pauses reading for at least so long.
    fn pause(&mut self, wait: Duration) {
        if !wait.is_zero() {
            self.resume_at = self.resume_at.max(Some(Instant::now() + wait));
        }
    }
}

/// Otherwise a client could send little on each of many connections.
impl Drop for Throttle {
    fn drop(&mut self) {
        self.charge_client(self.uncharged);
    }
}

/// A connection whose bytes are limited. After too many bytes, reading pauses: what the client
/// sends stays in the system's buffers, and soon it cannot send more. Writes are not delayed,
/// because they only answer requests that were read.
pub struct ClientStream<S> {
    stream: S,
    /// `None` if there is no limit.
    throttle: Option<Throttle>,
    /// Wakes the reader when the pause ends.
    pause: Option<Pin<Box<Sleep>>>,
    /// The bytes that were read to detect the version.
    begin: [u8; PREFACE.len()],
    /// The part of `begin` that must be returned to the reader again.
    unread: Range<usize>,
}

impl<S> ClientStream<S> {
    /// Without a `throttle` there is no limit.
    pub fn new(stream: S, throttle: Option<Throttle>) -> Self {
        Self {
            stream,
            throttle,
            pause: None,
            begin: [0; PREFACE.len()],
            unread: 0..0,
        }
    }

    fn charge(&mut self, byte_count: usize) {
        if let Some(throttle) = &mut self.throttle {
            throttle.charge(byte_count);
        }
    }

    /// Counts a TLS handshake, and waits until the limits allow it.
    pub async fn begin_handshake(&mut self) {
        self.charge(HANDSHAKE_COST);
        poll_fn(|cx| self.poll_resumed(cx)).await;
    }

    /// Ready when reading is not paused.
    fn poll_resumed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            // Only the reader may take it, because a writer would not wake the reader.
            match self
                .throttle
                .as_mut()
                .and_then(|throttle| throttle.resume_at.take())
            {
                Some(resume_at) => self.pause = Some(Box::pin(sleep_until(resume_at))),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// Whether a client without TLS speaks HTTP/2 (RFC 9113, section 3.3). The bytes that are read
    /// to detect this are returned to the reader again.
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

    fn poll_throttled(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_resumed(cx));
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
            return self.poll_throttled(cx, buffer);
        }
        let begin = self.unread.start;
        let end = begin + self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.begin[begin..end]);
        self.unread.start = end;
        // Also read what follows: a header that arrives in two pieces is parsed twice, and takes a
        // larger buffer.
        match self.poll_throttled(cx, buffer) {
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn read_all(throttle: Option<Throttle>, size: usize) -> Duration {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { client.write_all(&vec![0; size]).await });
        let mut server = ClientStream::new(server, throttle);
        let started = Instant::now();
        server.read_exact(&mut vec![0; size]).await.unwrap();
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_a_burst_of_one_second_and_then_its_rate() {
        assert_eq!(read_all(None, 1_000_000).await, Duration::ZERO);
        let throttle = || Some(Throttle::new(CLIENT, None, 100_000));
        assert_eq!(read_all(throttle(), 100_000).await, Duration::ZERO);
        // The wait for the last bytes would come before the next read.
        let took = read_all(throttle(), 1_000_000).await;
        assert!((8.0..=9.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_as_long_as_the_limiter_returns() {
        let charge: BandwidthLimiter = Arc::new(|client, byte_count| {
            assert_eq!(client, CLIENT);
            Duration::from_millis(byte_count as u64)
        });
        let took = read_all(Some(Throttle::new(CLIENT, Some(charge), u64::MAX)), 100_000).await;
        assert!((30.0..=101.0).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn writes_count_too_and_are_not_delayed() {
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let mut server = ClientStream::new(server, Some(Throttle::new(CLIENT, None, 10_000)));
        let started = Instant::now();
        server.write_all(&[0; 110_000]).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
        client.write_all(b"x").await.unwrap();
        server.read_u8().await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn writes_during_a_pause_prolong_it_and_do_not_block_the_reader() {
        let (mut client, server) = tokio::io::duplex(1_000_000);
        let server = ClientStream::new(server, Some(Throttle::new(CLIENT, None, 10_000)));
        let (mut reader, mut writer) = tokio::io::split(server);
        let started = Instant::now();
        client.write_all(b"x").await.unwrap();
        writer.write_all(&[0; 20_000]).await.unwrap();
        let read = tokio::spawn(async move { reader.read_u8().await });
        tokio::task::yield_now().await;
        writer.write_all(&[0; 10_000]).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert_eq!(read.expect("reading resumes").unwrap().unwrap(), b'x');
        assert!(started.elapsed() >= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_for_earlier_bytes_of_its_client() {
        let wait = Duration::from_secs(2);
        let charge: BandwidthLimiter = Arc::new(move |_, byte_count| match byte_count {
            0 => wait,
            _ => Duration::ZERO,
        });
        let took = read_all(Some(Throttle::new(CLIENT, Some(charge), u64::MAX)), 1).await;
        assert!(took >= wait, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_waits_for_the_limits_of_its_client() {
        let charge: BandwidthLimiter = Arc::new(|_, byte_count| match byte_count {
            HANDSHAKE_COST => Duration::from_secs(2),
            _ => Duration::ZERO,
        });
        let (_client, server) = tokio::io::duplex(1);
        let mut server =
            ClientStream::new(server, Some(Throttle::new(CLIENT, Some(charge), u64::MAX)));
        let started = Instant::now();
        server.begin_handshake().await;
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    /// A client that closes each connection after a few bytes is counted too.
    #[tokio::test]
    async fn few_bytes_are_counted_at_the_end_of_the_connection() {
        let charged = Arc::new(AtomicUsize::new(0));
        let count = charged.clone();
        let charge: BandwidthLimiter = Arc::new(move |_, byte_count| {
            count.fetch_add(byte_count, Ordering::Relaxed);
            Duration::ZERO
        });
        read_all(Some(Throttle::new(CLIENT, Some(charge), u64::MAX)), 100).await;
        assert_eq!(charged.load(Ordering::Relaxed), 100);
    }

    /// In pieces of any size.
    #[tokio::test]
    async fn the_version_is_detected_and_every_byte_is_read_again() {
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
                    let detected = stream.is_http2().await.unwrap();
                    let mut read = Vec::new();
                    stream.read_to_end(&mut read).await.unwrap();
                    (detected, read)
                };
                let ((), (detected, read)) = tokio::join!(send, receive);
                assert_eq!((detected, &*read), (is_http2, bytes));
            }
        }
    }
}
