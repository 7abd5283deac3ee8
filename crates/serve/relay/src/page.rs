//! The page for people: what this is, how the node is, and what a key has published.

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
use quorate_http::uncached;
use quorate_packet::{PublicKey, SignedPacket, txt_text};
use sha2::{Digest, Sha256};

use crate::{
    conditions::http_date,
    relay::{Relay, limited},
};

/// All that the page looks like. Its hash is in the policy below, so that no other style is taken.
const STYLE: &str = include_str!("page/page.css");

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

/// Shows the page, and what the key of `?key=` has published. It counts as a read.
pub(crate) async fn page(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let client = relay.client(request.extensions(), request.headers());
    if let Err(refusal) = relay.config.rules.limits.check_get(client) {
        return limited(refusal).into_response();
    }
    let found = asked_key(request.uri()).map(|key| relay.look_up(&key));
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

/// What the box of the form was filled with. Keys need no escapes, and spaces around them are those of
/// who pasted them.
fn asked_key(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let key = pairs.filter_map(|pair| pair.strip_prefix("key=")).next()?;
    let key = key.replace('+', " ").replace("%20", " ");
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

impl Relay {
    /// The page with what was `found`, which is HTML.
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
        filled(
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

    /// What a key has published, in HTML.
    fn look_up(&self, key: &str) -> (StatusCode, String) {
        let (status, said) = match key.parse::<PublicKey>() {
            Err(error) => (StatusCode::BAD_REQUEST, format!("This is no key: {error}.")),
            Ok(key) => match self.packet(&key) {
                Ok(Some(indexed)) => return (StatusCode::OK, packet(indexed.compiled.packet())),
                Ok(None) => {
                    let missing = format!("No packet of {key} is stored.");
                    (StatusCode::NOT_FOUND, missing)
                }
                Err(_) => {
                    let unreadable = "This node cannot be read now: ask another one.".to_owned();
                    (StatusCode::SERVICE_UNAVAILABLE, unreadable)
                }
            },
        };
        (status, filled("<p>{said}</p>\n", &[("said", &said)]))
    }
}

fn packet(packet: &SignedPacket) -> String {
    let date = http_date(packet).map(|date| format!(", {date}"));
    let records: String = match Message::from_vec(packet.dns()) {
        Ok(message) => message.answers.iter().map(record).collect(),
        // It was decoded when it was published.
        Err(_) => "<tr><td>Its records cannot be shown.</td></tr>\n".to_owned(),
    };
    filled(
        include_str!("page/packet.html"),
        &[
            ("key", packet.key()),
            ("timestamp", &packet.timestamp()),
            ("date", &date.unwrap_or_default()),
            ("&records", &records),
        ],
    )
}

fn record(record: &Record) -> String {
    filled(
        include_str!("page/record.html"),
        &[
            ("name", &record.name.to_ascii()),
            ("ttl", &record.ttl),
            ("type", &record.record_type()),
            ("data", &data_of(record)),
        ],
    )
}

fn data_of(record: &Record) -> String {
    match &record.data {
        // Its strings run into each other otherwise.
        RData::TXT(txt) => txt_text(&txt.txt_data),
        data => data.to_string(),
    }
}

/// `template` with the value of each name that stands in braces. A value is nothing but text, in
/// elements and in attributes in quotes, and HTML where the name begins with `&`.
fn filled(template: &str, values: &[(&str, &dyn Display)]) -> String {
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
