//! TCP connections (RFC 7766).

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{Config, Metrics, QUERY_SIZE_MAX, Responder, Transport};

/// The size of the length before each message, in bytes (RFC 1035, section 4.2.2).
const LENGTH_SIZE: usize = 2;

/// How many bytes of responses are gathered before they are sent: pipelined queries share a
/// packet, and a client that reads nothing makes us keep little.
const FLUSH_SIZE: usize = 16 * 1024;

/// How long to wait after the kernel refused a connection, as it does when the process has no file
/// descriptors left: nothing tells when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How long a shutdown waits for responses that are under way. They are ready, so that only the
/// client can be slow.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What connections share.
struct Shared {
    config: Config,
    responder: Arc<Responder>,
}

/// Accepts connections and keeps count of them.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    connections: JoinSet<()>,
}

impl Acceptor {
    pub(crate) fn new(
        config: Config,
        listener: TcpListener,
        responder: Arc<Responder>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared { config, responder }),
            listener,
            stopped,
            connections: JoinSet::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                () = stop_asked(&mut stopped) => break,
                Some(_) = self.connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.on_accepted(stream),
                    Err(error) => {
                        tracing::debug!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(self.listener);
        let drained = async { while self.connections.join_next().await.is_some() {} };
        if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            self.connections.shutdown().await;
        }
    }

    /// Over the cap a connection is closed at once: a client that hears nothing tries elsewhere.
    fn on_accepted(&mut self, stream: TcpStream) {
        if self.connections.len() >= self.shared.config.tcp_connection_count_max {
            self.shared.responder.metrics().connections_refused.inc();
            return;
        }
        let (shared, mut stopped) = (self.shared.clone(), self.stopped.clone());
        self.connections.spawn(async move {
            let _open = Open::new(shared.responder.metrics());
            if let Err(error) = Connection::new(&shared, stream).run(&mut stopped).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Resolves when the server was shut down or dropped.
async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a Metrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// One connection. Queries are answered in their order, since none waits for anything.
struct Connection<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    /// What was received and not answered yet.
    received: BytesMut,
    /// Responses with their lengths, not sent yet.
    unsent: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, stream: TcpStream) -> Self {
        Self {
            shared,
            stream,
            received: BytesMut::new(),
            unsent: Vec::new(),
        }
    }

    /// Serves the connection until the client ends it, brings no query for too long, or sends what
    /// cannot be one.
    async fn run(mut self, stopped: &mut watch::Receiver<bool>) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut deadline = self.deadline();
        loop {
            self.received.reserve(LENGTH_SIZE + QUERY_SIZE_MAX);
            let read = timeout_at(deadline, self.stream.read_buf(&mut self.received));
            let size = tokio::select! {
                () = stop_asked(stopped) => return Ok(()),
                read = read => match read {
                    Ok(size) => size?,
                    Err(_elapsed) => return Ok(()),
                },
            };
            if size == 0 {
                return Ok(());
            }
            // Only whole queries count as progress, or a byte a second would hold a connection.
            if self.answer_received().await? {
                deadline = self.deadline();
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.config.tcp_idle_timeout
    }

    /// Answers every whole query received so far, and says whether there was one.
    async fn answer_received(&mut self) -> io::Result<bool> {
        let mut response = Vec::new();
        let mut progress = false;
        while let Some((length, rest)) = self.received.split_first_chunk::<LENGTH_SIZE>() {
            let size = usize::from(u16::from_be_bytes(*length));
            if size > QUERY_SIZE_MAX {
                self.flush().await?;
                return Err(io::Error::other(
                    "a query is longer than any query needs to be",
                ));
            }
            let Some(message) = rest.get(..size) else {
                break;
            };
            let responder = &self.shared.responder;
            if responder
                .respond(message, Transport::Tcp, &mut response)
                .is_none()
            {
                self.flush().await?;
                return Err(io::Error::other("a message is not a query"));
            }
            let length = u16::try_from(response.len()).expect("size_max bounds responses");
            self.unsent.extend_from_slice(&length.to_be_bytes());
            self.unsent.extend_from_slice(&response);
            self.received.advance(LENGTH_SIZE + size);
            progress = true;
            if self.unsent.len() >= FLUSH_SIZE {
                self.flush().await?;
            }
        }
        self.flush().await?;
        Ok(progress)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let write_timeout = self.shared.config.tcp_write_timeout;
        timeout(write_timeout, self.stream.write_all(&self.unsent)).await??;
        self.unsent.clear();
        Ok(())
    }
}
