//! The leader's handler for packets that other servers received before.

use data_encoding::BASE64;
use quorate_api::{
    IMPORT_COUNT_MAX, ImportPackets, ImportReport, PortablePacket, Problem, ProblemType,
    RejectedPacket,
};
use quorate_clock::Stamp;
use quorate_packet::SignedPacket;
use quorate_state::{
    BatchConditions, Command, Import, LogIndex, Outcome, PutBatch, PutOutcome, UnixMillis,
};

use super::{admin::LeaderTask, problems::failed};

impl LeaderTask<'_> {
    /// Commits packets that another node has verified. Returns the index of their entry.
    pub(super) async fn import(
        &self,
        ImportPackets { packets }: ImportPackets,
    ) -> Result<(LogIndex, ImportReport), Problem> {
        let stamp = self.stamp()?;
        let retention = self.context.retention(&self.cluster());
        let (expired, packets): (Vec<_>, Vec<_>) = packets.into_iter().partition(|packet| {
            let received = packet.received_ms.map(UnixMillis);
            received.is_some_and(|at| stamp.now.since(at) >= retention)
        });
        let (index, mut report) = match packets.is_empty() {
            true => (
                self.context.state_machine.applied_index(),
                ImportReport::default(),
            ),
            false => self.commit_import(&packets, stamp).await?,
        };
        report
            .rejected
            .extend(expired.into_iter().map(|packet| RejectedPacket {
                key: packet.key,
                reason: "it was received longer ago than packets.retention_secs".to_owned(),
            }));
        Ok((index, report))
    }

    async fn commit_import(
        &self,
        packets: &[PortablePacket],
        stamp: Stamp,
    ) -> Result<(LogIndex, ImportReport), Problem> {
        let decoded: Option<Vec<SignedPacket>> = packets.iter().map(packet).collect();
        let decoded = decoded.filter(|packets| packets.len() <= IMPORT_COUNT_MAX);
        let decoded = decoded
            .ok_or_else(|| Problem::new(ProblemType::BadRequest, "the packets are not valid"))?;
        let import = Import {
            received: packets
                .iter()
                .map(|packet| packet.received_ms.map(UnixMillis))
                .collect(),
            batch: PutBatch {
                now: stamp.now,
                timestamp_max: stamp.timestamp_max,
                conditions: BatchConditions::default(),
                packets: decoded,
            },
        };
        match self.commit(Command::Import(import)).await? {
            (index, Outcome::Put { outcomes, .. }) => Ok((index, report(packets, &outcomes))),
            (_, other) => Err(failed(format!(
                "the import returned an unexpected {other:?}"
            ))),
        }
    }
}

fn packet(portable: &PortablePacket) -> Option<SignedPacket> {
    let payload = BASE64.decode(portable.payload.as_bytes()).ok()?;
    SignedPacket::assume_verified(portable.key.parse().ok()?, payload.into())
}

fn report(packets: &[PortablePacket], outcomes: &[PutOutcome]) -> ImportReport {
    let mut report = ImportReport::default();
    for (packet, outcome) in packets.iter().zip(outcomes) {
        let reason = match outcome {
            PutOutcome::Stored => {
                report.stored += 1;
                continue;
            }
            PutOutcome::Unchanged => {
                report.unchanged += 1;
                continue;
            }
            PutOutcome::Superseded => {
                report.superseded += 1;
                continue;
            }
            PutOutcome::Full => {
                report.full += 1;
                continue;
            }
            PutOutcome::TooFarAhead => "its timestamp is too far in the future",
            PutOutcome::Blocked => "its key is blocked",
            PutOutcome::Forbidden | PutOutcome::ConditionFailed => "its key may not publish here",
        };
        report.rejected.push(RejectedPacket {
            key: packet.key.clone(),
            reason: reason.to_owned(),
        });
    }
    report
}
