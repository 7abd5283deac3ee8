//! The zones that are served now: configured records and replicated records together.
//!
//! A query reads them, and never builds them or waits for that. [`Zones::update`] builds the zones
//! whose replicated records changed, on a thread of its own, and then replaces what queries read.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use quorate_replica::{Reader, ReplicatedZone, ZoneState};
use quorate_zone::{Authority, Origin, OriginError};
use tokio::sync::watch;

use crate::{ConfiguredZones, DnsMetrics, cookie::ServerCookies, metrics::QueryCounters};

/// The zones and the cookie secrets.
pub(crate) struct Zones {
    pub(crate) configured: ConfiguredZones,
    cookies_enabled: bool,
    metrics: DnsMetrics,
    served: ArcSwap<ServedZones>,
    /// `None` disables cookies.
    cookies: ArcSwapOption<ServerCookies>,
    /// The query counters, by the index of the origin.
    queries: Vec<QueryCounters>,
    /// Locked while zones are built. No query locks it. It holds the zones before the present ones
    /// until the next build, so that no query frees them: that takes long for large ones.
    build_lock: Mutex<Option<Arc<ServedZones>>>,
    /// The version of `served`, for those who wait until a change is served.
    served_version: watch::Sender<u64>,
    /// The version of the replica when the first query found it ready.
    first_version: OnceLock<u64>,
}

/// The zones that are served at one time.
pub(crate) struct ServedZones {
    /// The zone version of the replica that this was built from.
    version: u64,
    /// The replicated records that this was built from.
    state: Arc<ZoneState>,
    pub(crate) authority: Authority,
}

impl Zones {
    /// The zones of this configuration and the replica. Fails if the origins conflict.
    pub(crate) fn new(
        origins: Vec<Origin>,
        cookies_enabled: bool,
        metrics: DnsMetrics,
        replica: &dyn Reader,
    ) -> Result<Self, OriginError> {
        let configured = ConfiguredZones::new(&origins);
        let authority = Authority::new(origins)?;
        let names = authority.origins();
        let zones = Self {
            configured,
            cookies_enabled,
            queries: names.map(|name| metrics.queries_of(&name)).collect(),
            metrics,
            served: ArcSwap::from_pointee(ServedZones {
                version: 0,
                state: Arc::default(),
                authority,
            }),
            cookies: ArcSwapOption::empty(),
            build_lock: Mutex::default(),
            served_version: watch::Sender::new(0),
            first_version: OnceLock::new(),
        };
        zones.update_cookies(replica);
        zones.update(replica);
        Ok(zones)
    }

    pub(crate) fn current(&self) -> Guard<Arc<ServedZones>> {
        self.served.load()
    }

    pub(crate) fn cookies(&self) -> Guard<Option<Arc<ServerCookies>>> {
        self.cookies.load()
    }

    pub(crate) fn queries_of(&self, origin_index: usize) -> Option<&QueryCounters> {
        self.queries.get(origin_index)
    }

    /// Whether `served` includes what the replica had when it became ready. To be asked only after
    /// it became ready. A start is so never answered from older zones.
    pub(crate) fn are_built(&self, served: &ServedZones, replica: &dyn Reader) -> bool {
        let first_version = self.first_version.get_or_init(|| replica.zone_version());
        served.version >= *first_version
    }

    /// Resolves when the zones of this version, or of a later one, are served.
    pub(crate) async fn served(&self, version: u64) {
        let mut served = self.served_version.subscribe();
        // It cannot fail: the sender is here.
        let _ = served.wait_for(|served| *served >= version).await;
    }

    /// Uses the present secrets of the replica for cookies. Builds no zone.
    pub(crate) fn update_cookies(&self, replica: &dyn Reader) {
        let secrets = replica.cookie_secrets().filter(|_| self.cookies_enabled);
        let cookies = secrets.map(|secrets| ServerCookies {
            current: secrets.current.0,
            previous: secrets.previous.map(|secret| secret.0),
        });
        self.cookies.store(cookies.map(Arc::new));
    }

    /// Builds the zones whose replicated records changed, and serves them. Returns the version of
    /// the replica that is served now. Blocks for as long as the builds take.
    pub(crate) fn update(&self, replica: &dyn Reader) -> u64 {
        let mut before = self
            .build_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Read the version first: if the state changes meanwhile, the next update builds again.
        let version = replica.zone_version();
        let served = self.served.load_full();
        if served.version == version {
            return version;
        }
        let state = replica.zone_state();
        let mut authority = served.authority.clone();
        for origin in self.configured.origins() {
            let replicated = state.zones.get(&origin.name);
            if replicated != served.state.zones.get(&origin.name) {
                self.build(&mut authority, origin, replicated);
            }
        }
        let now = Arc::new(ServedZones {
            version,
            state,
            authority,
        });
        *before = Some(self.served.swap(now));
        self.served_version.send_replace(version);
        replica.set_zones_served(version);
        version
    }

    /// Builds the zone of an origin with its replicated records. If these cannot be served, it has
    /// only its configured records.
    fn build(
        &self,
        authority: &mut Authority,
        origin: &Origin,
        replicated: Option<&ReplicatedZone>,
    ) {
        self.metrics.shared.zones_built_total.inc();
        // A panic must not end the task that keeps the zones up to date.
        let attempt = catch_unwind(AssertUnwindSafe(|| match replicated {
            None => Ok(authority.replace(origin)?),
            Some(replicated) => {
                Ok(authority.replace(&self.configured.with_replicated(origin, replicated))?)
            }
        }));
        let attempt: Result<(), Box<dyn Error>> =
            attempt.unwrap_or_else(|_| Err("building the zone panicked".into()));
        if let Err(error) = attempt {
            tracing::warn!(
                zone = %origin.name,
                error,
                "the replicated records of a zone cannot be served, so only its configured records \
                 are: correct them with `quorate zone`"
            );
            // It was valid when the node started.
            let _ = authority.replace(origin);
        }
    }
}

#[cfg(test)]
#[path = "zones_tests.rs"]
mod tests;
