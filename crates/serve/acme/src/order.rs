//! An order, from its creation or its resumption to the stored certificate.

use std::borrow::Cow;

use instant_acme::{
    Account, CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus,
};
use quorate_replica::{Renewal, SecretError, SecretKind};
use tracing::info;

use crate::{
    backoff::fraction,
    certificate_check::{CheckedCertificate, check, first_of, pem},
    certificate_key::{new_key, signing_request},
    challenge::records,
    challenge_records::apply,
    clock::shown,
    context::{Context, failed_request},
    documents::{
        Attempts, CertificateDocument, OrderDocument, PendingOrder, Revocation, Step, Wanted,
    },
    failure::{Failure, FailureKind, Stop},
    http_client::BoundedClient,
    names::CertificateName,
    order_state::OrderState,
    stored::{Slot, load_order},
};

/// How often a certificate is stored again because a new one was demanded at the same time.
const STORE_COUNT_MAX: usize = 3;

/// The share of its lifetime after which a certificate is renewed, unless the authority suggests another time, and the
/// share after that which is random.
const RENEW_AFTER: f64 = 2.0 / 3.0;
const RENEW_JITTER: f64 = 0.05;

/// An order in progress.
pub(crate) struct OrderRun<'c> {
    context: &'c Context,
    client: BoundedClient,
    account: Account,
    names: &'c [CertificateName],
    slot: Slot<OrderDocument>,
}

impl<'c> OrderRun<'c> {
    pub(crate) fn load(
        context: &'c Context,
        client: BoundedClient,
        account: Account,
        names: &'c [CertificateName],
    ) -> Result<Self, Stop> {
        let slot = load_order(&*context.store)?;
        Ok(Self {
            context,
            client,
            account,
            names,
            slot,
        })
    }

