//! The forwarder through which one node connects to another.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::links::{Condition, Flow};

/// The most bytes of one read.
const CHUNK_SIZE_MAX: usize = 16 * 1024;

/// The most chunks of a connection in flight in one direction: 1 MiB, more than a slow link carries in
/// 200 ms.
const CHUNK_COUNT_MAX: usize = 64;

/// How long to wait before binding a port again after a failure.
const BIND_PAUSE: Duration = Duration::from_millis(50);

/// Forwards connections to `address` on to `target`.
#[derive(Clone)]
pub(crate) struct LinkProxy {
    pub(crate) address: SocketAddr,
    pub(crate) target: SocketAddr,
    /// What the dialer sends.
    pub(crate) forth: Arc<Flow>,
    /// What the dialed node sends.
    pub(crate) back: Arc<Flow>,
}

impl LinkProxy {
    /// Never returns. While the link refuses connections there is no listener, so the system refuses
    /// them.
    pub(crate) async fn run(self) {
        loop {
            self.wait_until_refused(false).await;
            match TcpListener::bind(self.address).await {
                Ok(listener) => tokio::select! {
                    never = self.serve(listener) => match never {},
                    () = self.wait_until_refused(true) => {}
                },
                Err(_) => sleep(BIND_PAUSE).await,
            }
        }
    }

    async fn wait_until_refused(&self, refused: bool) {
        let (mut forth, mut back) = (self.forth.condition(), self.back.condition());
        let is_refused =
            |condition: &watch::Receiver<Condition>| *condition.borrow() == Condition::Refused;
        while (is_refused(&forth) || is_refused(&back)) != refused {
            // The link ends with its runtime.
            tokio::select! {
                _ = forth.changed() => {}
                _ = back.changed() => {}
            }
        }
    }

    /// Accepts connections until dropped, which ends them too.
    async fn serve(&self, listener: TcpListener) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(self.clone().forward(stream));
                    }
                    // For example too many open files: the dialing node sees that too.
                    Err(_) => sleep(BIND_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Forwards one connection until both of its directions have ended, or one of them fails.
    async fn forward(self, mut dialer: TcpStream) {
        let Ok(mut dialed) = TcpStream::connect(self.target).await else {
            return;
        };
        let _ = (dialer.set_nodelay(true), dialed.set_nodelay(true));
        let (from_dialer, to_dialer) = dialer.split();
        let (from_dialed, to_dialed) = dialed.split();
        let forwarded = tokio::try_join!(
            pump(from_dialer, to_dialed, &self.forth),
            pump(from_dialed, to_dialer, &self.back),
        );
        if forwarded.is_err() {
            // A stream without an end is reset.
            let _ = (dialer.set_zero_linger(), dialed.set_zero_linger());
        }
    }
}

/// Bytes in flight; an empty chunk is the end of the stream.
struct Chunk {
    bytes: Bytes,
    sent: Instant,
}

/// Moves the bytes of one direction.
async fn pump(reader: ReadHalf<'_>, writer: WriteHalf<'_>, flow: &Flow) -> io::Result<()> {
    let (chunks, on_their_way) = mpsc::channel(CHUNK_COUNT_MAX);
    tokio::try_join!(read(reader, chunks), write(on_their_way, writer, flow))?;
    Ok(())
}

async fn read(mut reader: ReadHalf<'_>, chunks: mpsc::Sender<Chunk>) -> io::Result<()> {
    loop {
        let mut bytes = BytesMut::with_capacity(CHUNK_SIZE_MAX);
        // A reset is an end too. Whether the other side learns of it depends on the link.
        let size = reader.read_buf(&mut bytes).await.unwrap_or(0);
        let chunk = Chunk {
            bytes: bytes.freeze(),
            sent: Instant::now(),
        };
        if chunks.send(chunk).await.is_err() || size == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut chunks: mpsc::Receiver<Chunk>,
    mut writer: WriteHalf<'_>,
    flow: &Flow,
) -> io::Result<()> {
    let mut condition = flow.condition();
    while let Some(chunk) = chunks.recv().await {
        match arrive(&chunk, flow, &mut condition).await {
            true if chunk.bytes.is_empty() => return writer.shutdown().await,
            true => writer.write_all(&chunk.bytes).await?,
            false => return swallow(chunks, condition).await,
        }
    }
    Ok(())
}

/// Waits until a chunk arrives. Returns false if it is lost.
async fn arrive(chunk: &Chunk, flow: &Flow, condition: &mut watch::Receiver<Condition>) -> bool {
    let mut passed = None;
    loop {
        let now = *condition.borrow_and_update();
        match now {
            Condition::Normal => return true,
            Condition::Lost | Condition::Refused => return false,
            Condition::Delayed => {
                let _ = condition.changed().await;
            }
            Condition::Slow {
                delay,
                bytes_per_sec,
            } => {
                let passed = *passed.get_or_insert_with(|| {
                    flow.passed(chunk.sent, chunk.bytes.len(), delay, bytes_per_sec)
                });
                tokio::select! {
                    () = sleep_until(passed) => return true,
                    _ = condition.changed() => {}
                }
            }
        }
    }
}

/// Discards what is sent, so that the sender notices nothing, until the link is healed. Then the
/// connection, which has lost bytes, ends.
async fn swallow(
    mut chunks: mpsc::Receiver<Chunk>,
    mut condition: watch::Receiver<Condition>,
) -> io::Result<()> {
    let healed = condition.wait_for(|condition| *condition != Condition::Lost);
    let swallowed = async {
        while chunks.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = healed => {}
        () = swallowed => {}
    }
    Err(io::ErrorKind::ConnectionReset.into())
}
