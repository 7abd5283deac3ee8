//! Serving connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

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

use super::{Connections, Listener, ListenerMetrics, Name, Place};

/// How many connections over the cap are told so at one time. Those beyond are closed unheard.
const REFUSAL_COUNT_MAX: usize = 64;

/// How long a refused client is given to read the refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after the system refused a connection, as it does when the process has no file
/// descriptors left: nothing tells when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What is said on a connection.
pub trait Protocol: Send + Sync + 'static {
    /// Serves a connection to its end. When `stop` is cancelled it answers what is under way and
    /// returns; it is dropped if it has not after [`Limits::drain_timeout`](super::Limits), and at
    /// once when it gives way to another. A protocol that serves several requests on a connection
    /// [touches](Place::touch) its place at each.
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        place: Place,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Tells the other end that too many connections are open. By default it is closed unheard.
    fn refuse(self: Arc<Self>, stream: TcpStream) -> impl Future<Output = ()> + Send {
        async { drop(stream) }
    }
}

impl Listener {
    /// Serves connections by `protocol` until [`ListenerServer::shutdown`], as many as `connections` has
    /// places for. `name` is that of the listener in `metrics` and logs.
    pub fn serve(
        self,
        protocol: Arc<impl Protocol>,
        connections: &Connections,
        name: Name,
        metrics: &ListenerMetrics,
    ) -> ListenerServer {
        let stop = CancellationToken::new();
        let acceptor = Acceptor {
            tcp: self.tcp,
            protocol,
            connections: connections.clone(),
            refusals: Arc::new(Semaphore::new(REFUSAL_COUNT_MAX)),
            name,
            metrics: metrics.clone(),
            stop: stop.clone(),
            cut_off: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        ListenerServer::spawn(self.local_addr, stop, acceptor.run())
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct ListenerServer {
    local_addr: SocketAddr,
    acceptor: JoinHandle<()>,
    stop: DropGuard,
}

impl ListenerServer {
    /// Runs `accepting`, which serves connections until `stop` is cancelled, and then lets them end.
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

    /// The address it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Frees the address and lets each connection end; at the drain limit cuts off all that are
    /// left.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.acceptor.await {
            tracing::error!(listen = %self.local_addr, %error, "a listener did not end well");
        }
    }
}

/// Accepts connections and keeps count of them.
struct Acceptor<P> {
    tcp: TcpListener,
    protocol: Arc<P>,
    connections: Connections,
    refusals: Arc<Semaphore>,
    name: Name,
    metrics: ListenerMetrics,
    stop: CancellationToken,
    /// Cancelled at the drain limit.
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl<P: Protocol> Acceptor<P> {
    async fn run(self) {
        while let Some(accepted) = self.stop.run_until_cancelled(self.tcp.accept()).await {
            match accepted {
                Ok((stream, peer)) => self.on_accepted(stream, peer),
                Err(error) => {
                    self.metrics.accept_errors_total.of(self.name).inc();
                    tracing::debug!(%error, listener = ?self.name, "a connection could not be accepted");
                    self.stop.run_until_cancelled(sleep(ACCEPT_RETRY)).await;
                }
            }
        }
        drop(self.tcp);
        self.tasks.close();
        let drain_timeout = self.connections.limits().drain_timeout;
        if timeout(drain_timeout, self.tasks.wait()).await.is_err() {
            let count = self.tasks.len();
            tracing::warn!(count, listener = ?self.name, "connections were cut off at the drain limit");
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }

    fn on_accepted(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.connections.admit(peer) else {
            return self.refuse(stream);
        };
        let open = self.metrics.on_admitted(self.name, &place);
        let evicted = place.evicted().clone();
        let protocol = self.protocol.clone();
        // Boxed, since each future around another has room for it twice: before it is first polled,
        // and then.
        let served = Box::pin(protocol.serve(stream, place, self.stop.clone()));
        let served = async move { evicted.run_until_cancelled(served).await };
        self.spawn(served, open);
    }

    fn refuse(&self, stream: TcpStream) {
        self.metrics.connections_refused_total.of(self.name).inc();
        if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let refused = timeout(REFUSAL_TIMEOUT, self.protocol.clone().refuse(stream));
            self.spawn(refused, permit);
        }
    }

    /// Runs `work` until it ends or is cut off. What is `held` is given back then.
    fn spawn<T>(&self, work: impl Future<Output = T> + Send + 'static, held: impl Send + 'static) {
        let cut_off = self.cut_off.clone();
        self.tasks.spawn(async move {
            let _held = held;
            cut_off.run_until_cancelled(work).await;
        });
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
