//! Taking the links that peers open.

use std::{collections::VecDeque, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use quorate_rpc::Service;
use quorate_tls::Admit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinError, JoinHandle, JoinSet},
};

use crate::{
    Metrics, Passport,
    incoming::{Incoming, Reception},
    log_budget::LogBudget,
    metrics::Handshake,
    slots::Slots,
};

/// How long to wait after the kernel refused a connection, as it does when the process has no file
/// descriptors left: nothing tells when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How many lines of the log others cause in a minute: enough to see who knocks, too few to fill a
/// disk.
const LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// Where to listen for peers, and how much of them to bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many handshakes may be under way. When another comes the oldest is given up, so that
    /// strangers who connect and say nothing cannot keep peers out.
    pub handshake_count_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How many links may be open.
    pub link_count_max: usize,
    /// How many links one peer may have open.
    pub link_count_per_peer_max: usize,
    /// How long a peer may take nothing of the responses that are ready for it.
    pub write_timeout: Duration,
    /// How long a shutdown waits for requests that were read to be answered.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            // A peer needs some ms, or some 100 ms from afar: of 1,000 strangers a second, none
            // crowds it out. Each takes some 20 KB.
            handshake_count_max: 256,
            handshake_timeout: Duration::from_secs(5),
            // Sixteen nodes at their limit.
            link_count_max: 512,
            // A node has up to three links on a lane while a leader changes, and may come back
            // before this end has noticed that the former ones are dead.
            link_count_per_peer_max: 32,
            // As long as TCP bears with a peer that acknowledges nothing.
            write_timeout: Duration::from_secs(10),
            // What can be answered is answered within a round trip to the other nodes.
            drain_timeout: Duration::from_secs(1),
        }
    }

    /// Takes the address. Peers can connect from now on, and wait until [`serve`](Bound::serve).
    pub async fn bind(self) -> Result<Bound, BindError> {
        let listen = self.listen;
        let fail = |source| BindError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let local_addr = listener.local_addr().map_err(fail)?;
        Ok(Bound {
            config: self,
            listener,
            local_addr,
        })
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for peers at {listen}: free the address or configure another one")]
pub struct BindError {
    /// The address.
    pub listen: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A listener that serves nothing yet.
#[derive(Debug)]
pub struct Bound {
    config: ServerConfig,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the peers whose keys `admit` approves, until [`Server::shutdown`].
    pub fn serve(
        self,
        passport: &Passport,
        admit: Admit,
        service: Arc<dyn Service>,
        metrics: Metrics,
    ) -> Server {
        let config = self.config;
        let (stop, stopped) = watch::channel(false);
        let reception = Reception {
            tls: quorate_tls::server_config(&passport.identity, admit).into(),
            cluster: passport.cluster,
            handshake_timeout: config.handshake_timeout,
            write_timeout: config.write_timeout,
            slots: Arc::new(Slots::new(
                config.link_count_max,
                config.link_count_per_peer_max,
            )),
            service,
            metrics,
            log: LogBudget::new(LINE_COUNT_PER_MINUTE_MAX),
        };
        let acceptor = Acceptor {
            reception: Arc::new(reception),
            listener: self.listener,
            stopped,
            handshake_count_max: config.handshake_count_max,
            drain_timeout: config.drain_timeout,
            handshakes: JoinSet::new(),
            by_age: VecDeque::new(),
            links: JoinSet::new(),
        };
        Server {
            local_addr: self.local_addr,
            stop,
            acceptor: tokio::spawn(acceptor.run()),
        }
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    acceptor: JoinHandle<()>,
}

impl Server {
    /// The address it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Frees the address, answers the requests that were read and closes the links; at the drain
    /// limit closes all that are left.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.acceptor.await {
            tracing::error!(%error, "the server for peers did not end well");
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// Accepts connections and keeps count of them.
struct Acceptor {
    reception: Arc<Reception>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    handshake_count_max: usize,
    drain_timeout: Duration,
    handshakes: JoinSet<Option<Incoming>>,
    /// The handshakes, oldest first, and some that have ended.
    by_age: VecDeque<AbortHandle>,
    links: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                () = stop_asked(&mut stopped) => break,
                Some(ended) = self.links.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a link of a peer did not end well");
                    }
                }
                Some(received) = self.handshakes.join_next() => self.on_received(received),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => self.on_accepted(stream, address),
                    Err(error) => {
                        tracing::debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        let Self {
            listener,
            handshakes,
            mut links,
            drain_timeout,
            ..
        } = self;
        drop((listener, handshakes));
        let drained = async { while links.join_next().await.is_some() {} };
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            let count = links.len();
            tracing::warn!(count, "links of peers were cut off at the drain limit");
            links.shutdown().await;
        }
    }

    fn on_received(&mut self, received: Result<Option<Incoming>, JoinError>) {
        match received {
            Ok(Some(incoming)) => {
                let link = incoming.serve(self.reception.clone(), self.stopped.clone());
                self.links.spawn(link);
            }
            Ok(None) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, "a handshake did not end well"),
        }
    }

    fn on_accepted(&mut self, stream: TcpStream, address: SocketAddr) {
        self.by_age.retain(|handshake| !handshake.is_finished());
        if self.by_age.len() >= self.handshake_count_max
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
            self.reception.metrics.count_handshake(Handshake::Crowded);
        }
        let reception = self.reception.clone();
        let handshake = async move { reception.receive(stream, address).await };
        self.by_age.push_back(self.handshakes.spawn(handshake));
    }
}

/// Resolves when the server was shut down or dropped.
pub(crate) async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
