//! What the leader does about the certificate, one look at a time.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use quorate_replica::{SecretError, SecretKind, UnixMillis};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::{
    account::{account, doubted, forget},
    backoff::{RETRY_AFTER_MAX, is_ahead, next_attempt},
    challenge_records::apply,
    clock::shown,
    context::Context,
    documents::{CertificateDocument, Demand, FailureRecord, OrderDocument},
    due::{Decision, Reason, due, is_waiting},
    failure::{Failure, FailureKind, Stop},
    order::{OrderRun, finish},
    renewal::{LOOK_INTERVAL_MAX, look},
    revocation::{is_due, revoke_due},
    stored::{Slot, load_order},
};

/// How often a running attempt looks whether this node still leads.
const LEADERSHIP_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait after the cluster could not store something.
const PAUSE: Duration = Duration::from_secs(10);

/// When to look for a suggested time of renewal again after a failure.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The leader's worker.
#[derive(Debug)]
pub(crate) struct Worker<'c> {
    context: &'c Context,
    /// When to look for a suggested time of renewal. A new leader looks at once.
    look_at: UnixMillis,
}

impl<'c> Worker<'c> {
    pub(crate) fn new(context: &'c Context) -> Self {
        Self {
            context,
            look_at: UnixMillis(0),
        }
    }

    /// Does what is due, if this node leads.
    pub(crate) async fn work(&mut self) {
        if !self.context.leads() {
            self.look_at = UnixMillis(0);
            return;
        }
        match self.work_as_leader().await {
            Ok(()) => {}
            Err(Stop::Changed(SecretError::Failed(reason))) => {
                warn!(reason, "the state of the certificate could not be stored");
                sleep(PAUSE).await;
            }
            Err(stop) => debug!(%stop, "stopped the work on the certificate"),
        }
    }

    async fn work_as_leader(&mut self) -> Result<(), Stop> {
        let store = &*self.context.store;
        let mut slot = load_order(store)?;
        let certificate = Slot::<CertificateDocument>::load(store)?;
        let order = slot.document.clone().unwrap_or_default();
        if store.renewal(SecretKind::AcmeOrder).is_some() {
            info!("another order is demanded, so a pending one is dropped");
            let mut order = order;
            order.attempts.failed_for = None;
            return Ok(slot.save(store, order).await?);
        }
        if slot.is_damaged() {
            return Ok(slot.save(store, order).await?);
        }
        let demand = Demand {
            renewal: store.renewal(SecretKind::Certificate),
            certificate: certificate.index,
        };
        let now = self.context.clock.now();
        let wanted = &self.context.wanted;
        match due(now, wanted, certificate.document.as_ref(), &order, &demand) {
            Decision::Order(reason) => {
                let result = self.guarded(self.order(reason)).await;
                self.conclude(result, demand).await
            }
            Decision::CleanUp => {
                let result = self.guarded(finish(self.context)).await;
                self.conclude(result, demand).await
            }
            Decision::Wait => self.maintain(&order, demand).await,
        }
    }

    /// Gets a certificate.
    async fn order(&self, reason: Reason) -> Result<(), Stop> {
        let names = self.context.names.as_deref();
        let names = names.map_err(|reason| Failure::new(FailureKind::Config, reason.clone()))?;
        info!(%reason, names = ?self.context.wanted.names, "a certificate is due");
        let client = self.context.client()?;
        let account = account(self.context, &client).await?;
        let run = OrderRun::load(self.context, client.clone(), account.clone(), names)?;
        match run.run().await {
            Err(Stop::Failed(failure)) if failure.doubts_account => {
                Err(doubted(self.context, &client, &account, failure)
                    .await
                    .into())
            }
            ended => ended,
        }
    }

