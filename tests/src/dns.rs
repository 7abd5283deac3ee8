//! A DNS client that sends bytes and returns the decoded message.

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long an answer may take. A datagram lost on loopback means that a buffer was full.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often a question is sent over UDP before it counts as unanswered, as resolvers do.
const TRIES: usize = 3;

/// The largest DNS message (RFC 1035, section 4.2.2).
const MESSAGE_SIZE_MAX: usize = 65_535;

/// Encodes a query.
pub fn question(name: &str, record_type: RecordType) -> Vec<u8> {
    let name = Name::from_ascii(name).expect("the name is valid");
    let mut message = Message::new(0x5150, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record_type));
    message.to_vec().expect("a question can be encoded")
}

/// Sends a query over UDP.
pub async fn ask_udp(server: SocketAddr, question: &[u8]) -> Result<Message, String> {
    for _ in 0..TRIES {
        if let Some(answer) = exchange_datagram(server, question).await.map_err(text)? {
            return Message::from_vec(&answer).map_err(text);
        }
    }
    Err(format!("{server} left {TRIES} datagrams unanswered"))
}

/// Sends one datagram and returns the answer, or `None` if there is none in time.
pub async fn exchange_datagram(server: SocketAddr, sent: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(sent).await?;
    let mut answer = vec![0; MESSAGE_SIZE_MAX];
    match timeout(ANSWER_WITHIN, socket.recv(&mut answer)).await {
        Ok(size) => {
            answer.truncate(size?);
            Ok(Some(answer))
        }
        Err(_) => Ok(None),
    }
}

/// Sends a query over a new TCP connection.
pub async fn ask_tcp(server: SocketAddr, question: &[u8]) -> Result<Message, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        exchange_framed(&mut stream, question).await
    };
    let answer = timeout(ANSWER_WITHIN, exchange)
        .await
        .map_err(text)?
        .map_err(text)?;
    Message::from_vec(&answer).map_err(text)
}

/// Sends a message after its length (RFC 1035, section 4.2.2), and returns the answer.
pub async fn exchange_framed(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    sent: &[u8],
) -> io::Result<Vec<u8>> {
    let size = u16::try_from(sent.len()).expect("a question is short");
    stream
        .write_all(&[&size.to_be_bytes(), sent].concat())
        .await?;
    stream.flush().await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The TXT records of the answer section, each with its strings joined.
pub fn texts(message: &Message) -> Vec<String> {
    let texts = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        });
    texts.collect()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
