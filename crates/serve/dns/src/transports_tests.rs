//! The answers are the same over all transports.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use hickory_proto::{
    op::Message,
    rr::RecordType::{self, A, AAAA, CNAME, MX, NS, SOA, SRV, TXT},
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{DnsConfig, UDP_SIZE_MAX, encryption_fixture::serve, fixture::*};

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

async fn ask_stream(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), query: &[u8]) -> Vec<u8> {
    let length = u16::try_from(query.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, query].concat()).await.unwrap();
    let mut response = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut response).await.unwrap();
    response
}

async fn ask_quic(connection: &quinn::Connection, query: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let length = u16::try_from(query.len()).unwrap().to_be_bytes();
    send.write_all(&[&length, query].concat()).await.unwrap();
    send.finish().unwrap();
    receive.read_to_end(70_000).await.unwrap().split_off(2)
}

fn questions() -> Vec<(String, RecordType)> {
    let of = |owner: &str, key| format!("{owner}.{key}.dns.test.");
    let mut questions = vec![
        (iroh(ALICE, "dns.test."), TXT),
        (iroh(ALICE, "dns.test."), A),
        (iroh(NOBODY, "dns.test."), TXT),
        (iroh(DAMAGED, "dns.test."), TXT),
        (of("nothing", ALICE), TXT),
        (of("alias", BIG), CNAME),
        (of("host.sub", CUT), A),
        (of("txt", BIG), TXT),
        (srv_owner(), SRV),
    ];
    let apex = [SOA, NS, A, AAAA, MX].map(|kind| ("dns.test.".to_owned(), kind));
    questions.extend(apex);
    questions.push(("elsewhere.test.".to_owned(), TXT));
    questions
}

/// The content of a response: its records, flags and response code.
fn content(response: &[u8]) -> impl PartialEq + std::fmt::Debug + use<> {
    let Message {
        metadata,
        queries,
        answers,
        authorities,
        additionals,
        ..
    } = parse(response);
    (metadata, queries, answers, authorities, additionals)
}

#[tokio::test]
async fn answers_are_equal_over_all_transports() {
    let (server, _, encryption) = serve(DnsConfig::new((Ipv4Addr::LOCALHOST, 0).into())).await;
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    udp.connect(server.local_addr()).await.unwrap();
    let mut tcp = TcpStream::connect(server.local_addr()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.tls_addrs()[0]).await.unwrap();
    let connector = TlsConnector::from(Arc::new(encryption.client(b"dot")));
    let mut tls = connector.connect(name, stream).await.unwrap();
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let crypto = QuicClientConfig::try_from(encryption.client(b"doq")).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let quic = endpoint
        .connect(server.quic_addrs()[0], "localhost")
        .unwrap();
    let quic = quic.await.unwrap();

    for (owner, kind) in questions() {
        for has_edns in [false, true] {
            let mut query = query(&owner, kind);
            query[..2].fill(0);
            if has_edns {
                query = with_opt(query, UDP_SIZE_MAX, 0, &[]);
            }
            let all = async {
                let over_tcp = ask_stream(&mut tcp, &query).await;
                let encrypted = [
                    ask_stream(&mut tls, &query).await,
                    ask_quic(&quic, &query).await,
                ];
                udp.send(&query).await.unwrap();
                let mut over_udp = vec![0; 2000];
                let size = udp.recv(&mut over_udp).await.unwrap();
                over_udp.truncate(size);
                (over_tcp, encrypted, over_udp)
            };
            let (over_tcp, encrypted, over_udp) = timeout(LONG, all).await.expect("answers");
            for response in &encrypted {
                assert_eq!(content(response), content(&over_tcp), "{owner} {kind}");
            }
            let is_truncated = over_udp[2] & 0x02 != 0;
            // A response that fits may leave out only optional records.
            if !is_truncated {
                assert_eq!(
                    parse(&over_udp).answers,
                    parse(&over_tcp).answers,
                    "{owner} {kind}"
                );
            }
            assert!(over_udp.len() <= UDP_SIZE_MAX.into());
        }
    }
    server.shutdown().await;
}
