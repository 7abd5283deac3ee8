//! Accepts connections and serves them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{ConnectionSlot, Connections, Listener, ListenerMetrics, ListenerName};

/// How many rejected connections get a response at the same time. Others are closed without one.
const REFUSAL_COUNT_MAX: usize = 64;

/// How long a rejected client gets to read the response.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after `accept` failed, for example because the process has no file descriptors
/// left. The system does not report when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves connections of a listener. `S` is the type of their streams.
pub trait Protocol<S: Send + 'static = TcpStream>: Send + Sync + 'static {
    /// Serves a connection until it ends. When `stop` is cancelled, it answers active requests and
    /// returns. The future is dropped if that takes longer than
    /// [`ConnectionLimits::drain_timeout`](super::ConnectionLimits), and immediately when the
    /// connection is evicted. A protocol that serves several requests on a connection calls
    /// [`ConnectionSlot::touch`] at each.
    fn serve(
        self: Arc<Self>,
        stream: S,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Reports to the peer that too many connections are open. By default the connection is just
    /// closed.
    fn refuse(self: Arc<Self>, stream: S) -> impl Future<Output = ()> + Send {
        async { drop(stream) }
    }
}

/// Where connections come from.
pub(crate) trait Accept: Send + Sync + 'static {
    /// The stream of a connection.
    type Stream: Send + 'static;

    /// Waits for the next connection. Returns it with the address for which it is counted.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

impl Listener {
    /// Serves connections with `protocol` until [`ListenerServer::shutdown`], within the limits of
    /// `connections`. `name` is the name of the listener in `metrics` and logs.
    pub fn serve(
        self,
        protocol: Arc<impl Protocol>,
        connections: &Connections,
        name: ListenerName,
        metrics: &ListenerMetrics,
    ) -> ListenerServer {
        let stop = CancellationToken::new();
        let accepting = serve(
            self.tcp,
            protocol,
            connections,
            (name, metrics),
            stop.clone(),
        );
        ListenerServer::spawn(self.local_addr, stop, accepting)
    }
}

/// Serves the connections of `listener` until `stop` is cancelled, and then lets them finish.
pub(crate) fn serve<L: Accept>(
    listener: L,
    protocol: Arc<impl Protocol<L::Stream>>,
    connections: &Connections,
    (name, metrics): (ListenerName, &ListenerMetrics),
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let acceptor = Acceptor {
        listener,
        protocol,
        connections: connections.clone(),
        refusals: Arc::new(Semaphore::new(REFUSAL_COUNT_MAX)),
        name,
        metrics: metrics.clone(),
        stop,
        cut_off: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    acceptor.run()
}

/// A running server. Dropping it starts a shutdown without waiting for it.
#[derive(Debug)]
pub struct ListenerServer {
    local_addr: SocketAddr,
    acceptor: JoinHandle<()>,
    stop: DropGuard,
}

impl ListenerServer {
    /// Spawns `accepting`, which serves connections until `stop` is cancelled and then lets them
    /// finish.
    pub fn spawn(
        local_addr: SocketAddr,
        stop: CancellationToken,
        accepting: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            local_addr,
            acceptor: tokio::spawn(accepting),
            stop: stop.drop_guard(),
        }
    }

    /// The address on which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Closes the listener and lets each connection finish. At the drain limit it closes those that
    /// are left.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.acceptor.await {
            tracing::error!(listen = %self.local_addr, %error, "the task of a listener panicked");
        }
    }
}

/// Accepts connections and counts them.
struct Acceptor<L, P> {
    listener: L,
    protocol: Arc<P>,
    connections: Connections,
    refusals: Arc<Semaphore>,
    name: ListenerName,
    metrics: ListenerMetrics,
    stop: CancellationToken,
    /// Cancelled at the drain limit.
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl<L: Accept, P: Protocol<L::Stream>> Acceptor<L, P> {
    async fn run(self) {
        while let Some(accepted) = self.stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => self.on_accepted(stream, peer),
                Err(error) => {
                    self.metrics.accept_errors_total.of(self.name).inc();
                    tracing::debug!(%error, listener = ?self.name, "a connection could not be accepted");
                    self.stop.run_until_cancelled(sleep(ACCEPT_RETRY)).await;
                }
            }
        }
        drop(self.listener);
        self.tasks.close();
        let drain_timeout = self.connections.limits().drain_timeout;
        if timeout(drain_timeout, self.tasks.wait()).await.is_err() {
            let count = self.tasks.len();
            tracing::warn!(count, listener = ?self.name, "connections were cut off at the drain limit");
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }

    fn on_accepted(&self, stream: L::Stream, peer: SocketAddr) {
        let Some(slot) = self.connections.admit(peer) else {
            return self.refuse(stream);
        };
        let open = self.metrics.on_admitted(self.name, &slot);
        let evicted = slot.evicted().clone();
        let protocol = self.protocol.clone();
        // Boxed, because a future that contains another reserves space for it twice: before the
        // first poll and after.
        let served = Box::pin(protocol.serve(stream, slot, self.stop.clone()));
        let served = async move { evicted.run_until_cancelled(served).await };
        self.spawn(served, open);
    }

    fn refuse(&self, stream: L::Stream) {
        self.metrics.connections_refused_total.of(self.name).inc();
        if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let refused = timeout(REFUSAL_TIMEOUT, self.protocol.clone().refuse(stream));
            self.spawn(refused, permit);
        }
    }

    /// Runs `work` until it ends or is cut off. `guard` is dropped then.
    fn spawn<T>(&self, work: impl Future<Output = T> + Send + 'static, guard: impl Send + 'static) {
        let cut_off = self.cut_off.clone();
        self.tasks.spawn(async move {
            let _guard = guard;
            cut_off.run_until_cancelled(work).await;
        });
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
