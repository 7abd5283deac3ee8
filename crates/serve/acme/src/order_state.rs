//! The state of an order at the authority.

use std::time::Duration;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, Authorizations, ChallengeStatus, ChallengeType,
    Identifier, Order, OrderStatus,
};
use tokio::time::sleep;

use crate::{
    context::failed_request,
    failure::{Failure, FailureKind},
    http_client::BoundedClient,
    names::CertificateName,
};

/// How long to wait between two looks, if the authority does not say: at first, and at most.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(250);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// The longest wait that is accepted from the authority.
const LOOK_AFTER_MAX: Duration = Duration::from_mins(1);

/// An order, with the client of its requests.
pub(crate) struct OrderState {
    pub(crate) order: Order,
    client: BoundedClient,
}

impl OrderState {
    pub(crate) fn new(order: Order, client: BoundedClient) -> Self {
        Self { order, client }
    }

    pub(crate) fn status(&mut self) -> OrderStatus {
        self.order.state().status
    }

    /// The names that are still to be proved, each with the value of its record. Fails if an authorization has
    /// ended or has no challenge that can be answered here.
    pub(crate) async fn challenges<'n>(
        &mut self,
        names: &'n [CertificateName],
    ) -> Result<Vec<(&'n CertificateName, String)>, Failure> {
        let mut values = Vec::new();
        let client = &self.client;
        let mut authorizations = self.order.authorizations();
        while let Some(mut authorization) = next(&mut authorizations, client).await? {
            let shown = authorization.identifier().to_string();
            let base = match authorization.identifier().identifier {
                Identifier::Dns(name) => name.trim_start_matches("*.").to_ascii_lowercase(),
                _ => String::new(),
            };
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => {
                    let text = format!("the authorization of {shown} is {status:?}");
                    return Err(Failure::new(FailureKind::Challenge, text).ending_order());
                }
            }
            let is_base = |name: &&CertificateName| name.name.trim_start_matches("*.") == base;
            let name = names.iter().find(is_base).ok_or_else(|| {
                let text =
                    format!("the order has an authorization for {shown}, which was not ordered");
                Failure::new(FailureKind::Order, text).ending_order()
            })?;
            let challenge = authorization
                .challenge(ChallengeType::Dns01)
                .ok_or_else(|| {
                    let text = format!("the authority offers no challenge dns-01 for {shown}");
                    Failure::new(FailureKind::Challenge, text).ending_order()
                })?;
            values.push((name, challenge.key_authorization().dns_value()));
        }
        Ok(values)
    }

    /// Tells the authority that it can look for the records.
    pub(crate) async fn set_ready(&mut self) -> Result<(), Failure> {
        let client = &self.client;
        let mut authorizations = self.order.authorizations();
        while let Some(mut authorization) = next(&mut authorizations, client).await? {
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let shown = authorization.identifier().to_string();
            let challenge = authorization.challenge(ChallengeType::Dns01);
            let Some(mut challenge) = challenge else {
                continue;
            };
            if challenge.status != ChallengeStatus::Pending {
                continue;
            }
            match challenge.set_ready().await {
                Ok(()) => {}
                // The authority has looked already and found fault: the order becomes invalid, and tells why.
                Err(instant_acme::Error::Api(_)) if (200..300).contains(&client.last().status) => {}
                Err(error) => {
                    let what = format!("the challenge for {shown}");
                    return Err(failed_request(
                        client,
                        FailureKind::Challenge,
                        &what,
                        &error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Looks until the order is in one of these states, and returns it. Fails if it has become invalid. The
    /// caller bounds the time.
    pub(crate) async fn wait_for(
        &mut self,
        wanted: &[OrderStatus],
    ) -> Result<OrderStatus, Failure> {
        let mut interval = LOOK_INTERVAL_MIN;
        loop {
            match self.status() {
                OrderStatus::Invalid => return Err(self.invalid().await),
                status if wanted.contains(&status) => return Ok(status),
                _ => {}
            }
            let asked = self.client.last().retry_after;
            sleep(asked.map_or(interval, |asked| asked.clamp(interval, LOOK_AFTER_MAX))).await;
            interval = (interval * 2).min(LOOK_INTERVAL_MAX);
            let refreshed = self.order.refresh().await.map(|_| ());
            refreshed.map_err(|error| self.failed("reading the order", &error))?;
        }
    }

    /// Why the order is invalid, as far as the authority tells.
    async fn invalid(&mut self) -> Failure {
        let mut reasons = Vec::new();
        let error = self.order.state().error.clone();
        reasons.extend(error.map(|error| error.to_string()));
        let mut kind = FailureKind::Order;
        let mut authorizations = self.order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() {
                break;
            }
            let shown = authorization.identifier().to_string();
            for challenge in &authorization.challenges {
                if let Some(error) = &challenge.error {
                    kind = FailureKind::Challenge;
                    reasons.push(format!("{shown}: {error}"));
                }
            }
        }
        let text = match reasons.is_empty() {
            true => "the order has become invalid; the authority does not say why".to_owned(),
            false => format!("the order has become invalid: {}", reasons.join("; ")),
        };
        Failure::new(kind, text).ending_order()
    }

    pub(crate) fn failed(&self, what: &str, error: &instant_acme::Error) -> Failure {
        failed_request(&self.client, FailureKind::Order, what, error)
    }
}

async fn next<'a>(
    authorizations: &'a mut Authorizations<'_>,
    client: &BoundedClient,
) -> Result<Option<AuthorizationHandle<'a>>, Failure> {
    let authorization = authorizations.next().await.transpose();
    authorization.map_err(|error| {
        let what = "reading an authorization";
        failed_request(client, FailureKind::Order, what, &error)
    })
}
