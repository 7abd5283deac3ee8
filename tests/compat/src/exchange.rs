//! Runs a case against a relay.

use std::{
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    client::conn::{http1, http2},
    header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ETAG},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pkarr::Keypair;
use quorate_tests::packet;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    case::{Body, Case, Offset, PAGE_ORIGIN, Protocol, Step, Target, Value, Want},
    payload,
    server::Server,
};

/// How long a relay may take to answer: one that publishes to a DHT takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How far in the past the second of a case is, so that all its packets are older than now.
const AGE_SECS: u64 = 60;

/// The text in every packet, without its time.
const TEXT: &str = "relay=https://relay.example./";

/// How many characters of an error message are shown.
const SHOWN_LENGTH_MAX: usize = 80;

/// A case in progress.
struct Exchange<'a> {
    server: &'a Server,
    address: SocketAddr,
    keys: Keypair,
    /// The case's second, in microseconds since the epoch.
    begin: u64,
    last_tag: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Fails if an answer is not as expected, with a description of it.
pub(crate) async fn run(case: &Case, server: &Server, address: SocketAddr) -> anyhow::Result<()> {
    let begin = packet::now_micros() / 1_000_000 - AGE_SECS;
    let mut exchange = Exchange {
        server,
        address,
        keys: Keypair::random(),
        begin: begin * 1_000_000,
        last_tag: None,
    };
    for step in &case.steps {
        let answer = exchange.answer(step).await?;
        for want in &step.wants {
            let checked = exchange.check(&answer, *want);
            checked.with_context(|| answer.describe(&step.method))?;
        }
        if let Some(tag) = text(&answer.headers, ETAG.as_str()) {
            exchange.last_tag = Some(tag.to_owned());
        }
    }
    Ok(())
}

impl Answer {
    /// The status, with the start of the error message.
    fn describe(&self, method: &Method) -> String {
        let is_error = self.status.is_client_error() || self.status.is_server_error();
        let message = match is_error {
            true => String::from_utf8_lossy(&self.body).trim().to_owned(),
            false => String::new(),
        };
        let shown: String = message.chars().take(SHOWN_LENGTH_MAX).collect();
        format!("{method} was answered {} {shown:?}", self.status)
    }
}

