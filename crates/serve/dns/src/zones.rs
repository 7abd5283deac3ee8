//! The zones as they are served now: those of the configuration, and what the cluster has agreed on.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use quorate_replica::{Reader, ZoneState};
use quorate_zone::file::is_rdata;
use quorate_zone::{Authority, Origin, OriginError};

use crate::{ConfiguredZones, DnsMetrics, cookie::CookieJar, metrics::QueryCounters};

/// The zones, which follow the cluster: one look at a number tells a query whether they still do.
pub(crate) struct Zones {
    configured: ConfiguredZones,
    takes_cookies: bool,
    metrics: DnsMetrics,
    served: ArcSwap<Served>,
    /// Held by whoever follows the cluster. Others wait: what a node has applied, it serves.
    following: Mutex<()>,
}

/// What is served at one time.
pub(crate) struct Served {
    /// That of the replica when this was made.
    version: u64,
    pub(crate) authority: Authority,
    /// What cookies are made with; `None` takes none.
    pub(crate) cookies: Option<CookieJar>,
    /// The counters of queries, by the index of their origin.
    pub(crate) queries: Vec<QueryCounters>,
}

impl Zones {
    /// The zones of the configuration, if they go together.
    pub(crate) fn new(
        origins: Vec<Origin>,
        takes_cookies: bool,
        metrics: DnsMetrics,
        replica: &dyn Reader,
    ) -> Result<Self, OriginError> {
        let configured = ConfiguredZones::new(&origins);
        let authority = Authority::new(origins)?;
        let served = Served {
            version: replica.zone_version(),
            queries: counters(&authority, &metrics),
            cookies: None,
            authority,
        };
        let zones = Self {
            configured,
            takes_cookies,
            metrics,
            served: ArcSwap::from_pointee(served),
            following: Mutex::new(()),
        };
        zones.serve(replica);
        Ok(zones)
    }

    pub(crate) fn current(&self, replica: &dyn Reader) -> Guard<Arc<Served>> {
        let served = self.served.load();
        if served.version == replica.zone_version() {
            return served;
        }
        self.follow(replica);
        self.served.load()
    }

    #[cold]
    fn follow(&self, replica: &dyn Reader) {
        let following = self.following.lock();
        let _following = following.unwrap_or_else(PoisonError::into_inner);
        if self.served.load().version != replica.zone_version() {
            self.serve(replica);
        }
    }

    /// Serves what the cluster has agreed on, as far as it can be served.
    fn serve(&self, replica: &dyn Reader) {
        // The number first: if both change now, the next query sees that they have.
        let version = replica.zone_version();
        let state = replica.zone_state();
        // A panic must not end the loop whose query happens to be the next.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.authority(&state)));
        let attempt = attempt.unwrap_or_else(|_| Err("a panic ended the attempt".into()));
        let authority = attempt.or_else(|error| {
            tracing::warn!(
                error,
                "serving the zones of the configuration alone; change what the cluster has agreed on, \
                 by `quorate zone`"
            );
            Authority::new(self.configured.origins().cloned().collect())
        });
        let Ok(authority) = authority else {
            return;
        };
        let secrets = &state.cookie_secrets;
        let current = secrets.current.filter(|_| self.takes_cookies);
        let jar = current.map(|current| CookieJar {
            current: current.0,
            previous: secrets.previous.map(|secret| secret.0),
        });
        self.served.store(Arc::new(Served {
            version,
            queries: counters(&authority, &self.metrics),
            cookies: jar,
            authority,
        }));
    }

    /// The configured zones with the replicated records, as far as these go together with what is
    /// configured: there, configuration counts.
    fn authority(&self, state: &ZoneState) -> Result<Authority, Box<dyn Error>> {
        let mut origins: Vec<Origin> = self.configured.origins().cloned().collect();
        for origin in &mut origins {
            let Some(agreed) = state.zones.get(&origin.name) else {
                continue;
            };
            origin.soa.serial = origin.soa.serial.wrapping_add(agreed.serial);
            for ((owner, record_type), set) in &agreed.sets {
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
