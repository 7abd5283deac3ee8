//! Replaces the cluster key, and secrets that others may know, on an operator's request.

use quorate_api::{Problem, RotateKeyRequest, RotatedKey};
use quorate_peer::chain;
use quorate_state::{Command, LogIndex, Renewal, SecretKind, SecretState};
use tokio::time::timeout_at;

use super::{admin::LeaderTask, problems::failed};

impl LeaderTask<'_> {
    /// Demands a new cluster key, and waits until the cluster uses it and has sealed its secrets again. Then drops
    /// those that no node can open, if that is wanted.
    pub(super) async fn rotate_key(
        &self,
        request: RotateKeyRequest,
    ) -> Result<(LogIndex, RotatedKey), Problem> {
        self.check_founded()?;
        let (demanded, _) = self.commit(Command::DemandKey).await?;
        let is_done = |secrets: &SecretState| {
            secrets.key_due.is_none_or(|due| due > demanded)
                && secrets.key.is_some()
                && self.lost(secrets).len() == sealed_before(secrets).count()
        };
        let mut applied = self.context.state_machine.applied();
        let done = applied.wait_for(|meta| is_done(&meta.cluster.secrets));
        if !matches!(timeout_at(self.deadline, done).await, Ok(Ok(_))) {
            return Err(failed(
                "a new cluster key is demanded, but no majority of the voters has it yet: it is used when \
                 they answer",
            ));
        }
        // A follower may have what this leader lacks.
        let fetched = self.context.fetch_missing_keys().await;
        fetched.map_err(|error| failed(chain(&error)))?;
        let secrets = self.cluster().secrets;
        let lost = self.lost(&secrets);
        let key = secrets.key.map(|key| key.to_string()).unwrap_or_default();
        let discarded = request.discard_lost && !lost.is_empty();
        let index = match discarded {
            true => self.commit(Command::DropSecrets(lost.clone())).await?.0,
            false => demanded,
        };
        let rotated = RotatedKey {
            key,
            lost,
            discarded,
        };
        Ok((index, rotated))
    }

    /// Demands a new certificate. While there is none, only another order makes this differ from the demand before.
    pub(super) async fn demand_certificate(&self) -> Result<LogIndex, Problem> {
        let mut kinds = vec![SecretKind::Certificate];
        let secrets = self.cluster().secrets;
        if !secrets.stored.contains_key(&SecretKind::Certificate) {
            kinds.push(SecretKind::AcmeOrder);
        }
        let renewal = Renewal::Requested;
        let demand = Command::DemandSecrets { kinds, renewal };
        let (index, _) = self.commit(demand).await?;
        Ok(index)
    }

    /// Demands new secrets in place of those that a removed machine may leak, and another cluster key.
    pub(super) async fn replace_secrets(&self) -> Result<(), Problem> {
        let demand = Command::DemandSecrets {
            kinds: SecretKind::of_operators(),
            renewal: Renewal::Compromised,
        };
        self.commit(demand).await.map(drop)
    }

    /// The secrets that an earlier key has sealed, which this leader does not have.
    fn lost(&self, secrets: &SecretState) -> Vec<SecretKind> {
        let has_key = |key| self.context.cluster_keys.key(key).is_some();
        let lost = sealed_before(secrets).filter(|kind| !has_key(secrets.stored[kind].sealed.key));
        lost.collect()
    }
}

/// The secrets that an earlier key has sealed. Cookies do not count: new ones are made.
fn sealed_before(secrets: &SecretState) -> impl Iterator<Item = SecretKind> {
    let stored = secrets.stored.iter();
    let before = stored.filter(|(kind, stored)| {
        **kind != SecretKind::DnsCookies && Some(stored.sealed.key) != secrets.key
    });
    before.map(|(kind, _)| *kind)
}