    /// Does what is due without an order.
    async fn maintain(&mut self, order: &OrderDocument, demand: Demand) -> Result<(), Stop> {
        let now = self.context.clock.now();
        if is_waiting(now, &order.attempts) {
            return Ok(());
        }
        let has_account_demand = self
            .context
            .store
            .renewal(SecretKind::AcmeAccount)
            .is_some();
        if has_account_demand || is_due(order, now) {
            let result = self.guarded(self.repair(order)).await;
            return self.conclude(result, demand).await;
        }
        if !is_ahead(now, self.look_at.0, LOOK_INTERVAL_MAX) {
            self.look_at = now.saturating_add(LOOK_AGAIN);
            match self.guarded(self.look()).await {
                Ok(look_at) => self.look_at = look_at,
                Err(Stop::Failed(failure)) => {
                    debug!(
                        reason = failure.text,
                        "no suggestion when to renew the certificate"
                    );
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Changes the account's key if that is demanded, and revokes certificates.
    async fn repair(&self, order: &OrderDocument) -> Result<(), Stop> {
        let client = self.context.client()?;
        let account = account(self.context, &client).await?;
        if is_due(order, self.context.clock.now()) {
            revoke_due(self.context, &client, &account).await?;
        }
        if order.attempts.failure_count > 0 {
            let mut slot = load_order(&*self.context.store)?;
            let mut document = slot.document.clone().unwrap_or_default();
            document.attempts.end_failures();
            slot.save(&*self.context.store, document).await?;
        }
        Ok(())
    }

    async fn look(&self) -> Result<UnixMillis, Stop> {
        let client = self.context.client()?;
        let account = account(self.context, &client).await?;
        look(self.context, &account).await
    }

    /// Ends `work` when this node no longer leads, when it takes too long, or when it panics.
    pub(crate) async fn guarded<T>(
        &self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        let leads = async {
            while self.context.leads() {
                sleep(LEADERSHIP_INTERVAL).await;
            }
        };
        let limit = self.context.limits.attempt;
        let work = async {
            // What it works on is read again by the next attempt.
            let worked = AssertUnwindSafe(work).catch_unwind().await;
            worked.unwrap_or_else(|_| {
                let text = "a fault of this program, which its log describes, ended the attempt";
                Err(Failure::new(FailureKind::Order, text).into())
            })
        };
        tokio::select! {
            () = leads => Err(SecretError::NotLeader.into()),
            worked = timeout(limit, work) => worked.unwrap_or_else(|_| {
                let text = format!("the attempt did not end within {} s", limit.as_secs());
                Err(Failure::new(FailureKind::Order, text).into())
            }),
        }
    }

    /// Records a failure, with the time of the next attempt.
    async fn conclude(&self, result: Result<(), Stop>, demand: Demand) -> Result<(), Stop> {
        let failure = match result {
            Err(Stop::Failed(failure)) => failure,
            other => return other,
        };
        if failure.ends_account {
            forget(self.context).await?;
        }
        let store = &*self.context.store;
        let mut slot = load_order(store)?;
        let mut document = slot.document.clone().unwrap_or_default();
        // If the records cannot be removed now, the next attempt does it.
        if apply(self.context, &document.records, false).await.is_ok() {
            document.records = Vec::new();
        }
        if failure.ends_order || failure.ends_account {
            document.pending = None;
        }
        let now = self.context.clock.now();
        let attempts = &mut document.attempts;
        attempts.failure_count = attempts.failure_count.saturating_add(1);
        let next = next_attempt(now, attempts.failure_count, failure.retry_after);
        attempts.next_attempt_ms = Some(next.0);
        attempts.not_before_ms = failure
            .retry_after
            .map(|wait| now.saturating_add(wait.min(RETRY_AFTER_MAX)).0);
        attempts.failed_for = Some(demand);
        attempts.last_failure = Some(FailureRecord {
            at_ms: now.0,
            kind: failure.kind,
            text: failure.text.clone(),
        });
        let failure_count = attempts.failure_count;
        let kind: &str = failure.kind.into();
        self.context.metrics.failures_total.of(failure.kind).inc();
        warn!(
            kind,
            reason = failure.text,
            failure_count,
            next_attempt = shown(next.0),
            "no new certificate"
        );
        Ok(slot.save(store, document).await?)
    }
}
