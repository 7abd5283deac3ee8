//! The bridge to the Mainline DHT: `quorate dht`.

use clap::Subcommand;
use quorate_api::{DhtPacket, DhtPublished, DhtStatus, path};
use quorate_packet::PublicKey;
use serde_json::json;

use crate::{
    admin::{ApiCall, Session},
    packet::verified_text,
    table::table,
};

pub(crate) const HELP: &str = "\
Each node has its own bridge, which is off unless dht.mode of its configuration switches it on.";

/// Shows or uses the bridge of a node.
#[derive(Debug, Subcommand)]
pub enum DhtCommand {
    /// Show whether the DHT is reached, how it answers, and what waits to be published
    Status,
    /// Look up a key in the DHT now, whatever the node stores
    Get {
        /// The public key, in z-base-32
        key: PublicKey,
    },
    /// Publish the stored packet of a key in the DHT now
    Put {
        /// The public key, in z-base-32
        key: PublicKey,
    },
}

impl DhtCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Status => {
                session.show(&ApiCall::get(path::DHT), status).await?;
            }
            Self::Get { key } => {
                let call = ApiCall::get(path::with(path::DHT_PACKET, &key.to_string()));
                let found: DhtPacket = session.call(&call).await?;
                let text = verified_text(&key, &found.packet)?;
                session.console.print(&found, |found| {
                    let (answered, asked) = (found.nodes_answered, found.nodes_asked);
                    format!("{text}; {answered} of {asked} nodes of the DHT answered\n")
                })?;
            }
            Self::Put { key } => {
                let path = path::with(path::DHT_PACKET, &key.to_string());
                let note = |published: &DhtPublished| {
                    format!(
                        "{} nodes of the DHT took the packet of {key}",
                        published.copies
                    )
                };
                session
                    .change(&ApiCall::post(path, &json!({})), note)
                    .await?;
            }
        }
        Ok(())
    }
}

fn status(status: &DhtStatus) -> String {
    let reached = match status.routing_nodes {
        0 => "no: check dht.bootstrap, and that UDP datagrams may leave the machine".to_owned(),
        nodes => format!(
            "yes: {nodes} known nodes, of some {} in all",
            status.estimated_nodes
        ),
    };
    let answered = match status.nodes_asked {
        0 => "no lookup has ended".to_owned(),
        asked => {
            let percent = status.nodes_answered as f64 * 100.0 / asked as f64;
            format!(
                "{percent:.0} % of {asked} asked nodes, each given {} ms",
                status.request_timeout_ms
            )
        }
    };
    let lookups = format!(
        "{} found, {} absent, {} without an answer",
        status.lookups_found, status.lookups_absent, status.lookups_failed
    );
    let millis = |mean: Option<f64>| mean.map_or("-".to_owned(), |mean| format!("{mean:.0} ms"));
    let packet = format!(
        "{} to the first, {} to the newest packet",
        millis(status.first_packet_ms),
        millis(status.newest_packet_ms)
    );
    let copies = status
        .copies
        .map_or("-".to_owned(), |mean| format!("{mean:.1}"));
    let published = format!(
        "{} packets, {copies} copies each; {} failed",
        status.publications_stored, status.publications_failed
    );
    let waiting = format!(
        "{} keys, the next one for {} s",
        status.publications_waiting, status.publication_delay_secs
    );
    let rows = [
        ["mode", &status.mode],
        ["reached", &reached],
        ["answered", &answered],
        ["lookups", &lookups],
        ["mean time", &packet],
        ["published", &published],
        ["waiting", &waiting],
    ];
    table(["BRIDGE", ""], rows.map(|row| row.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};
    use quorate_api::ProblemType;

    use super::*;
    use crate::admin::canned::{Answer, CannedNode};

    #[tokio::test]
    async fn the_status_says_how_the_dht_answers() {
        let answer = DhtStatus {
            mode: "resolve-and-publish".to_owned(),
            routing_nodes: 150,
            estimated_nodes: 9_000_000,
            request_timeout_ms: 700,
            nodes_asked: 200,
            nodes_answered: 120,
            lookups_found: 3,
            lookups_absent: 1,
            first_packet_ms: Some(210.4),
            newest_packet_ms: Some(490.0),
            publications_stored: 2,
            copies: Some(17.5),
            ..DhtStatus::default()
        };
        let node = CannedNode::start([Answer::json(StatusCode::OK, &answer)]).await;
        let (captured, outcome) = node.run(&["dht", "status"]).await;
        assert_eq!(outcome, Ok(()));
        let expected = "\
BRIDGE
mode       resolve-and-publish
reached    yes: 150 known nodes, of some 9000000 in all
answered   60 % of 200 asked nodes, each given 700 ms
lookups    3 found, 1 absent, 0 without an answer
mean time  210 ms to the first, 490 ms to the newest packet
published  2 packets, 17.5 copies each; 0 failed
waiting    0 keys, the next one for 0 s
";
        assert_eq!(captured.data(), expected);
    }

    #[tokio::test]
    async fn a_packet_is_published_and_a_missing_one_is_an_error() {
        let key = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
        let published = Answer::json(StatusCode::OK, &DhtPublished { copies: 17 });
        let node = CannedNode::start([published]).await;
        let (captured, outcome) = node.run(&["dht", "put", key]).await;
        assert_eq!(outcome, Ok(()));
        let expected = format!("quorate: 17 nodes of the DHT took the packet of {key}\n");
        assert_eq!(captured.notes(), expected);
        let request = node.requests().pop().unwrap();
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.target, format!("/v1/dht/{key}"));

        let detail = "the DHT has no packet";
        let node = CannedNode::start([Answer::problem(ProblemType::UnknownPacket, detail)]).await;
        let (_, outcome) = node.run(&["dht", "get", key]).await;
        assert!(outcome.is_err_and(|(text, _)| text.contains(detail)));
    }
}
