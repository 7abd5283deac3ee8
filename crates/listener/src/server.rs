//! Serving connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quorate_metrics::Held;
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

use crate::{Listener, Metrics, Name};

/// How many connections over the cap are told so at one time. Those beyond are closed unheard.
const REFUSAL_COUNT_MAX: usize = 64;

/// How long a refused client is given to read the refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after the system refused a connection, as it does when the process has no file
/// descriptors left: nothing tells when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many may be open.
    pub connection_count_max: usize,
    /// How long a shutdown waits for those that are open.
    pub drain_timeout: Duration,
}

/// What is said on a connection.
pub trait Protocol: Send + Sync + 'static {
    /// Serves a connection to its end. When `stop` is cancelled it answers what is under way and
    /// returns; it is dropped if it has not after [`Limits::drain_timeout`].
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Tells the other end that too many connections are open. By default it is closed unheard.
    fn refuse(self: Arc<Self>, stream: TcpStream) -> impl Future<Output = ()> + Send {
        async { drop(stream) }
    }
}

impl Listener {
    /// Serves connections by `protocol` until [`Server::shutdown`]. `name` is that of the listener
    /// in `metrics` and logs.
    pub fn serve(
        self,
        protocol: impl Protocol,
        limits: Limits,
        name: Name,
        metrics: &Metrics,
    ) -> Server {
        let stop = CancellationToken::new();
        let acceptor = Acceptor {
            tcp: self.tcp,
            protocol: Arc::new(protocol),
            permits: Arc::new(Semaphore::new(limits.connection_count_max)),
            refusals: Arc::new(Semaphore::new(REFUSAL_COUNT_MAX)),
            name,
            metrics: metrics.clone(),
            stop: stop.clone(),
            cut_off: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Server {
            local_addr: self.local_addr,
            acceptor: tokio::spawn(acceptor.run(limits.drain_timeout)),
            stop: stop.drop_guard(),
        }
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    acceptor: JoinHandle<()>,
    stop: DropGuard,
}

impl Server {
    /// The address it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Frees the address and lets each connection end; at the drain limit cuts off all that are
    /// left.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.acceptor.await {
            tracing::error!(%error, "a listener did not end well");
        }
    }
}

/// Accepts connections and keeps count of them.
struct Acceptor<P> {
    tcp: TcpListener,
    protocol: Arc<P>,
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    name: Name,
    metrics: Metrics,
    stop: CancellationToken,
    /// Cancelled at the drain limit.
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl<P: Protocol> Acceptor<P> {
    async fn run(self, drain_timeout: Duration) {
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
        if timeout(drain_timeout, self.tasks.wait()).await.is_err() {
            let count = self.tasks.len();
            tracing::warn!(count, listener = ?self.name, "connections were cut off at the drain limit");
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }

    fn on_accepted(&self, stream: TcpStream, peer: SocketAddr) {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            let open = Held::new(self.metrics.connections_open.of(self.name));
            let served = self.protocol.clone().serve(stream, peer, self.stop.clone());
            self.spawn(served, (permit, open));
            return;
        }
        self.metrics.connections_refused_total.of(self.name).inc();
        if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let refused = timeout(REFUSAL_TIMEOUT, self.protocol.clone().refuse(stream));
            self.spawn(async { drop(refused.await) }, permit);
        }
    }

    /// Runs `work` until it ends or is cut off. What is `held` is given back then.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static, held: impl Send + 'static) {
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
