//! The page for people: what this is, how the node is, and what a key has published.

use std::{
    fmt::{self, Write},
    sync::{Arc, LazyLock},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use quorate_http::uncached;
use quorate_packet::{KeyError, PublicKey, SignedPacket};
use quorate_replica::NodeStatus;
use sha2::{Digest, Sha256};

use crate::{
    conditions::http_date,
    relay::{Relay, limited},
};

/// All that the page looks like. Its hash is in the policy below, so that no other style is taken.
const STYLE: &str = "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    td,th{text-align:left;vertical-align:top;padding:0 1rem 0 0}\
    td,input{font-family:monospace;overflow-wrap:anywhere}";

/// What a browser may load for the page: nothing but its own style. It has no scripts, is shown in no
/// frame, and its form leads nowhere else (Content Security Policy Level 3).
static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("it is ASCII that can be seen")
});

/// Fields that every page has beside its policy.
const FIELDS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Shows the page, and what the key of `?key=` has published. It counts as a read.
pub(crate) async fn page(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let client = relay.client(request.extensions(), request.headers());
    if let Err(refusal) = relay.config.rules.limits.check_get(client) {
        return limited(refusal).into_response();
    }
    let found = asked_key(request.uri()).map(|key| relay.look_up(&key));
    let status = found.as_ref().map_or(StatusCode::OK, Found::status);
    let page = Page {
        node: relay.replica.status(),
        found,
    };
    let policy = (
        header::CONTENT_SECURITY_POLICY,
        CONTENT_SECURITY_POLICY.clone(),
    );
    uncached((status, FIELDS, [policy], page.to_string()))
}

/// What the box of the form was filled with. Keys need no escapes, and spaces around them are those of
/// who pasted them.
fn asked_key(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let key = pairs.filter_map(|pair| pair.strip_prefix("key=")).next()?;
    let key = key.replace('+', " ").replace("%20", " ");
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

impl Relay {
    fn look_up(&self, key: &str) -> Found {
        let key = match key.parse::<PublicKey>() {
            Ok(key) => key,
            Err(error) => return Found::NoKey(error),
        };
        match self.packet(&key) {
            Ok(Some(indexed)) => Found::Packet(indexed.compiled.packet().clone()),
            Ok(None) => Found::Nothing(key),
            Err(_) => Found::Unreadable,
        }
    }
}

struct Page {
    node: NodeStatus,
    found: Option<Found>,
}

/// What was found of a key.
enum Found {
    Packet(SignedPacket),
    Nothing(PublicKey),
    NoKey(KeyError),
    Unreadable,
}

impl Found {
    fn status(&self) -> StatusCode {
        match self {
            Self::Packet(_) => StatusCode::OK,
            Self::Nothing(_) => StatusCode::NOT_FOUND,
            Self::NoKey(_) => StatusCode::BAD_REQUEST,
            Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        let health = match &node.not_ready {
            None if node.disk_full => "it serves reads only: its disk is nearly full".to_owned(),
            None => "it serves reads and writes".to_owned(),
            Some(reason) => reason.to_string(),
        };
        let leader = match node.leader {
            Some(_) => "a leader is known",
            None => "no leader is known",
        };
        write!(
            f,
            "<!doctype html>\n\
             <html lang=\"en\">\n\
             <head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Quorate</title><style>{STYLE}</style></head>\n\
             <body>\n\
             <h1>Quorate</h1>\n\
             <p>This is a node of a relay for signed packets (pkarr). Owners of keys publish DNS \
             records here, signed with the key, and everybody can look them up: by HTTP at \
             <code>/pkarr/</code> and the key, and by DNS.</p>\n\
             <h2>This node</h2>\n\
             <p>State: {health}. In its cluster {leader}. It has applied entry {applied}. Packets \
             that it holds: {packets}.</p>\n\
             <h2>Look up a key</h2>\n\
             <form><label>Public key in z-base-32: \
             <input name=\"key\" size=\"54\" required autocomplete=\"off\"></label> \
             <button>Look up</button></form>\n",
            health = Escaped(&health),
            applied = node.applied_index,
            packets = node.packet_count,
        )?;
        if let Some(found) = &self.found {
            found.fmt(f)?;
        }
        f.write_str("</body>\n</html>\n")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => write_packet(packet, f),
            Self::Nothing(key) => writeln!(f, "<p>No packet of {key} is stored.</p>"),
            Self::NoKey(error) => {
                let error = error.to_string();
                writeln!(f, "<p>This is no key: {}.</p>", Escaped(&error))
            }
            Self::Unreadable => {
                writeln!(f, "<p>This node cannot be read now: ask another one.</p>")
            }
        }
    }
}

fn write_packet(packet: &SignedPacket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let key = packet.key();
    write!(
        f,
        "<h2>{key}</h2>\n<p>Signed with the timestamp {} µs",
        packet.timestamp()
    )?;
    if let Some(date) = http_date(packet) {
        write!(f, ", {date}")?;
    }
    writeln!(f, ". <a href=\"pkarr/{key}\">The packet itself</a></p>")?;
    // It was decoded when it was published.
    let Ok(message) = Message::from_vec(packet.dns()) else {
        return writeln!(f, "<p>Its records cannot be shown.</p>");
    };
    writeln!(
        f,
        "<table>\n<tr><th>name</th><th>TTL</th><th>type</th><th>data</th></tr>"
    )?;
    for record in &message.answers {
        let name = record.name.to_ascii();
        let (name, ttl, record_type) = (Escaped(&name), record.ttl, record.record_type());
        let data = data_of(record);
        writeln!(
            f,
            "<tr><td>{name}</td><td>{ttl} s</td><td>{record_type}</td><td>{}</td></tr>",
            Escaped(&data)
        )?;
    }
    writeln!(f, "</table>")
}

fn data_of(record: &Record) -> String {
    match &record.data {
        // Its strings run into each other otherwise.
        RData::TXT(txt) => {
            let strings = txt.txt_data.iter();
            let quoted = strings.map(|string| format!("\"{}\"", string.escape_ascii()));
            quoted.collect::<Vec<_>>().join(" ")
        }
        data => data.to_string(),
    }
}

/// Text that is nothing but text in HTML: in elements, and in values that stand in quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
