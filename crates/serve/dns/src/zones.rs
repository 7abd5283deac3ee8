//! The zones that are served now: configured records and replicated records together.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use quorate_replica::{Reader, ZoneState};
use quorate_zone::file::is_rdata;
use quorate_zone::{Authority, Origin, OriginError};

use crate::{ConfiguredZones, DnsMetrics, cookie::ServerCookies, metrics::QueryCounters};

/// The zones. Each query compares one version number to notice that the replicated records changed.
pub(crate) struct Zones {
    configured: ConfiguredZones,
    cookies_enabled: bool,
    metrics: DnsMetrics,
    served: ArcSwap<ServedZones>,
    /// Locked by the thread that rebuilds the zones. Other queries wait for it, so that a node
    /// never answers from zones older than its applied entries.
    rebuild_lock: Mutex<()>,
}

/// The zones and cookie secrets that are served at one time.
pub(crate) struct ServedZones {
    /// The zone version of the replica that this was built from.
    version: u64,
    pub(crate) authority: Authority,
    /// `None` disables cookies.
    pub(crate) cookies: Option<ServerCookies>,
    /// The query counters, by the index of the origin.
    pub(crate) queries: Vec<QueryCounters>,
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
        let served = ServedZones {
            version: replica.zone_version(),
            queries: counters(&authority, &metrics),
            cookies: None,
            authority,
        };
        let zones = Self {
            configured,
            cookies_enabled,
            metrics,
            served: ArcSwap::from_pointee(served),
            rebuild_lock: Mutex::new(()),
        };
        zones.rebuild(replica);
        Ok(zones)
    }

    pub(crate) fn current(&self, replica: &dyn Reader) -> Guard<Arc<ServedZones>> {
        let served = self.served.load();
        if served.version == replica.zone_version() {
            return served;
        }
        self.rebuild_if_stale(replica);
        self.served.load()
    }

    #[cold]
    fn rebuild_if_stale(&self, replica: &dyn Reader) {
        let rebuild_lock = self.rebuild_lock.lock();
        let _guard = rebuild_lock.unwrap_or_else(PoisonError::into_inner);
        if self.served.load().version != replica.zone_version() {
            self.rebuild(replica);
        }
    }

    /// Rebuilds the zones with the replicated records, as far as these can be served.
    fn rebuild(&self, replica: &dyn Reader) {
        // Read the version first: if the state changes meanwhile, the next query rebuilds again.
        let version = replica.zone_version();
        let state = replica.zone_state();
        // A panic must not end the thread whose query triggered the rebuild.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.authority(&state)));
        let attempt = attempt.unwrap_or_else(|_| Err("building the zones panicked".into()));
        let authority = attempt.or_else(|error| {
            tracing::warn!(
                error,
                "the replicated zone records cannot be served, so only configured records are: \
                 correct them with `quorate zone`"
            );
            Authority::new(self.configured.origins().cloned().collect())
        });
        let Ok(authority) = authority else {
            return;
        };
        let stored = &state.cookie_secrets;
        let current = stored.current.filter(|_| self.cookies_enabled);
        let cookies = current.map(|current| ServerCookies {
            current: current.0,
            previous: stored.previous.map(|secret| secret.0),
        });
        self.served.store(Arc::new(ServedZones {
            version,
            queries: counters(&authority, &self.metrics),
            cookies,
            authority,
        }));
    }

    /// The configured zones with the replicated records. Replicated records that conflict with
    /// configured ones are left out.
    fn authority(&self, state: &ZoneState) -> Result<Authority, Box<dyn Error>> {
        let mut origins: Vec<Origin> = self.configured.origins().cloned().collect();
        for origin in &mut origins {
            let Some(replicated) = state.zones.get(&origin.name) else {
                continue;
            };
            origin.soa.serial = origin.soa.serial.wrapping_add(replicated.serial);
            for ((owner, record_type), set) in &replicated.sets {
                let mut set = set.clone();
                set.rdata.retain(|data| is_rdata(*record_type, data));
                if set.rdata.is_empty() {
                    continue;
                }
                match self.configured.check(&origin.name, owner, *record_type) {
                    Ok(()) => drop(origin.sets.insert((owner.clone(), *record_type), set)),
                    Err(reason) => tracing::warn!(reason, "replicated records are not served"),
                }
            }
        }
        Ok(Authority::new(origins)?)
    }
}

fn counters(authority: &Authority, metrics: &DnsMetrics) -> Vec<QueryCounters> {
    let origins = authority.origins();
    origins.map(|origin| metrics.queries_of(&origin)).collect()
}

#[cfg(test)]
#[path = "zones_tests.rs"]
mod tests;
