//! The leader's handler for each request, no matter which node received it.

use quorate_api::{
    AdminOperation, AdminRequest, ChangeMember, ChangePublishing, ChangeSettings, ChangeZone,
    DeletePacket, ForwardedAnswer, ImportPackets, ListMembers, Members, OpenInvite, Problem,
    ProblemType, RaiseLevelRequest, RecordBackup, RegisterNode, Rename, RenewCertificateRequest,
    RotateKeyRequest, TransferRequest,
};
use quorate_peer::{NodeId, chain, message::Proposed};
use quorate_state::{BackupRecord, Command, LogIndex, Outcome, Rejection};
use tokio::{sync::MutexGuard, time::timeout_at};

use super::{
    admin::LeaderTask,
    problems::{busy, failed, no_leader, publishing, unsupported, zone},
};

/// The index of an answer that holds immediately: the requesting node need not apply an entry first.
pub(super) const ANY_INDEX: LogIndex = LogIndex(0);

impl LeaderTask<'_> {
    /// Handles a request of `requester`. Fails when this node does not lead.
    pub(super) async fn answer(
        &self,
        requester: NodeId,
        request: AdminRequest,
    ) -> Result<ForwardedAnswer, Problem> {
        self.unless_majority_lost(self.catch_up()).await?;
        Ok(match request {
            AdminRequest::Members(_) => answer::<ListMembers>(ANY_INDEX, &self.members()),
            AdminRequest::Invite(_) => {
                return Err(failed(
                    "the node that the operator asks must create the token",
                ));
            }
            AdminRequest::OpenInvite(open) => {
                answer::<OpenInvite>(ANY_INDEX, &self.open_invite(open).await?)
            }
            AdminRequest::Join(call) => answer::<RegisterNode>(ANY_INDEX, &self.join(call).await?),
            AdminRequest::Rename(Rename { name }) => {
                let _lock = self.unless_majority_lost(self.lock()).await?;
                self.rename(requester, name).await?;
                answer::<Rename>(ANY_INDEX, &())
            }
            AdminRequest::ChangeMember(change) => {
                let _lock = self.unless_majority_lost(self.lock()).await?;
                answer::<ChangeMember>(ANY_INDEX, &self.change(change).await?)
            }
            AdminRequest::Transfer(TransferRequest { to }) => {
                answer::<TransferRequest>(ANY_INDEX, &self.transfer(to.as_deref()).await?)
            }
            AdminRequest::RaiseLevel(_) => {
                let (index, raised) = self.raise_level().await?;
                answer::<RaiseLevelRequest>(index, &raised)
            }
            AdminRequest::RenewCertificate(_) => {
                let index = self.demand_certificate().await?;
                answer::<RenewCertificateRequest>(index, &())
            }
            AdminRequest::RotateKey(request) => {
                let (index, rotated) = self.rotate_key(request).await?;
                answer::<RotateKeyRequest>(index, &rotated)
            }
            AdminRequest::ChangeZone(ChangeZone { change }) => {
                answer::<ChangeZone>(self.change_zone(change).await?, &())
            }
            AdminRequest::ChangePublishing(ChangePublishing { change }) => {
                answer::<ChangePublishing>(self.change_publishing(change).await?, &())
            }
            AdminRequest::ChangeSettings(change) => {
                answer::<ChangeSettings>(self.change_settings(change).await?, &())
            }
            AdminRequest::ImportPackets(import) => {
                let (index, report) = self.import(import).await?;
                answer::<ImportPackets>(index, &report)
            }
            AdminRequest::RecordBackup(RecordBackup { result }) => {
                let record = BackupRecord {
                    at: self.stamp()?.now,
                    node: requester,
                    result,
                };
                let (index, _) = self.commit(Command::RecordBackup(record)).await?;
                answer::<RecordBackup>(index, &())
            }
            AdminRequest::DeletePacket(delete) => {
                let (index, deleted) = self.delete_packet(delete).await?;
                answer::<DeletePacket>(index, &deleted)
            }
        })
    }

    fn members(&self) -> Members {
        let snapshot = self.membership_snapshot();
        let nodes = snapshot.nodes().into_iter();
        Members {
            cluster: self.cluster().id.map(|id| id.to_string()),
            leader: Some(self.context.config.node.to_string()),
            members: nodes.map(|node| self.member(&snapshot, node)).collect(),
        }
    }

    /// Waits until this leader has applied everything committed before now. Fails if it does not lead.
    pub(super) async fn catch_up(&self) -> Result<(), Problem> {
        let caught_up = timeout_at(self.deadline, self.context.catch_up()).await;
        caught_up.ok().flatten().ok_or_else(no_leader)
    }

    /// Waits until no other change is in progress.
    async fn lock(&self) -> Result<MutexGuard<'_, ()>, Problem> {
        let locked = timeout_at(self.deadline, self.change_lock.lock()).await;
        let lock = locked.map_err(|_| busy())?;
        // Another node may have led while this one waited.
        self.catch_up().await?;
        Ok(lock)
    }

    /// Commits a command and applies it here. Returns its index in the log and its outcome.
    pub(super) async fn commit(&self, command: Command) -> Result<(LogIndex, Outcome), Problem> {
        let proposed = timeout_at(self.deadline, self.context.raft.propose(command.encode())).await;
        match proposed {
            Ok(Proposed::Applied { position, outcomes }) => match outcomes {
                Outcome::Rejected(rejection) => Err(rejected(&rejection)),
                outcome => Ok((position.index, outcome)),
            },
            Ok(Proposed::Rejected) if self.context.raft.space.is_low() => Err(failed(
                "the disk of the leader is nearly full: free space, or transfer leadership",
            )),
            Ok(Proposed::Rejected | Proposed::Unknown) | Err(_) => Err(no_leader()),
        }
    }
}

/// The answer to an operation, valid from the entry at `index` on.
fn answer<O: AdminOperation>(index: LogIndex, answer: &O::Answer) -> ForwardedAnswer {
    let answer = serde_json::to_value(answer).expect("an answer is JSON");
    ForwardedAnswer { answer, index }
}

fn rejected(rejection: &Rejection) -> Problem {
    match rejection {
        Rejection::InviteCount => Problem::new(
            ProblemType::InviteCount,
            "the cluster keeps no more open tokens: wait until some have expired",
        ),
        Rejection::AboveCluster { .. } => unsupported(),
        Rejection::Zone(rejection) => zone(rejection),
        Rejection::Publishing(rejection) => publishing(rejection),
        other => failed(chain(other)),
    }
}