    /// Gets a certificate and stores it. Resumes the stored order, if it still fits.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let (order, pending) = match self.resume().await? {
            Some(resumed) => resumed,
            None => self.create().await?,
        };
        let mut state = OrderState::new(order, self.client.clone());
        if matches!(state.status(), OrderStatus::Pending | OrderStatus::Invalid) {
            self.prove(&mut state).await?;
            state
                .wait_for(&[
                    OrderStatus::Ready,
                    OrderStatus::Processing,
                    OrderStatus::Valid,
                ])
                .await?;
        }
        if state.status() == OrderStatus::Ready {
            let request = signing_request(&pending)?;
            let finalized = state.order.finalize_csr(&request).await;
            finalized.map_err(|error| state.failed("finalizing the order", &error))?;
            self.set_step(Step::Finalized).await?;
            info!(order = pending.url, "order finalized");
        }
        state.wait_for(&[OrderStatus::Valid]).await?;
        let chain = state.order.certificate().await;
        let chain = chain.map_err(|error| state.failed("downloading the certificate", &error))?;
        let now = self.context.clock.now();
        let names = &pending.order_for.names;
        let checked = check(&chain.unwrap_or_default(), &pending.key_pem, names, now);
        let checked = checked.map_err(|fault| {
            Failure::new(FailureKind::Certificate, fault.to_string()).ending_order()
        })?;
        self.store(&pending, checked).await?;
        finish(self.context).await
    }

    fn document(&self) -> OrderDocument {
        self.slot.document.clone().unwrap_or_default()
    }

    async fn save(&mut self, document: OrderDocument) -> Result<(), Stop> {
        Ok(self.slot.save(&*self.context.store, document).await?)
    }

    async fn set_step(&mut self, step: Step) -> Result<(), Stop> {
        let mut document = self.document();
        if let Some(pending) = &mut document.pending {
            pending.step = step;
        }
        self.save(document).await
    }

    /// The stored order, if the authority still knows it, and it is for what is wanted now.
    async fn resume(&mut self) -> Result<Option<(Order, PendingOrder)>, Stop> {
        let mut document = self.document();
        let Some(pending) = document.pending.clone() else {
            return Ok(None);
        };
        let certificate = Slot::<CertificateDocument>::load(&*self.context.store)?.document;
        let is_used = certificate.is_some_and(|stored| stored.key_pem == pending.key_pem);
        let mut reason = "it is for other names or settings, or its key is in use";
        if pending.order_for == self.context.wanted && !is_used {
            match self.account.order(pending.url.clone()).await {
                Ok(order) => {
                    info!(order = pending.url, step = ?pending.step, "resuming the order");
                    return Ok(Some((order, pending)));
                }
                // Some authorities answer without a problem document.
                Err(error)
                    if matches!(self.client.last().status, 404 | 410)
                        || matches!(error, Error::Api(_))
                            && is_refusal(self.client.last().status) =>
                {
                    reason = "the authority does not know it any more";
                }
                Err(error) => {
                    let what = "reading the pending order";
                    let failure = failed_request(&self.client, FailureKind::Order, what, &error);
                    return Err(failure.into());
                }
            }
        }
        info!(order = pending.url, reason, "the pending order is dropped");
        apply(self.context, &document.records, false).await?;
        document.pending = None;
        document.records = Vec::new();
        self.save(document).await?;
        Ok(None)
    }

    /// Creates an order and stores it with its key.
    async fn create(&mut self) -> Result<(Order, PendingOrder), Stop> {
        let wanted = &self.context.wanted;
        let key_pem = new_key(wanted.key_type)?;
        let identifiers = wanted.names.iter().cloned().map(Identifier::Dns);
        let identifiers: Vec<_> = identifiers.collect();
        let mut new = NewOrder::new(&identifiers);
        if !wanted.profile.is_empty() {
            new = new.profile(&wanted.profile);
        }
        let replaced = Slot::<CertificateDocument>::load(&*self.context.store)?.document;
        // They must have a name in common (RFC 9773, section 5).
        let replaced = replaced.filter(|stored| {
            let Wanted {
                directory, names, ..
            } = &stored.issued_for;
            *directory == wanted.directory && names.iter().any(|name| wanted.names.contains(name))
        });
        let replaced = replaced.and_then(|stored| identifier(stored.ari_id.as_deref()?));
        let order = match replaced {
            Some(replaced) => self.create_replacing(&identifiers, replaced).await?,
            None => None,
        };
        let order = match order {
            Some(order) => order,
            None => self.account.new_order(&new).await.map_err(|error| {
                failed_request(
                    &self.client,
                    FailureKind::Order,
                    "creating an order",
                    &error,
                )
            })?,
        };
        let pending = PendingOrder {
            url: order.url().to_owned(),
            order_for: wanted.clone(),
            key_pem,
            step: Step::Created,
            started_ms: self.context.clock.now().0,
        };
        let mut document = self.document();
        document.pending = Some(pending.clone());
        self.save(document).await?;
        self.context.metrics.orders_total.inc();
        info!(order = pending.url, names = ?wanted.names, "order created");
        Ok((order, pending))
    }

    /// Creates an order that says which certificate it replaces (RFC 9773, section 5). `None` if the authority does
    /// not accept that.
    async fn create_replacing(
        &self,
        identifiers: &[Identifier],
        replaced: CertificateIdentifier<'static>,
    ) -> Result<Option<Order>, Stop> {
        let wanted = &self.context.wanted;
        let mut new = NewOrder::new(identifiers).replaces(replaced);
        if !wanted.profile.is_empty() {
            new = new.profile(&wanted.profile);
        }
        match self.account.new_order(&new).await {
            Ok(order) => Ok(Some(order)),
            Err(error) => {
                let what = "creating an order";
                let failure = failed_request(&self.client, FailureKind::Order, what, &error);
                let is_refusal = matches!(error, Error::Api(_) | Error::Unsupported(_))
                    && !matches!(
                        failure.kind,
                        FailureKind::RateLimited | FailureKind::Account
                    );
                // It has created the order, and ignored what it replaces: another one would count twice.
                let last = self.client.last();
                let is_created =
                    matches!(error, Error::Other(_)) && (200..300).contains(&last.status);
                match last.location.filter(|_| is_created) {
                    Some(url) => self.read(url).await.map(Some),
                    None if is_refusal => Ok(None),
                    None => Err(failure.into()),
                }
            }
        }
    }

    async fn read(&self, url: String) -> Result<Order, Stop> {
        let order = self.account.order(url).await;
        let failed = |error| {
            failed_request(
                &self.client,
                FailureKind::Order,
                "reading the order",
                &error,
            )
        };
        Ok(order.map_err(failed)?)
    }

    /// Sets the records, waits until all nodes serve them, and tells the authority.
    async fn prove(&mut self, state: &mut OrderState) -> Result<(), Stop> {
        if state.status() == OrderStatus::Invalid {
            return Ok(());
        }
        let values = state.challenges(self.names).await?;
        let wanted = records(values);
        let mut document = self.document();
        if document.records != wanted {
            // They remain only if a key or an order was replaced in between.
            apply(self.context, &document.records, false).await?;
            document.records = wanted.clone();
            self.save(document).await?;
        }
        apply(self.context, &wanted, true).await?;
        self.set_step(Step::RecordsSet).await?;
        let owners: Vec<_> = wanted.iter().map(|record| record.owner.as_str()).collect();
        info!(?owners, "records of the challenges set");
        match self.context.store.zones_served_everywhere().await {
            Ok(()) => info!("all nodes serve the records"),
            Err(SecretError::Failed(reason)) => {
                let text = format!("not all nodes serve the records of the challenges: {reason}");
                return Err(Failure::new(FailureKind::Zone, text).into());
            }
            Err(error) => return Err(error.into()),
        }
        state.set_ready().await?;
        self.set_step(Step::ChallengesReady).await?;
        info!("challenges ready");
        Ok(())
    }

    /// Stores the certificate, and before that what is to be revoked afterwards.
    async fn store(
        &mut self,
        pending: &PendingOrder,
        checked: CheckedCertificate,
    ) -> Result<(), Stop> {
        let store = &*self.context.store;
        let document = document(pending, checked);
        for _ in 0..STORE_COUNT_MAX {
            if store.renewal(SecretKind::AcmeOrder).is_some() {
                // Others may know the new key, too.
                return Err(SecretError::Replaced.into());
            }
            let mut slot = Slot::<CertificateDocument>::load(store)?;
            let is_compromised =
                store.renewal(SecretKind::Certificate) == Some(Renewal::Compromised);
            if let Some(revocation) = slot
                .document
                .as_ref()
                .filter(|_| is_compromised)
                .and_then(revocation)
            {
                let mut order = self.document();
                if !order.revocations.contains(&revocation) {
                    order.revocations.push(revocation);
                    self.save(order).await?;
                }
            }
            match slot.save(store, document.clone()).await {
                Ok(()) => {
                    let names = &document.issued_for.names;
                    self.context.metrics.certificates_total.inc();
                    info!(
                        ?names,
                        expires = shown(document.not_after_ms),
                        renew_at = shown(document.renew_at_ms),
                        "certificate stored"
                    );
                    return Ok(());
                }
                Err(SecretError::Replaced) => {}
                Err(SecretError::Failed(reason)) => {
                    let text = format!("the certificate cannot be stored: {reason}");
                    return Err(Failure::new(FailureKind::Certificate, text).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Replaced.into())
    }
}

/// Removes what an order has left. Records the success if its certificate is stored.
pub(crate) async fn finish(context: &Context) -> Result<(), Stop> {
    let store = &*context.store;
    let mut slot = load_order(store)?;
    let certificate = Slot::<CertificateDocument>::load(store)?.document;
    let mut document = slot.document.clone().unwrap_or_default();
    apply(context, &document.records, false).await?;
    document.records = Vec::new();
    document.attempts.end_failures();
    let key_pem = document.pending.take().map(|pending| pending.key_pem);
    if certificate.is_some_and(|stored| key_pem == Some(stored.key_pem)) {
        document.attempts = Attempts {
            last_success_ms: Some(context.clock.now().0),
            ..Attempts::default()
        };
    }
    Ok(slot.save(store, document).await?)
}

/// Whether the authority refuses for good, and not because of a fault or too many requests.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && status != 429
}

fn identifier(ari_id: &str) -> Option<CertificateIdentifier<'static>> {
    let (issuer, serial) = ari_id.split_once('.')?;
    Some(CertificateIdentifier {
        authority_key_identifier: Cow::Owned(issuer.to_owned()),
        serial: Cow::Owned(serial.to_owned()),
    })
}

fn document(pending: &PendingOrder, checked: CheckedCertificate) -> CertificateDocument {
    let lifetime = checked.not_after_ms.saturating_sub(checked.not_before_ms) as f64;
    let share = RENEW_AFTER + RENEW_JITTER * fraction(&[checked.chain_pem.as_bytes()]);
    CertificateDocument {
        renew_at_ms: checked.not_before_ms + (lifetime * share) as u64,
        chain_pem: checked.chain_pem,
        key_pem: pending.key_pem.clone(),
        issued_for: pending.order_for.clone(),
        not_before_ms: checked.not_before_ms,
        not_after_ms: checked.not_after_ms,
        ari_id: checked.ari_id,
        window: None,
    }
}

fn revocation(compromised: &CertificateDocument) -> Option<Revocation> {
    Some(Revocation {
        certificate: pem(&first_of(&compromised.chain_pem)?),
        directory: compromised.issued_for.directory.clone(),
        not_after_ms: compromised.not_after_ms,
        failure_count: 0,
        next_attempt_ms: 0,
    })
}
