//! The running bridge.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use quorate_limit::RequestLimits;
use quorate_packet::PublicKey;
use quorate_replica::{DhtAnswer, DhtBridge, Operator};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    DhtMetrics, DhtMode, DhtSettings, client::Client, lookups::Lookups, publisher::Publisher,
    round::Round,
};

/// How often the cluster is told whether this node can publish.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How long the DHT may be away until others publish what this node would. A client may start again
/// meanwhile.
const TAKE_OVER_AFTER: Duration = Duration::from_secs(60);

/// Looks keys up in the DHT, and publishes packets there, until it is dropped.
pub struct Bridge {
    pub(crate) mode: DhtMode,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) metrics: DhtMetrics,
    /// Allows one request of an operator at a time, because no limits apply to them.
    pub(crate) operator_turn: Mutex<()>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Bridge {
    /// Starts the bridge, unless it is off. It continues to try until the DHT can be reached.
    pub fn start(
        settings: DhtSettings,
        replica: Arc<dyn Operator>,
        limits: RequestLimits,
        metrics: DhtMetrics,
    ) -> Option<Self> {
        if settings.mode == DhtMode::Off {
            return None;
        }
        let mode = settings.mode;
        metrics.enabled.set(1);
        let client = Client::new(settings.clone(), metrics.clone());
        let publisher = Publisher::new(
            settings.clone(),
            client.clone(),
            replica.clone(),
            metrics.clone(),
        );
        let mut tasks = vec![tokio::spawn(client.clone().run())];
        if mode == DhtMode::ResolveAndPublish {
            let interval = Duration::from_secs(settings.republish_interval_secs);
            let round = Round::new(replica.clone(), publisher.clone(), interval);
            tasks.push(tokio::spawn(round.run()));
            tasks.push(tokio::spawn(publisher.clone().run()));
            let replica = replica.clone();
            tasks.push(tokio::spawn(report_publishing(client.clone(), replica)));
        }
        Some(Self {
            mode,
            lookups: Lookups::new(settings, client, replica, limits, metrics.clone()),
            publisher,
            metrics,
            operator_turn: Mutex::default(),
            _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect(),
        })
    }

    /// Resolves when the DHT is reached.
    #[cfg(test)]
    pub(crate) async fn connected(&self) {
        self.lookups.client.connected().await;
    }
}

/// Tells the cluster whether this node can publish, so that others take over if it cannot. Never returns.
async fn report_publishing(client: Arc<Client>, replica: Arc<dyn Operator>) {
    loop {
        client.connected().await;
        // A node that is not open yet forgets it.
        replica.set_publishes(true);
        sleep(REPORT_INTERVAL).await;
        if timeout(TAKE_OVER_AFTER, client.connected()).await.is_err() {
            replica.set_publishes(false);
        }
    }
}

impl DhtBridge for Bridge {
    fn lookup<'a>(
        &'a self,
        key: &'a PublicKey,
        client: IpAddr,
        deadline: Duration,
    ) -> BoxFuture<'a, DhtAnswer> {
        Box::pin(self.lookups.lookup(key, client, deadline))
    }

    fn publish(&self, key: &PublicKey) {
        if self.mode == DhtMode::ResolveAndPublish {
            self.publisher.publish_soon(key);
        }
    }

    fn known(&self, key: &PublicKey) -> Option<DhtAnswer> {
        self.lookups.known(key)
    }

    fn known_so_far(&self, key: &PublicKey) -> Option<DhtAnswer> {
        self.lookups.known_so_far(key)
    }
}
