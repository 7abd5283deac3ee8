//! The HTML page for people: what this server is, the state of the node, and the records of a key.

use std::{
    fmt::Display,
    sync::{Arc, LazyLock},
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use quorate_http::{limit_problem, uncached};
use quorate_packet::{PublicKey, SignedPacket, txt_text};
use sha2::{Digest, Sha256};

use crate::{conditions::http_date, relay::Relay};

/// The style of the page. Its hash is in the policy below, so that browsers apply no other style.
const STYLE: &str = include_str!("page/page.css");

/// A browser may only load the style of the page: no scripts, no frames around it, and its form can
/// only send to this server (Content Security Policy Level 3).
static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("it is printable ASCII")
});

/// Shows the page, with the records of the key in `?key=`. It counts as a read.
pub(crate) async fn page(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let client = relay
        .config
        .rules
        .client(request.extensions(), request.headers());
    if let Err(error) = relay.config.rules.limits.check_get(client) {
        return limit_problem(error).into_response();
    }
    let found = requested_key(request.uri()).map(|key| relay.look_up(&key));
    let (status, found) = found.unwrap_or_default();
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let policy = CONTENT_SECURITY_POLICY.clone();
    let policy = [(header::CONTENT_SECURITY_POLICY, policy)];
    uncached((status, fields, policy, relay.page(&found)))
}

/// The key that the form sends. Keys need no escapes. Spaces around a key come from pasting it.
fn requested_key(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let key = pairs.filter_map(|pair| pair.strip_prefix("key=")).next()?;
    let key = key.replace('+', " ").replace("%20", " ");
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

impl Relay {
    /// The page, with the HTML in `found`.
    fn page(&self, found: &str) -> String {
        let node = self.replica.status();
        let health = match &node.not_ready {
            None if node.disk_full => "it serves reads only: its disk is nearly full".to_owned(),
            None => "it serves reads and writes".to_owned(),
            Some(reason) => reason.to_string(),
        };
        let leader = match node.leader {
            Some(_) => "a leader is known",
            None => "no leader is known",
        };
        fill_template(
            include_str!("page/page.html"),
            &[
                ("&style", &STYLE),
                ("health", &health),
                ("leader", &leader),
                ("applied", &node.applied_index),
                ("packets", &node.packet_count),
                ("&found", &found),
            ],
        )
    }

    /// The records of a key in HTML, or why there are none.
    fn look_up(&self, key: &str) -> (StatusCode, String) {
        let (status, message) = match key.parse::<PublicKey>() {
            Err(error) => (
                StatusCode::BAD_REQUEST,
                format!("This is not a key: {error}."),
            ),
            Ok(key) => match self.packet(&key) {
                Ok(Some(indexed)) => {
                    return (StatusCode::OK, packet_html(indexed.compiled.packet()));
                }
                Ok(None) => {
                    let missing = format!("No packet of {key} is stored.");
                    (StatusCode::NOT_FOUND, missing)
                }
                Err(_) => {
                    let unreadable =
                        "This node cannot read its packets now: ask another node.".to_owned();
                    (StatusCode::SERVICE_UNAVAILABLE, unreadable)
                }
            },
        };
        (
            status,
            fill_template("<p>{message}</p>\n", &[("message", &message)]),
        )
    }
}

fn packet_html(packet: &SignedPacket) -> String {
    let date = http_date(packet).map(|date| format!(", {date}"));
    let records: String = match Message::from_vec(packet.dns()) {
        Ok(message) => message.answers.iter().map(record_html).collect(),
        // Not expected, because the packet was decoded when it was published.
        Err(_) => "<tr><td>Its records cannot be shown.</td></tr>\n".to_owned(),
    };
    fill_template(
        include_str!("page/packet.html"),
        &[
            ("key", packet.key()),
            ("timestamp", &packet.timestamp()),
            ("date", &date.unwrap_or_default()),
            ("&records", &records),
        ],
    )
}

fn record_html(record: &Record) -> String {
    fill_template(
        include_str!("page/record.html"),
        &[
            ("name", &record.name.to_ascii()),
            ("ttl", &record.ttl),
            ("type", &record.record_type()),
            ("data", &record_data(record)),
        ],
    )
}

fn record_data(record: &Record) -> String {
    match &record.data {
        // Otherwise its strings would be joined without a separator.
        RData::TXT(txt) => txt_text(&txt.txt_data),
        data => data.to_string(),
    }
}

/// Replaces each name in braces in `template` by its value. The value is inserted as HTML if the
/// name begins with `&`. Otherwise it is escaped for use as text or in a quoted attribute.
fn fill_template(template: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut pieces = template.split('{');
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').expect("each brace is closed");
        let (_, value) = values
            .iter()
            .find(|(known, _)| *known == name)
            .expect("each name is known");
        match name.starts_with('&') {
            true => page.push_str(&value.to_string()),
            false => push_escaped(&mut page, &value.to_string()),
        }
        page.push_str(rest);
    }
    page
}

fn push_escaped(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            _ => page.push(c),
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
