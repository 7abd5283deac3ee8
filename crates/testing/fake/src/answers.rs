//! The answers of the replica to operators.

use data_encoding::BASE64;
use futures_util::{FutureExt, future::BoxFuture};
use quorate_api::{
    AdminRequest, ChangeReport, ChangeState, CreatedInvite, Deleted, ForwardedRequest,
    ImportPackets, ImportReport, Member, MemberRole, MemberState, Members, Problem, ProblemType,
    RaisedLevel, RotatedKey, TransferResult,
};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::JoinToken;
use quorate_replica::{ClusterId, Operator, ReadError, StoredPacket};
use quorate_state::{InviteId, UnixMillis};
use serde::Serialize;
use serde_json::Value;

use crate::{
    operator::NODE,
    replica::{FakeReplica, wait_for},
};

/// The id of the cluster.
const CLUSTER: ClusterId = ClusterId([2; 32]);
/// The only invite.
const INVITE: InviteId = InviteId([3; 16]);

impl Operator for FakeReplica {
    fn operate(&self, request: ForwardedRequest) -> BoxFuture<'_, Result<Value, Problem>> {
        async move {
            match request.request {
                AdminRequest::Members(_) => self.members(),
                request => {
                    self.operators.record(request.clone())?;
                    self.change(request).await
                }
            }
        }
        .boxed()
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        self.stored_after(after, count)
    }
}

impl FakeReplica {
    fn members(&self) -> Result<Value, Problem> {
        let state = self.operators.lock();
        state.check()?;
        json(Members {
            cluster: Some(CLUSTER.to_string()),
            leader: state.leader.map(|leader| leader.to_string()),
            members: vec![member()],
        })
    }

    /// Applies the change as a cluster would, unless a test sets something else.
    async fn change(&self, request: AdminRequest) -> Result<Value, Problem> {
        match request {
            AdminRequest::Invite(_) => json(CreatedInvite {
                token: JoinToken {
                    cluster: CLUSTER,
                    invite: INVITE,
                    seed: [4; 32],
                    members: vec![(NODE, member().address)],
                }
                .to_string(),
                invite: INVITE.to_string(),
                expires_ms: 1_000,
            }),
            AdminRequest::ChangeMember(_) => {
                wait_for(&self.operators.answers_changes).await;
                let state = self.operators.lock();
                json(ChangeReport {
                    state: match state.lag {
                        Some(_) => ChangeState::CatchingUp,
                        None => ChangeState::Done,
                    },
                    node: NODE.to_string(),
                    lag: state.lag,
                    warnings: state.warnings.clone(),
                })
            }
            AdminRequest::Transfer(_) => json(TransferResult {
                leader: NODE.to_string(),
            }),
            AdminRequest::RaiseLevel(_) => json(RaisedLevel { level: 1 }),
            AdminRequest::RotateKey(request) => json(RotatedKey {
                key: "0102030405060708".to_owned(),
                lost: Vec::new(),
                discarded: request.discard_lost,
            }),
            AdminRequest::RenewCertificate(_) => json(()),
            AdminRequest::ChangeZone(request) => json(self.apply_zone_change(&request.change)?),
            AdminRequest::ChangePublishing(request) => {
                json(self.apply_publish_change(&request.change)?)
            }
            AdminRequest::DeletePacket(request) => json(Deleted {
                key: request.key.to_string(),
                was_stored: self.remove(request.key),
            }),
            AdminRequest::ChangeSettings(_) => json(()),
            AdminRequest::ImportPackets(import) => json(self.import(&import)),
            other => Err(Problem::new(
                ProblemType::BadRequest,
                format!("operators do not send {other:?}"),
            )),
        }
    }
}

impl FakeReplica {
    /// Stores packets that the admin API has verified.
    fn import(&self, import: &ImportPackets) -> ImportReport {
        for packet in &import.packets {
            let payload = BASE64.decode(packet.payload.as_bytes());
            let payload = payload.expect("the payload was verified");
            let key = packet.key.parse().expect("the key was verified");
            self.store(StoredPacket {
                received: UnixMillis(packet.received_ms.unwrap_or_default()),
                packet: SignedPacket::parse(key, payload.into()).expect("it was verified"),
            });
        }
        ImportReport {
            stored: import.packets.len() as u64,
            ..ImportReport::default()
        }
    }
}

fn json(answer: impl Serialize) -> Result<Value, Problem> {
    Ok(serde_json::to_value(answer).expect("an answer is JSON"))
}

fn member() -> Member {
    Member {
        node: NODE.to_string(),
        name: "fra-1".into(),
        address: "fra-1.example:9000".into(),
        role: MemberRole::Voter,
        state: MemberState::Leader,
        lag: Some(0),
        last_heard_ms: None,
        not_electable: Vec::new(),
        level: Some(1),
        level_hold: false,
    }
}
