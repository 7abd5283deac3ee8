//! Datagrams.

use std::{sync::Arc, time::Duration};

use tokio::net::UdpSocket;

use crate::{Client, DnsTransport, QUERY_SIZE_MAX, Responder, UDP_SIZE_MAX};

/// How long to wait after the socket failed to receive: nothing tells when it works again.
const RECEIVE_RETRY: Duration = Duration::from_millis(10);

/// Answers datagrams in the order of their arrival, for ever. What the system cannot queue it
/// drops, so a flood costs no memory here.
pub(crate) async fn run(socket: Arc<UdpSocket>, responder: Arc<Responder>) {
    let mut datagram = vec![0; QUERY_SIZE_MAX];
    let mut out = Vec::with_capacity(UDP_SIZE_MAX.into());
    loop {
        let (size, client) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a datagram could not be received");
                tokio::time::sleep(RECEIVE_RETRY).await;
                continue;
            }
        };
        let asks = Client::new(client.ip(), DnsTransport::Udp);
        let response = responder.respond(&datagram[..size], &asks, &mut out);
        if response.is_some()
            && let Err(error) = socket.send_to(&out, client).await
        {
            tracing::debug!(%error, "a datagram could not be sent");
        }
    }
}
