//! Taking the links that peers open.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quorate_listener::{Limits, Listener, Name, Protocol, Server};
use quorate_rpc::Service;
use quorate_tls::Admit;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::{
    Credentials, Metrics, handshake::Reception, handshakes::Handshakes, link_permits::LinkPermits,
    log_budget::LogBudget,
};

/// How many lines of the log others cause in a minute: enough to see who knocks, too few to fill a
/// disk.
const LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// How many connections may have ended without being gone yet, as handshakes that gave way have
/// until their task runs again. The listener has room for them beside those that count, so that it
/// refuses none before the oldest handshake has given way to it: its loop accepts at most half as
/// many before other tasks run.
const ENDED_COUNT_MAX: usize = 256;

/// How much of peers to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
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

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
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
}

/// Hands the links that peers open to a [`Service`].
pub struct LinkServer {
    reception: Reception,
    handshakes: Handshakes,
    service: Arc<dyn Service>,
    config: ServerConfig,
}

impl LinkServer {
    /// A server for the peers whose keys `admit` approves.
    pub fn new(
        config: ServerConfig,
        credentials: &Credentials,
        admit: Admit,
        service: Arc<dyn Service>,
        metrics: Metrics,
    ) -> Self {
        let permits = LinkPermits::new(config.link_count_max, config.link_count_per_peer_max);
        Self {
            reception: Reception {
                tls: quorate_tls::server_config(&credentials.identity, admit).into(),
                cluster: credentials.cluster,
                handshake_timeout: config.handshake_timeout,
                permits: Arc::new(permits),
                metrics,
                log: Arc::new(LogBudget::new(LINE_COUNT_PER_MINUTE_MAX)),
            },
            handshakes: Handshakes::new(config.handshake_count_max),
            service,
            config,
        }
    }

    /// Serves at `listener` until [`Server::shutdown`], which answers the requests that were read
    /// and closes the links.
    pub fn serve(self, listener: Listener, metrics: &quorate_listener::Metrics) -> Server {
        let ServerConfig {
            handshake_count_max,
            link_count_max,
            drain_timeout,
            ..
        } = self.config;
        let limits = Limits {
            connection_count_max: handshake_count_max + link_count_max + ENDED_COUNT_MAX,
            drain_timeout,
        };
        listener.serve(self, limits, Name::Peer, metrics)
    }
}

impl Protocol for LinkServer {
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        // Not in the task of the connection: the oldest gives way before another is accepted.
        let handshake = self.handshakes.begin();
        async move {
            let received = self.reception.receive(handshake, stream, address);
            if let Some(Some(link)) = stop.run_until_cancelled(received).await {
                let write_timeout = self.config.write_timeout;
                link.serve(self.service.clone(), write_timeout, stop).await;
            }
        }
    }
}
