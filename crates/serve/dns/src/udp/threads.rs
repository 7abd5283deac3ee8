//! The threads that answer datagrams.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr, UdpSocket},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use quorate_http::{IsTrusted, listener::ProxiedClient};
use socket2::SockRef;

use super::{
    AddressFamily, Batch, Destination, WaitingPlaces, WaitingQuery,
    family::{V4, V6},
};
use crate::{DnsClient, DnsTransport, Responder};

/// How long to wait after the socket failed to receive: there is no event for when it works again.
const RECEIVE_RETRY: Duration = Duration::from_millis(10);

/// Threads that answer datagrams, each with its own socket, until [`shutdown`](Self::shutdown).
/// Dropping them stops them too, without waiting.
#[derive(Debug)]
pub(crate) struct UdpThreads {
    threads: Vec<JoinHandle<()>>,
    stop: StopSignal,
}

#[derive(Debug)]
struct StopSignal {
    is_stopped: Arc<AtomicBool>,
    sockets: Vec<Arc<UdpSocket>>,
}

impl UdpThreads {
    /// Starts a thread for each socket. With `proxies`, only these may send datagrams, and each
    /// begins with a header that names the client.
    pub(crate) fn spawn(
        sockets: Vec<UdpSocket>,
        responder: &Arc<Responder>,
        proxies: Option<IsTrusted>,
    ) -> io::Result<Self> {
        let mut started = Self {
            threads: Vec::with_capacity(sockets.len()),
            stop: StopSignal {
                is_stopped: Arc::default(),
                sockets: sockets.into_iter().map(Arc::new).collect(),
            },
        };
        let waiting = WaitingPlaces::new();
        for (number, socket) in started.stop.sockets.iter().enumerate() {
            let worker = UdpWorker {
                local_addr: socket.local_addr()?,
                socket: socket.clone(),
                responder: responder.clone(),
                proxies: proxies.clone(),
                waiting: waiting.clone(),
                is_stopped: started.stop.is_stopped.clone(),
            };
            let thread = thread::Builder::new().name(format!("dns-udp-{number}"));
            started.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(started)
    }

    /// Stops the threads after the answers in progress, and closes their sockets.
    pub(crate) async fn shutdown(self) {
        let Self { threads, stop } = self;
        drop(stop);
        // Each thread ends after its current batch. If one panicked, joining it reports that.
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().try_for_each(JoinHandle::join));
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("a thread that answers DNS over UDP panicked");
        }
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        for socket in &self.sockets {
            // This fails because the socket is not connected, but it still wakes the thread that
            // waits for datagrams (udp(7) does not mention it; Linux has done so since 2.6).
            let _ = SockRef::from(&**socket).shutdown(Shutdown::Read);
        }
    }
}

/// The client that a proxy names, and its message. `None` if the peer is no trusted proxy, or its
/// header is invalid.
fn client_of<'d>(
    datagram: &'d [u8],
    peer: IpAddr,
    is_trusted: &IsTrusted,
) -> Option<(IpAddr, &'d [u8])> {
    match ProxiedClient::of_datagram(datagram, peer, is_trusted) {
        Ok((client, message)) => Some((client, message)),
        Err(error) => {
            tracing::debug!(%peer, %error, "a datagram was dropped");
            None
        }
    }
}

struct UdpWorker {
    socket: Arc<UdpSocket>,
    local_addr: SocketAddr,
    responder: Arc<Responder>,
    proxies: Option<IsTrusted>,
    waiting: WaitingPlaces,
    is_stopped: Arc<AtomicBool>,
}

impl UdpWorker {
    /// Answers until the server stops, even after a panic.
    fn run(self) {
        while !self.is_stopped() {
            let is_wildcard = self.local_addr.ip().is_unspecified();
            let attempt = AssertUnwindSafe(|| match self.local_addr {
                SocketAddr::V4(_) => self.answer(Batch::<V4>::new(is_wildcard)),
                SocketAddr::V6(_) => self.answer(Batch::<V6>::new(is_wildcard)),
            });
            if catch_unwind(attempt).is_err() {
                tracing::error!(
                    listen = %self.local_addr,
                    "answering DNS over UDP panicked: continuing with the next datagrams"
                );
            }
        }
    }

    fn answer<F: AddressFamily>(&self, mut batch: Batch<F>) {
        while !self.is_stopped() {
            let received = batch.receive(
                &self.socket,
                || self.is_stopped(),
                |datagram, destination, out| self.respond(datagram, destination, out),
            );
            if let Err(error) = received {
                tracing::debug!(%error, "datagrams could not be received");
                thread::sleep(RECEIVE_RETRY);
                continue;
            }
            batch.send(&self.socket, |error| {
                tracing::debug!(%error, "a datagram could not be sent");
            });
        }
    }

    /// Writes the answer to a datagram, unless it has none or waits for the DHT.
    fn respond<F: AddressFamily>(
        &self,
        datagram: &[u8],
        destination: &Destination<F>,
        out: &mut Vec<u8>,
    ) -> bool {
        let peer = F::ip(&destination.client);
        let (client, message) = match &self.proxies {
            None => (peer, datagram),
            Some(is_trusted) => match client_of(datagram, peer, is_trusted) {
                Some(proxied) => proxied,
                None => return false,
            },
        };
        let client = DnsClient::new(client, DnsTransport::Udp);
        match self.responder.try_respond(message, &client, out) {
            Ok(responded) => responded.is_some(),
            Err(key) => match self.waiting.place(client.address) {
                Some(place) => {
                    let query = WaitingQuery::new(key, message, client, destination);
                    place.answer(query, &self.socket, &self.responder);
                    false
                }
                None => self.responder.respond(message, &client, out).is_some(),
            },
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}
