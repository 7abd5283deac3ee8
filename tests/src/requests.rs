//! Requests to a node: relay, DNS, admin address.

use bytes::Bytes;
use hickory_proto::{op::Message, rr::RecordType};
use reqwest::{Client, RequestBuilder, Response, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Node, ORIGIN, Packet, PutAnswer, cluster::REQUEST_TIMEOUT, dns};

/// The status of a node (`/v1/status`).
#[derive(Debug, Clone, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of `quorate_replica::NodeStatus`"
)]
pub struct Status {
    pub node: String,
    pub role: String,
    pub term: u64,
    pub leader: Option<String>,
    pub last_log_index: u64,
    pub applied_index: u64,
    pub checkpoint_index: u64,
    pub purged_index: u64,
    pub voters: Vec<String>,
    pub packet_count: u64,
    pub feature_level: u16,
    pub packet_count_max: Option<u64>,
}

/// A digest over all stored packets of a node (`/v1/digest`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of `quorate_replica::StateDigest`"
)]
pub struct Digest {
    pub applied_index: u64,
    pub packet_count: u64,
    pub sha256: String,
}

/// The answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    async fn to(request: RequestBuilder) -> reqwest::Result<Self> {
        let response: Response = request.send().await?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The packet of a GET, or `None` if there is none.
    pub fn found(&self) -> Option<&[u8]> {
        match self.status {
            200 => Some(&self.body),
            404 => None,
            status => panic!("a GET was answered with {status}: {}", self.text()),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|e| format!("{e}: {}", self.text()))
    }
}

impl Node {
    /// Its status.
    pub async fn status(&self) -> Result<Status, String> {
        self.check_alive();
        self.admin("/v1/status").await?.json()
    }

    /// The digest of its stored packets.
    pub async fn digest(&self) -> Result<Digest, String> {
        self.admin("/v1/digest").await?.json()
    }

    /// GETs a path of the admin API: on the socket, or at the address of a program that has none.
    pub async fn admin(&self, path: &str) -> Result<Answer, String> {
        let request = match self.admin_socket() {
            Some(socket) => {
                let client = Client::builder()
                    .unix_socket(socket)
                    .timeout(REQUEST_TIMEOUT);
                let client = client.build().map_err(|error| format!("{error:?}"))?;
                client.get(format!("http://localhost{path}"))
            }
            None => self.admin_tcp(path),
        };
        Answer::to(request).await.map_err(|e| format!("{e:?}"))
    }

    /// A GET of a path at the admin address over TCP.
    pub fn admin_tcp(&self, path: &str) -> RequestBuilder {
        self.client()
            .get(format!("http://{}{path}", self.addresses().admin))
    }

    /// The URL of a path at the public address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses().http)
    }

    /// Sends a request, and panics if there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::to(request)
            .await
            .unwrap_or_else(|error| panic!("{} does not answer: {error:?}", self.name()))
    }

    /// GETs the packet of a key.
    pub async fn get(&self, key: &str) -> Answer {
        self.send(self.client().get(self.url(&format!("/pkarr/{key}"))))
            .await
    }

    /// GETs the packet of a key from a node that may be down: `None` if there is no answer.
    pub async fn get_unless_unreached(&self, key: &str) -> Option<Answer> {
        let request = self.client().get(self.url(&format!("/pkarr/{key}")));
        Answer::to(request).await.ok()
    }

    /// GETs the packet of a key with a linearizable read: 503 if that is not possible, `None` if there is
    /// no answer.
    pub async fn get_linearizable(&self, key: &str) -> Option<Answer> {
        let url = self.url(&format!("/pkarr/{key}?policy=NetworkOnly"));
        Answer::to(self.client().get(url)).await.ok()
    }

    /// PUTs any bytes.
    pub async fn put_bytes(&self, key: &str, payload: impl Into<Bytes>) -> Answer {
        self.send(self.put_request(key, payload.into())).await
    }

    /// PUTs a packet.
    pub async fn put(&self, packet: &Packet) -> PutAnswer {
        let request = self.put_request(&packet.key, packet.payload.clone());
        match Answer::to(request).await {
            Ok(answer) if answer.status == 204 => PutAnswer::Acked,
            Ok(answer) if answer.status == 504 => PutAnswer::Unknown,
            Ok(answer) => PutAnswer::Refused(answer.status),
            Err(error) if error.is_connect() => PutAnswer::Unreached,
            Err(_) => PutAnswer::Unknown,
        }
    }

    fn put_request(&self, key: &str, payload: Bytes) -> RequestBuilder {
        let url = self.url(&format!("/pkarr/{key}"));
        self.client().put(url).body(payload)
    }

    /// Queries a name over UDP, and panics if there is no answer.
    pub async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        let question = dns::question(name, record_type);
        let answer = dns::ask_udp(self.addresses().dns, &question).await;
        answer.unwrap_or_else(|error| panic!("{name} at {}: {error}", self.name()))
    }

    /// The TXT records at a key's `_iroh`, by DNS over UDP.
    pub async fn texts(&self, key: &str) -> Vec<String> {
        let name = format!("_iroh.{key}.{ORIGIN}");
        dns::texts(&self.ask(&name, RecordType::TXT).await)
    }
}
