//! What a leader does for the secrets: it makes the cluster key and replaces it, and seals again what an earlier
//! key has sealed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use quorate_peer::{ClusterKey, NodeId, chain, message::Proposed};
use quorate_replica::{Role, SecretError};
use quorate_state::{Command, CookieSecret, LogIndex, SecretKind, SecretState, SwitchKey};
use tokio::time::{sleep, timeout};

use super::{cookies, sealing::NewSecret};
use crate::node_context::NodeContext;

/// How often to check whether something is due.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait until this leader has applied what was committed.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Another cluster key.
    Key,
    /// Another secret of DNS cookies.
    Cookies,
    /// To seal this secret with the key in use.
    Seal(SecretKind),
}

/// Why something that was due was not done.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error("a cluster key cannot be made")]
    Random(#[from] quorate_secrets::NoRandomBytes),
    #[error("the new cluster key is not on the disk of this node")]
    NotKept(#[from] quorate_secrets::KeyFileError),
    #[error("only {held} of {voters} voters have the new cluster key: the others are asked again")]
    NoMajority { held: usize, voters: usize },
    #[error("a secret cannot be sealed")]
    Seal(#[from] SecretError),
    #[error("this node no longer leads")]
    NotLeader,
}

/// A key to which the cluster has not switched.
struct NewKey {
    key: ClusterKey,
    /// The last entry that was applied when it was made.
    made_after: LogIndex,
}

impl NodeContext {
    /// Does what is due while this node leads. Never returns.
    pub(crate) async fn keep_secrets_sealed(self: Arc<Self>) {
        let (mut new_key, mut logged) = (None, None);
        loop {
            sleep(CHECK_INTERVAL).await;
            if self.raft.view().role != Role::Leader {
                new_key = None;
                continue;
            }
            // Another leader may have done it already.
            if self.due().is_none()
                || timeout(CATCH_UP_TIMEOUT, self.catch_up()).await != Ok(Some(()))
            {
                continue;
            }
            let Some(due) = self.due() else { continue };
            let done = match due {
                Due::Key => self.switch_key(&mut new_key).await,
                Due::Cookies => self.renew_cookies().await,
                Due::Seal(kind) => self.seal_again(kind).await,
            };
            match done {
                Ok(()) => logged = None,
                Err(error) => {
                    let error = chain(&error);
                    if logged.as_ref() != Some(&error) {
                        tracing::warn!(
                            error,
                            ?due,
                            "the secrets of the cluster are not all renewed; retrying"
                        );
                        logged = Some(error);
                    }
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    fn due(&self) -> Option<Due> {
        let (secrets, is_founded) = {
            let meta = self.state_machine.meta();
            (meta.cluster.secrets.clone(), meta.cluster.id.is_some())
        };
        if !is_founded {
            return None;
        }
        if secrets.key.is_none() || secrets.key_due.is_some() {
            return Some(Due::Key);
        }
        // Without the key it cannot seal, and hands over to a node that can.
        self.cluster_keys.key(secrets.key?)?;
        if cookies::is_due(&secrets, self.gossip.time()) {
            return Some(Due::Cookies);
        }
        self.to_seal_again(&secrets).map(Due::Seal)
    }

    /// A secret that an earlier key has sealed, and that this node can open.
    fn to_seal_again(&self, secrets: &SecretState) -> Option<SecretKind> {
        let mut stored = secrets.stored.iter();
        let is_old = |key| secrets.key != Some(key) && self.cluster_keys.key(key).is_some();
        let old = stored.find(|(_, stored)| is_old(stored.sealed.key));
        old.map(|(kind, _)| *kind)
    }

    /// Makes a key, unless an earlier attempt has, sends it to the members, and switches to it when a majority of
    /// the voters has it on disk. A node that was removed since the key was made may have it, so another one is
    /// made then.
    async fn switch_key(&self, new_key: &mut Option<NewKey>) -> Result<(), RotationError> {
        let secrets = self.secrets();
        let is_new_enough = |new: &NewKey| secrets.key_due.is_none_or(|due| due <= new.made_after);
        let NewKey { key, made_after } = match new_key.take().filter(is_new_enough) {
            Some(new) => new_key.insert(new),
            None => new_key.insert(NewKey {
                made_after: self.state_machine.applied_index(),
                key: ClusterKey::generate()?,
            }),
        };
        self.cluster_keys.add_pending(key.clone()).await?;
        let mut holders = self.send_key(key).await;
        holders.insert(self.config.node);
        self.check_majority(&holders)?;
        let switch = SwitchKey {
            key: key.id(),
            made_after: *made_after,
        };
        let proposed = self.raft.propose(Command::SwitchKey(switch).encode()).await;
        match proposed {
            Proposed::Applied { .. } => {
                let members = holders.len();
                tracing::info!(key = %switch.key, members, "the cluster seals its secrets with a new key");
                *new_key = None;
                Ok(())
            }
            // It may be committed yet: the key stays, and the next attempt uses it again.
            Proposed::Rejected | Proposed::Unknown => Err(RotationError::NotLeader),
        }
    }

    /// Fails unless a majority of the voters is among `holders`; during a change of the voters, of both sets.
    fn check_majority(&self, holders: &BTreeSet<NodeId>) -> Result<(), RotationError> {
        for voters in &self.raft.membership().configs {
            let held = voters.intersection(holders).count();
            let voters = voters.len();
            if held <= voters / 2 {
                return Err(RotationError::NoMajority { held, voters });
            }
        }
        Ok(())
    }

    async fn renew_cookies(&self) -> Result<(), RotationError> {
        let secrets = self.secrets();
        let last = self.open_secret(SecretKind::DnsCookies).ok().flatten();
        let mut current = CookieSecret([0; _]);
        getrandom::fill(&mut current.0).map_err(|_| quorate_secrets::NoRandomBytes)?;
        let next = cookies::next(current, last.as_ref(), &secrets);
        let stored = secrets.stored.get(&SecretKind::DnsCookies);
        self.store(NewSecret {
            kind: SecretKind::DnsCookies,
            content: &next.to_bytes(),
            made: self.gossip.time().time,
            replaces: stored.map(|stored| stored.index),
            is_new: true,
        })
        .await?;
        Ok(())
    }

    async fn seal_again(&self, kind: SecretKind) -> Result<(), RotationError> {
        let Some(open) = self.open_secret(kind)? else {
            return Ok(());
        };
        self.store(NewSecret {
            kind,
            content: &open.content,
            made: open.made,
            replaces: Some(open.index),
            is_new: false,
        })
        .await?;
        tracing::debug!(?kind, "sealed a secret with the new key");
        Ok(())
    }
}
