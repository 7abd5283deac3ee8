use axum::{Router, routing::get};
use bytes::Bytes;
use clap::Parser;
use hickory_proto::{
    op::OpCode,
    rr::rdata::{A, TXT},
};
use pkarr::Keypair;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ResolveArgs,
}

fn args(key: &PublicKey, words: &[&str]) -> ResolveArgs {
    let key = key.to_string();
    Cli::parse_from(["resolve", &key].iter().chain(words)).args
}

fn signed(keypair: &Keypair) -> (PublicKey, Bytes) {
    let packet = pkarr::SignedPacket::builder()
        .txt(
            "_iroh".try_into().unwrap(),
            "relay=https://a.example".try_into().unwrap(),
            30,
        )
        .sign(keypair)
        .unwrap();
    (
        PublicKey::from_bytes(keypair.public_key().to_bytes()),
        packet.to_relay_payload(),
    )
}

/// A relay that answers every GET with this.
async fn relay(status: StatusCode, body: Bytes) -> RelayUrl {
    let answer = get(move || std::future::ready((status, body.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pkarr", listener.local_addr().unwrap());
    let app = Router::new().route("/pkarr/{key}", answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url.parse().unwrap()
}

#[tokio::test]
async fn a_packet_is_printed_record_by_record() {
    let (key, payload) = signed(&Keypair::random());
    let relay = relay(StatusCode::OK, payload).await;
    let text = by_relay(&key, &relay).await.unwrap();
    let expected = format!("_iroh.{key}. 30 IN TXT \"relay=https://a.example\"");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&format!("; {key}, signature verified")),
        "{text}"
    );
    assert_eq!(lines[1..], [expected]);
}

#[tokio::test]
async fn a_forged_packet_is_not_printed() {
    let (key, _) = signed(&Keypair::random());
    let (_, of_another) = signed(&Keypair::random());
    let relay = relay(StatusCode::OK, of_another).await;
    let error = format!("{:#}", by_relay(&key, &relay).await.unwrap_err());
    assert!(
        error.contains("is invalid: the signature is not that of"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let (key, _) = signed(&Keypair::random());
    let relay = relay(StatusCode::OK, vec![0; 1 << 20].into()).await;
    let error = format!("{:#}", by_relay(&key, &relay).await.unwrap_err());
    assert!(error.contains("the payload has 1073 bytes"), "{error}");
}

#[tokio::test]
async fn a_key_without_a_packet_is_not_found() {
    let (key, _) = signed(&Keypair::random());
    let relay = relay(StatusCode::NOT_FOUND, Bytes::new()).await;
    let error = by_relay(&key, &relay).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("not found: the relay {relay} has no packet of {key}")
    );
}

/// A DNS server on one port of UDP and TCP. Over UDP it first sends an answer with a wrong id, then
/// `udp`; over TCP it sends `tcp`. Both get the id and the question of the request.
async fn dns_server(udp: Message, tcp: Option<Message>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (size, client) = socket.recv_from(&mut buffer).await.unwrap();
        let request = Message::from_vec(&buffer[..size]).unwrap();
        let mut wrong_id = decode_answer(&request, Message::response(0, OpCode::Query));
        wrong_id.metadata.id ^= 1;
        for response in [wrong_id, decode_answer(&request, udp)] {
            socket
                .send_to(&response.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    });
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut buffer).await.unwrap();
        let request = Message::from_vec(&buffer).unwrap();
        let response = decode_answer(&request, tcp.unwrap()).to_vec().unwrap();
        stream
            .write_u16(response.len().try_into().unwrap())
            .await
            .unwrap();
        stream.write_all(&response).await.unwrap();
    });
    address
}

fn decode_answer(request: &Message, mut response: Message) -> Message {
    response.metadata.id = request.metadata.id;
    response.queries = request.queries.clone();
    response
}

fn response(code: ResponseCode, data: Option<RData>) -> Message {
    let mut message = Message::response(0, OpCode::Query);
    message.metadata.response_code = code;
    message.answers.extend(data.map(|data| {
        Record::from_rdata(Name::from_ascii("_iroh.x.quorate.test.").unwrap(), 30, data)
    }));
    message
}

#[tokio::test]
async fn a_query_ignores_answers_to_other_queries() {
    let text = TXT::new(vec!["relay=https://a.example".into(), "\"\x1b".into()]);
    let server = dns_server(
        response(ResponseCode::NoError, Some(RData::TXT(text))),
        None,
    )
    .await;
    let args = args(&PublicKey::default(), &["--dns", &server.to_string()]);
    assert_eq!(
        by_dns(&args, server).await.unwrap(),
        "_iroh.x.quorate.test. 30 IN TXT \"relay=https://a.example\" \"\\\"\\027\"\n"
    );
}

#[tokio::test]
async fn a_truncated_answer_is_queried_again_over_tcp() {
    let mut cut = response(ResponseCode::NoError, None);
    cut.metadata.truncation = true;
    let complete = response(ResponseCode::NoError, Some(RData::A(A::new(192, 0, 2, 1))));
    let server = dns_server(cut, Some(complete)).await;
    let args = args(
        &PublicKey::default(),
        &["--dns", &server.to_string(), "--type", "a"],
    );
    let text = by_dns(&args, server).await.unwrap();
    assert_eq!(text, "_iroh.x.quorate.test. 30 IN A 192.0.2.1\n");
}

#[tokio::test]
async fn each_failed_lookup_has_its_own_message() {
    for (code, expected) in [
        (ResponseCode::NoError, "without TXT records"),
        (ResponseCode::NXDomain, "does not exist at"),
        (
            ResponseCode::Refused,
            "does not serve quorate.test: is --origin right?",
        ),
        (ResponseCode::ServFail, "answered Server Failure for _iroh."),
    ] {
        let server = dns_server(response(code, None), None).await;
        let args = args(&PublicKey::default(), &["--dns", &server.to_string()]);
        let error = by_dns(&args, server).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_unreachable_dns_server_is_named() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    drop(socket);
    let args = args(&PublicKey::default(), &["--dns", &server.to_string()]);
    let error = by_dns(&args, server).await.unwrap_err().to_string();
    assert!(
        error.contains(&server.to_string()) && error.contains("--dns"),
        "{error}"
    );
}

#[test]
fn names_are_joined_as_typed() {
    let key = PublicKey::from_bytes([7; 32]);
    for (name, origin, expected) in [
        (
            "_iroh",
            "quorate.test",
            format!("_iroh.{key}.quorate.test."),
        ),
        ("_iroh.", ".", format!("_iroh.{key}.")),
        ("@", "quorate.test.", format!("{key}.quorate.test.")),
        ("a.b", "quorate.test.", format!("a.b.{key}.quorate.test.")),
    ] {
        assert_eq!(full_name(name, &key, origin).unwrap().to_string(), expected);
    }
    assert!(full_name("a..b", &key, "quorate.test").is_err());
}