impl Exchange<'_> {
    async fn answer(&self, step: &Step) -> anyhow::Result<Answer> {
        let Some((status, times_max)) = step.until else {
            return self.send(step).await;
        };
        for _ in 1..times_max {
            let answer = self.send(step).await?;
            if answer.status == status {
                return Ok(answer);
            }
        }
        self.send(step).await
    }

    async fn send(&self, step: &Step) -> anyhow::Result<Answer> {
        let request = self.request(step)?;
        let answer = exchange(self.address, request, step.protocol);
        let answer = timeout(ANSWER_WITHIN, answer).await;
        answer.with_context(|| format!("no answer within {ANSWER_WITHIN:?}"))?
    }

    fn request(&self, step: &Step) -> anyhow::Result<Request<Full<Bytes>>> {
        let prefix = self.server.prefix;
        let key = self.keys.to_z32();
        let path = match step.target {
            Target::Key => format!("{prefix}/{key}"),
            Target::KeyWith(query) => format!("{prefix}/{key}?{query}"),
            Target::Segment(segment) => format!("{prefix}/{segment}"),
            Target::KeyAtRoot => format!("/{key}"),
        };
        let request = Request::builder().method(&step.method);
        let mut request = match step.protocol {
            Protocol::Http1 => request.uri(path).header("host", self.address.to_string()),
            Protocol::Http2 => request.uri(format!("http://{}{path}", self.address)),
        };
        for (name, value) in &step.headers {
            request = request.header(*name, self.value(*value)?);
        }
        Ok(request.body(Full::new(self.payload(step.body)))?)
    }

    fn value(&self, value: Value) -> anyhow::Result<String> {
        Ok(match value {
            Value::Text(text) => text.to_owned(),
            Value::Micros(offset) => self.micros(offset).to_string(),
            Value::Date(offset) => self.date(offset),
            Value::LastTag => self
                .last_tag
                .clone()
                .context("no previous answer had an entity tag")?,
        })
    }

    fn payload(&self, body: Body) -> Bytes {
        match body {
            Body::Empty => Bytes::new(),
            Body::Packet(offset) => self.packet(offset),
            Body::PacketOfSize(offset, size) => {
                payload::of_size(&self.keys, self.micros(offset), size)
            }
            Body::Damaged(offset) => {
                let mut payload = self.packet(offset).to_vec();
                payload[0] ^= 1;
                payload.into()
            }
            Body::OfAnotherKey(offset) => self.packet_of(&Keypair::random(), offset),
            Body::NoDns(offset) => {
                packet::sign(&self.keys, self.micros(offset), b"no DNS message").payload
            }
            Body::Cut(offset, size) => self.packet(offset).slice(..size),
        }
    }

    fn packet(&self, offset: Offset) -> Bytes {
        self.packet_of(&self.keys, offset)
    }

    fn packet_of(&self, keys: &Keypair, offset: Offset) -> Bytes {
        let name = format!("_iroh.{}.", keys.to_z32());
        let text = format!("{TEXT}{offset}");
        packet::sign_txt(keys, self.micros(offset), &[(&name, &text)]).payload
    }

    fn micros(&self, offset: Offset) -> u64 {
        self.begin + offset
    }

    fn date(&self, offset: Offset) -> String {
        let since = Duration::from_micros(self.micros(offset));
        httpdate::fmt_http_date(UNIX_EPOCH + since)
    }

    fn check(&self, answer: &Answer, want: Want) -> anyhow::Result<()> {
        let headers = &answer.headers;
        match want {
            Want::Status(statuses) => {
                let status = answer.status.as_u16();
                ensure!(statuses.contains(&status), "expected {statuses:?}");
            }
            Want::Has(name, part) => {
                let value =
                    text(headers, name).with_context(|| format!("the answer has no {name}"))?;
                let has = value.to_lowercase().contains(part);
                ensure!(has, "{name} is {value:?}");
            }
            Want::HasNot(name) => {
                ensure!(!headers.contains_key(name), "the answer has {name}");
            }
            Want::OpenToPages => open_to_pages(headers)?,
            Want::Allows(header) => allows(headers, header)?,
            Want::HasDate(name, offset) => has(headers, name, &self.date(offset))?,
            Want::HasLength(name, offset) => {
                has(headers, name, &self.packet(offset).len().to_string())?;
            }
            Want::FreshFor(secs_max) => fresh_for(headers, secs_max)?,
            Want::BodyOf(offset) => {
                ensure!(
                    answer.body == self.packet(offset),
                    "the body is another packet"
                );
            }
            Want::NoBody => ensure!(answer.body.is_empty(), "the answer has a body"),
        }
        Ok(())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn has(headers: &HeaderMap, name: &str, expected: &str) -> anyhow::Result<()> {
    match text(headers, name) {
        Some(value) if value == expected => Ok(()),
        Some(value) => bail!("{name} is {value:?}, not {expected:?}"),
        None => bail!("the answer has no {name}"),
    }
}

/// Fails unless the answer allows any origin, or [`PAGE_ORIGIN`].
fn open_to_pages(headers: &HeaderMap) -> anyhow::Result<()> {
    let name = ACCESS_CONTROL_ALLOW_ORIGIN.as_str();
    let value = text(headers, name).with_context(|| format!("the answer has no {name}"))?;
    ensure!(["*", PAGE_ORIGIN].contains(&value), "{name} is {value:?}");
    Ok(())
}

/// Fails unless the answer allows this header field by its name, or any.
fn allows(headers: &HeaderMap, header: &str) -> anyhow::Result<()> {
    let name = ACCESS_CONTROL_ALLOW_HEADERS.as_str();
    let value = text(headers, name).with_context(|| format!("the answer has no {name}"))?;
    let mut names = value.split(',').map(str::trim);
    let has = names.any(|name| name == "*" || name.eq_ignore_ascii_case(header));
    ensure!(has, "{name} is {value:?}");
    Ok(())
}

fn fresh_for(headers: &HeaderMap, secs_max: u64) -> anyhow::Result<()> {
    let value = text(headers, CACHE_CONTROL.as_str()).context("the answer has no cache-control")?;
    let (_, secs) = value.split_once("max-age=").context("no max-age")?;
    let secs = secs.split(',').next().unwrap_or_default();
    ensure!(
        secs.trim().parse::<u64>()? <= secs_max,
        "cache-control is {value:?}"
    );
    Ok(())
}

/// Uses a new connection for each request, so that requests do not influence each other.
async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    protocol: Protocol,
) -> anyhow::Result<Answer> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let response = match protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
        Protocol::Http2 => {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
    };
    let (parts, body) = response.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    })
}
