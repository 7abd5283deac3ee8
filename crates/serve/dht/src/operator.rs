//! The bridge for operators.

use futures_util::future::BoxFuture;
use quorate_api::{Problem, ProblemType};
use quorate_metrics::Histogram;
use quorate_packet::PublicKey;
use quorate_replica::{DhtFinding, DhtOperator, DhtPublished, DhtStatus, StoredPacket};

use crate::{
    Bridge,
    metrics::{LookupLabel, PublicationLabel},
    publisher::Publication,
    values::{self, ReadFailure, is_full},
};

impl DhtOperator for Bridge {
    fn status(&self) -> DhtStatus {
        let metrics = &self.metrics;
        let gauge = |value: i64| u64::try_from(value).unwrap_or(0);
        let lookups = |label| metrics.lookups_total.of(label).get();
        let publications = |label| metrics.publications_total.of(label).get();
        DhtStatus {
            mode: <&str>::from(self.mode).to_owned(),
            routing_nodes: gauge(metrics.routing_nodes.get()),
            estimated_nodes: gauge(metrics.estimated_nodes.get()),
            request_timeout_ms: self.lookups.client.request_timeout().as_millis() as u64,
            nodes_asked: metrics.nodes_asked_total.get(),
            nodes_answered: metrics.nodes_answered_total.get(),
            lookups_found: lookups(LookupLabel::Found),
            lookups_absent: lookups(LookupLabel::Absent),
            lookups_failed: lookups(LookupLabel::Unanswered) + lookups(LookupLabel::Abandoned),
            first_packet_ms: mean(&metrics.first_packet_seconds).map(|secs| secs * 1e3),
            newest_packet_ms: mean(&metrics.newest_packet_seconds).map(|secs| secs * 1e3),
            publications_stored: publications(PublicationLabel::Stored),
            publications_failed: publications(PublicationLabel::Failed),
            copies: mean(&metrics.publication_copies),
            publications_waiting: gauge(metrics.publications_waiting.get()),
            publication_delay_secs: gauge(metrics.publication_delay_seconds.get()),
        }
    }

    fn find<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Result<DhtFinding, Problem>> {
        Box::pin(async move {
            let _turn = self.operator_turn.lock().await;
            let mut newest = None;
            let read = values::read(&self.lookups.client, key, &self.metrics, |packet| {
                newest = Some(packet.clone());
            });
            let outcome = read.await.map_err(failed)?;
            let (asked, answered) = (outcome.queried, outcome.responded());
            match newest {
                Some(packet) => Ok(DhtFinding {
                    packet: StoredPacket {
                        received: values::now(),
                        packet,
                    },
                    nodes_asked: asked,
                    nodes_answered: answered,
                }),
                None if is_full(&outcome) => {
                    let detail = format!(
                        "the DHT has no packet of {key}: {answered} of {asked} asked nodes answered"
                    );
                    Err(Problem::new(ProblemType::UnknownPacket, detail))
                }
                None => {
                    let detail =
                        format!("too few nodes of the DHT answered: {answered} of {asked}");
                    Err(Problem::new(ProblemType::Unavailable, detail))
                }
            }
        })
    }

    fn publish_now<'a>(
        &'a self,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<DhtPublished, Problem>> {
        Box::pin(async move {
            let packet = self.publisher.publishable(key).ok_or_else(|| {
                let detail = format!("this node holds no packet of {key}, or the key is denied");
                Problem::new(ProblemType::UnknownPacket, detail)
            })?;
            let _turn = self.operator_turn.lock().await;
            match self.publisher.put(&packet).await {
                Publication::Stored(copies) => Ok(DhtPublished { copies }),
                Publication::Superseded => {
                    let detail = "the DHT has a newer packet, which was proposed to the cluster";
                    Err(Problem::new(ProblemType::Superseded, detail))
                }
                Publication::Failed | Publication::Interrupted => {
                    let detail = "no node of the DHT took the packet: see `quorate dht status`";
                    Err(Problem::new(ProblemType::Unavailable, detail))
                }
            }
        })
    }
}

fn failed(failure: ReadFailure) -> Problem {
    let detail = match failure {
        ReadFailure::Disconnected => {
            "the DHT cannot be reached: check dht.bootstrap, and that UDP datagrams may leave this machine"
        }
        ReadFailure::Abandoned => "the lookup did not end in time",
    };
    Problem::new(ProblemType::Unavailable, detail)
}

/// The mean of what was observed, if anything was.
fn mean(histogram: &Histogram) -> Option<f64> {
    let count = histogram.get_sample_count();
    (count > 0).then(|| histogram.get_sample_sum() / count as f64)
}
