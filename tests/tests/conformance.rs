//! The scripts of `quorate-conformance`, over every transport of real nodes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use quorate_conformance::{Case, Script, Transport, scripts};
use quorate_tests::{Cluster, Node, dns, ports, voters};
use reqwest::RequestBuilder;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::encrypted::Certificate;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Quic,
    Transport::Https,
];

/// The media type of DNS messages.
const DNS_MESSAGE: &str = "application/dns-message";

/// Scripts with equal settings share a node: their packets do not interfere, because their keys
/// differ.
#[tokio::test(flavor = "multi_thread")]
async fn real_nodes_answer_every_script_over_every_transport() {
    let scripts = scripts();
    let mut failures = Vec::new();
    for same_settings in by_settings(&scripts) {
        let (tls, quic) = (ports::take_address(), ports::take_address());
        let certificate = Certificate::new();
        let settings = &same_settings[0].config;
        let settings = format!("tls_listen = [\"{tls}\"]\nquic_listen = [\"{quic}\"]\n{settings}");
        let plan = voters(1).with_dns(&settings);
        let cluster = Cluster::start(plan.with_config(&certificate.settings())).await;
        let server = Server {
            node: cluster.node(1),
            certificate,
            tls,
            quic,
        };
        for script in same_settings {
            for packet in &script.packets {
                let payload = packet.payload.clone();
                let answer = server.node.put_bytes(&packet.key, payload).await;
                assert_eq!(answer.status, 204, "{}: {}", script.name, answer.text());
            }
            for case in &script.cases {
                failures.extend(server.failures_of(case).await);
            }
        }
        [tls, quic].into_iter().for_each(ports::give_back);
    }
    let count = failures.len();
    assert_eq!(count, 0, "wrong answers:\n{}", failures.join("\n"));
}

fn by_settings(scripts: &[Script]) -> Vec<Vec<&Script>> {
    let mut groups: Vec<Vec<&Script>> = Vec::new();
    for script in scripts {
        match groups.iter_mut().find(|g| g[0].config == script.config) {
            Some(group) => group.push(script),
            None => groups.push(vec![script]),
        }
    }
    groups
}

/// A node and its additional addresses.
struct Server {
    node: Arc<Node>,
    certificate: Certificate,
    tls: SocketAddr,
    quic: SocketAddr,
}

impl Server {
    async fn failures_of(&self, case: &Case) -> Vec<String> {
        let mut failures = Vec::new();
        for query in &case.queries {
            for transport in TRANSPORTS {
                if !case.is_for(transport) {
                    continue;
                }
                for response in self.responses(transport, &query.message).await {
                    let failure = case.check(query, transport, response.as_deref()).err();
                    failures.extend(failure.map(|failure| failure.to_string()));
                }
            }
        }
        failures
    }

    /// The responses over a transport, one for each of its methods. `None` if there is none.
    async fn responses(&self, transport: Transport, message: &[u8]) -> Vec<Option<Vec<u8>>> {
        let node = &self.node;
        let exchange = async {
            match transport {
                Transport::Udp => vec![udp(node, message).await],
                Transport::Tcp => vec![tcp(node, message).await],
                Transport::Tls => {
                    vec![self.certificate.ask_tls(self.tls, message).await.ok()]
                }
                Transport::Quic => {
                    vec![self.certificate.ask_quic(self.quic, message).await.ok()]
                }
                Transport::Https => {
                    let url = node.url("/dns-query");
                    let encoded = BASE64URL_NOPAD.encode(message);
                    let get = node.client().get(format!("{url}?dns={encoded}"));
                    let post = node.client().post(url).body(message.to_vec());
                    let post = post.header("content-type", DNS_MESSAGE);
                    vec![https(node, get).await, https(node, post).await]
                }
            }
        };
        let responses = timeout(ANSWER_WITHIN, exchange).await;
        responses.unwrap_or_else(|_| panic!("nothing comes over {transport:?} to {message:02x?}"))
    }
}

/// Sends a valid query after the message, so that the test need not wait when there is no answer.
async fn udp(node: &Node, message: &[u8]) -> Option<Vec<u8>> {
    let sentinel = [0x5e, 0x17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let exchange = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(node.addresses().dns).await?;
        socket.send(message).await?;
        socket.send(&sentinel).await?;
        let mut received = Vec::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        // Datagrams may overtake each other, so look for an earlier answer once more.
        while !received
            .iter()
            .any(|r: &Vec<u8>| r.starts_with(&sentinel[..2]))
        {
            let size = socket.recv(&mut buffer).await?;
            received.push(buffer[..size].to_vec());
        }
        if received.len() == 1 {
            let late = timeout(Duration::from_millis(20), socket.recv(&mut buffer)).await;
            received.extend(
                late.map(|size| size.map(|size| buffer[..size].to_vec()))
                    .ok()
                    .transpose()?,
            );
        }
        io::Result::Ok(received)
    };
    let mut received = exchange.await.expect("loopback works");
    received.retain(|response| !response.starts_with(&sentinel[..2]));
    received.pop()
}

async fn tcp(node: &Node, message: &[u8]) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(node.addresses().dns).await;
    let mut stream = stream.expect("it listens");
    dns::exchange_framed(&mut stream, message).await.ok()
}

async fn https(node: &Node, request: RequestBuilder) -> Option<Vec<u8>> {
    let answer = node.send(request).await;
    (answer.status == 200).then(|| {
        assert_eq!(answer.headers["content-type"], DNS_MESSAGE);
        answer.body.to_vec()
    })
}
