//! One query to one DNS server: over UDP, then TCP if the answer was truncated (RFC 1035, section 4.2).

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use hickory_proto::{
    op::{Edns, Message, MessageType, Query},
    rr::{Name, RecordType},
};
use quorate_packet::message::counts_fit;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long to wait for a datagram before it is sent again, and the time for TCP in total.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the query is sent over UDP.
const TRY_COUNT: usize = 3;

/// The largest UDP response that is requested, in bytes (RFC 9715).
const DATAGRAM_SIZE_MAX: u16 = 1232;

/// Queries `server` for the records of this name and type.
pub(crate) async fn query(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> anyhow::Result<Message> {
    let mut request = Message::query();
    request.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_SIZE_MAX);
    request.set_edns(edns);
    let bytes = request.to_vec().context("the question cannot be encoded")?;

    let response = over_udp(server, &request, &bytes).await?;
    if !response.metadata.truncation {
        return Ok(response);
    }
    match timeout(TRY_TIMEOUT, over_tcp(server, &request, &bytes)).await {
        Ok(response) => response.with_context(|| format!("the query to {server} over TCP failed")),
        Err(_) => bail!(
            "{server} did not answer over TCP within {} s",
            TRY_TIMEOUT.as_secs()
        ),
    }
}

async fn over_udp(server: SocketAddr, request: &Message, bytes: &[u8]) -> anyhow::Result<Message> {
    let failed = || format!("the query to {server} over UDP failed");
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).await.with_context(failed)?;
    socket.connect(server).await.with_context(failed)?;
    for _ in 0..TRY_COUNT {
        socket.send(bytes).await.with_context(failed)?;
        match timeout(TRY_TIMEOUT, receive(&socket, request)).await {
            Ok(response) => {
                return response.with_context(|| {
                    format!("no DNS server can be reached at {server} (is --dns right?)")
                });
            }
            Err(_) => continue,
        }
    }
    bail!(
        "{server} did not answer {TRY_COUNT} queries within {} s each: is --dns right?",
        TRY_TIMEOUT.as_secs()
    )
}

/// Waits for the response. Other datagrams are ignored.
async fn receive(socket: &UdpSocket, request: &Message) -> std::io::Result<Message> {
    let mut buffer = [0; DATAGRAM_SIZE_MAX as usize];
    loop {
        let size = socket.recv(&mut buffer).await?;
        if let Some(response) = parse(&buffer[..size], request) {
            return Ok(response);
        }
    }
}

async fn over_tcp(server: SocketAddr, request: &Message, bytes: &[u8]) -> anyhow::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let size = u16::try_from(bytes.len()).context("the question is too long")?;
    stream
        .write_all(&[&size.to_be_bytes(), bytes].concat())
        .await?;
    let size = stream.read_u16().await?;
    let mut response = vec![0; size.into()];
    stream.read_exact(&mut response).await?;
    parse(&response, request).context("the response does not belong to the query")
}

fn parse(bytes: &[u8], request: &Message) -> Option<Message> {
    if !counts_fit(bytes) {
        return None;
    }
    let response = Message::from_vec(bytes).ok()?;
    let is_ours = response.metadata.id == request.metadata.id
        && response.metadata.message_type == MessageType::Response
        // Error responses may lack the question.
        && (response.queries.is_empty() || response.queries == request.queries);
    is_ours.then_some(response)
}
