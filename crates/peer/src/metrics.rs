//! What the transport tells Prometheus.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use quorate_rpc::Lane;

use crate::{frame::FrameCounters, lane};

/// Which end of a link this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It connected.
    Dialed,
    /// It was connected to.
    Accepted,
}

impl End {
    const ALL: [Self; 2] = [Self::Dialed, Self::Accepted];

    fn as_str(self) -> &'static str {
        match self {
            Self::Dialed => "dialed",
            Self::Accepted => "accepted",
        }
    }
}

/// What became of a connection that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It is a link now.
    Welcomed,
    /// The other end closed it.
    Closed,
    /// It took too long.
    TimedOut,
    /// It was the oldest of too many.
    Crowded,
    /// It was no TLS as nodes speak it.
    Tls,
    /// The key is not admitted.
    UnknownKey,
    /// An admitted node greeted in no known way.
    Greeting,
    /// An admitted node speaks another wire version.
    WireVersion,
    /// An admitted node belongs to another cluster.
    Cluster,
    /// There were too many links.
    LinkCount,
}

impl Handshake {
    const ALL: [Self; 10] = [
        Self::Welcomed,
        Self::Closed,
        Self::TimedOut,
        Self::Crowded,
        Self::Tls,
        Self::UnknownKey,
        Self::Greeting,
        Self::WireVersion,
        Self::Cluster,
        Self::LinkCount,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Welcomed => "welcomed",
            Self::Closed => "closed",
            Self::TimedOut => "timed_out",
            Self::Crowded => "crowded",
            Self::Tls => "tls",
            Self::UnknownKey => "unknown_key",
            Self::Greeting => "greeting",
            Self::WireVersion => "wire_version",
            Self::Cluster => "cluster",
            Self::LinkCount => "link_count",
        }
    }
}

/// Why a dial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialFailure {
    /// The address gave no answer, or no address.
    Connect,
    /// No TLS with the expected key came about.
    Tls,
    /// The peer does not admit this node's key.
    NotAdmitted,
    /// The peer turned this node away, and said why.
    Refused,
    /// The peer connected and then took too long.
    TimedOut,
}

impl DialFailure {
    const ALL: [Self; 5] = [
        Self::Connect,
        Self::Tls,
        Self::NotAdmitted,
        Self::Refused,
        Self::TimedOut,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::NotAdmitted => "not_admitted",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Figures of the transport, for both ends of links.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Links that are open now, by end and lane
    links: Vec<IntGauge>,
    /// Connections that came in, by outcome of the handshake
    handshakes: Vec<IntCounter>,
    /// Dials that gave no link, by reason
    dial_failures: Vec<IntCounter>,
    /// Frames read, by lane
    frames_read: Vec<IntCounter>,
    /// Frames written, by lane
    frames_written: Vec<IntCounter>,
    /// Bytes of frames read, by lane
    bytes_read: Vec<IntCounter>,
    /// Bytes of frames written, by lane
    bytes_written: Vec<IntCounter>,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let links = IntGaugeVec::new(
            Opts::new(
                "quorate_peer_links_open",
                "Links that are open now, by end and lane",
            ),
            &["end", "lane"],
        )?;
        registry.register(Box::new(links.clone()))?;
        let lanes = || lane::LANES.into_iter().map(lane::name);
        let by_lane = |name, help| counters(registry, name, help, "lane", lanes());
        Ok(Self {
            links: End::ALL
                .into_iter()
                .flat_map(|end| lanes().map(move |lane| [end.as_str(), lane]))
                .map(|labels| links.with_label_values(&labels))
                .collect(),
            handshakes: counters(
                registry,
                "quorate_peer_handshakes_total",
                "Connections that came in, by outcome of the handshake",
                "outcome",
                Handshake::ALL.into_iter().map(Handshake::as_str),
            )?,
            dial_failures: counters(
                registry,
                "quorate_peer_dial_failures_total",
                "Dials that gave no link, by reason",
                "reason",
                DialFailure::ALL.into_iter().map(DialFailure::as_str),
            )?,
            frames_read: by_lane("quorate_peer_read_frames_total", "Frames read, by lane")?,
            frames_written: by_lane(
                "quorate_peer_written_frames_total",
                "Frames written, by lane",
            )?,
            bytes_read: by_lane(
                "quorate_peer_read_bytes_total",
                "Bytes of frames read, by lane",
            )?,
            bytes_written: by_lane(
                "quorate_peer_written_bytes_total",
                "Bytes of frames written, by lane",
            )?,
        })
    }

    pub(crate) fn count_handshake(&self, outcome: Handshake) {
        self.handshakes[outcome as usize].inc();
    }

    pub(crate) fn count_dial_failure(&self, reason: DialFailure) {
        self.dial_failures[reason as usize].inc();
    }

    /// Counts a link as open until the guard is dropped.
    pub(crate) fn open_link(&self, end: End, lane: Lane) -> OpenLink {
        let number = usize::from(lane::number(lane));
        let gauge = self.links[end as usize * lane::LANES.len() + number].clone();
        gauge.inc();
        OpenLink(gauge)
    }

    pub(crate) fn read(&self, lane: Lane) -> FrameCounters {
        let number = usize::from(lane::number(lane));
        FrameCounters {
            frames: self.frames_read[number].clone(),
            bytes: self.bytes_read[number].clone(),
        }
    }

    pub(crate) fn written(&self, lane: Lane) -> FrameCounters {
        let number = usize::from(lane::number(lane));
        FrameCounters {
            frames: self.frames_written[number].clone(),
            bytes: self.bytes_written[number].clone(),
        }
    }
}

/// A counter for each value of the label, in their order, at zero from the start.
fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = &'static str>,
) -> Result<Vec<IntCounter>, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(values
        .map(|value| counters.with_label_values(&[value]))
        .collect())
}

/// An open link, in the figures.
#[derive(Debug)]
pub(crate) struct OpenLink(IntGauge);

impl Drop for OpenLink {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_stands_at_its_place() {
        for (place, outcome) in Handshake::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
        for (place, reason) in DialFailure::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        for (place, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place);
        }
    }

    #[test]
    fn a_link_counts_as_open_while_it_lives() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let link = metrics.open_link(End::Accepted, Lane::Control);
        let open: Vec<_> = metrics.links.iter().map(IntGauge::get).collect();
        assert_eq!(open, [0, 0, 0, 0, 0, 1, 0, 0]);
        drop(link);
        assert!(metrics.links.iter().all(|gauge| gauge.get() == 0));
    }
}
