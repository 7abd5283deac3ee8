//! PUTs at etcd, as its own clients make them: gRPC over one connection each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, ensure};
use h2::client::SendRequest;
use hyper::{Request, body::Bytes};
use quorate_packet::PublicKey;
use quorate_tests::Packet;
use tokio::{net::TcpStream, task::JoinSet, time::timeout_at};

use super::{Bounds, Clock, Outcome, Tally};

/// Before a message: that it is not compressed, and its size (gRPC over HTTP/2, "Requests").
const MESSAGE_HEADER_SIZE: usize = 5;

/// Fields of a `PutRequest` (etcd's `rpc.proto`), both of bytes: wire type 2.
const KEY_FIELD: u8 = 1 << 3 | 2;
const VALUE_FIELD: u8 = 2 << 3 | 2;

/// PUTs the payloads of packets under their keys, each once, over `connection_count` connections,
/// spread evenly over `servers`.
pub(crate) async fn run(
    packets: &[Packet],
    servers: &[SocketAddr],
    connection_count: usize,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let messages: anyhow::Result<Vec<Bytes>> = packets.iter().map(put_request).collect();
    let messages = Arc::new(messages?);
    let mut clients = Vec::with_capacity(connection_count);
    for &server in servers.iter().cycle().take(connection_count) {
        clients.push(Client::open(server).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let clock = Clock::start(bounds);
    let mut drivers = JoinSet::new();
    for client in clients {
        drivers.spawn(client.drive(messages.clone(), next.clone(), clock));
    }
    clock.outcome(drivers).await
}

/// A `PutRequest` with its header.
fn put_request(packet: &Packet) -> anyhow::Result<Bytes> {
    let key: PublicKey = packet.key.parse()?;
    let mut message = vec![0; MESSAGE_HEADER_SIZE];
    for (field, bytes) in [
        (KEY_FIELD, &key.as_bytes()[..]),
        (VALUE_FIELD, &packet.payload),
    ] {
        message.push(field);
        push_varint(&mut message, bytes.len());
        message.extend_from_slice(bytes);
    }
    let size = u32::try_from(message.len() - MESSAGE_HEADER_SIZE)?;
    message[1..MESSAGE_HEADER_SIZE].copy_from_slice(&size.to_be_bytes());
    Ok(message.into())
}

/// Seven bits a byte, the lowest first.
fn push_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Client {
    server: SocketAddr,
    sender: SendRequest<Bytes>,
}

impl Client {
    async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let unreached = || format!("etcd at {server} cannot be reached");
        let stream = TcpStream::connect(server).await.with_context(unreached)?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream)
            .await
            .with_context(unreached)?;
        // Its error reaches the caller that waits for an answer. It ends with the sender.
        tokio::spawn(connection);
        Ok(Self { server, sender })
    }

    /// Sends one message after the other, until there is no time or none left.
    async fn drive(
        mut self,
        messages: Arc<Vec<Bytes>>,
        next: Arc<AtomicUsize>,
        clock: Clock,
    ) -> Tally {
        let mut tally = Tally::new();
        while Instant::now() < clock.end {
            let Some(message) = messages.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let started = Instant::now();
            match timeout_at(clock.give_up().into(), self.put(message.clone())).await {
                Ok(Ok(())) => tally.on_ok(started.elapsed()),
                Ok(Err(error)) => {
                    tally.on_error(|| format!("etcd at {}: {error:#}", self.server));
                    // A connection that failed once stays so.
                    break;
                }
                Err(_) => {
                    tally.on_error(|| format!("etcd at {} gave no answer", self.server));
                    break;
                }
            }
        }
        tally
    }

    async fn put(&mut self, message: Bytes) -> anyhow::Result<()> {
        let request = Request::post(format!("http://{}/etcdserverpb.KV/Put", self.server))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let sender = self.sender.clone().ready().await?;
        self.sender = sender;
        let (answer, mut body) = self.sender.send_request(request, false)?;
        body.send_data(message, true)?;
        let answer = answer.await?;
        // What fails at once has its status here and no body.
        if let Some(status) = answer.headers().get("grpc-status") {
            anyhow::bail!("gRPC status {status:?}");
        }
        let mut answer = answer.into_body();
        while let Some(bytes) = answer.data().await {
            let size = bytes?.len();
            answer.flow_control().release_capacity(size)?;
        }
        let trailers = answer.trailers().await?.unwrap_or_default();
        let status = trailers.get("grpc-status");
        ensure!(
            status.is_some_and(|status| status == "0"),
            "gRPC status {status:?}, {:?}",
            trailers.get("grpc-message")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::Keys;

    #[test]
    fn a_message_is_its_size_key_and_value() {
        let packet = &Keys::new(1, 1).sign(1)[0];
        let message = put_request(packet).unwrap();
        let value_size = packet.payload.len();
        assert!((128..1 << 14).contains(&value_size), "two bytes of varint");
        assert_eq!(message[0], 0);
        let size = u32::from_be_bytes(message[1..5].try_into().unwrap());
        assert_eq!(size as usize, message.len() - 5);
        assert_eq!(message[5..7], [0x0a, 32]);
        assert_eq!(message[39], 0x12);
        let varint = usize::from(message[40] & 0x7f) | usize::from(message[41]) << 7;
        assert_eq!(varint, value_size);
        assert_eq!(message[42..], packet.payload);
    }
}
