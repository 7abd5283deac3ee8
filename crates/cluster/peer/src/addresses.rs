//! Host name lookups.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    net::lookup_host,
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::recent::Recent;

/// The most host names whose addresses are remembered: more than a leader has members.
const NAME_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1000).expect("it is not zero");

/// The most lookups at the same time. A lookup blocks a thread while the system's resolver works, and the
/// threads are shared with the store.
const LOOKUP_COUNT_MAX: usize = 8;

/// After how long a dial causes a new lookup, even if the last addresses were right.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Finds the addresses of a `host:port`.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The last known addresses of host names. If there is an older answer, nobody waits for the resolver: one
/// that hangs, as in a network failure, must not keep nodes from connecting.
pub(crate) struct Addresses {
    lookup: Lookup,
    lookups: Arc<Semaphore>,
    names: Recent<String, watch::Sender<Name>>,
}

/// What is known about a name.
#[derive(Debug, Clone, Default)]
struct Name {
    /// The last addresses found; `None` until there are some.
    addresses: Option<Arc<[SocketAddr]>>,
    /// Why the last lookup found nothing.
    error: Option<Arc<io::Error>>,
    /// When the last lookup ended.
    looked_up: Option<Instant>,
    under_way: bool,
}

impl Name {
    fn is_old(&self) -> bool {
        self.addresses.is_none() || self.looked_up.is_none_or(|at| at.elapsed() > AGE_MAX)
    }

    fn on_looked_up(&mut self, found: io::Result<Vec<SocketAddr>>) {
        self.under_way = false;
        self.looked_up = Some(Instant::now());
        match found {
            Ok(addresses) if !addresses.is_empty() => self.addresses = Some(addresses.into()),
            Ok(_) => self.error = Some(Arc::new(io::Error::other("it has no address"))),
            Err(error) => self.error = Some(Arc::new(error)),
        }
    }
}

impl Addresses {
    pub(crate) fn of_system() -> Self {
        Self::new(Arc::new(|name| {
            async { lookup_host(name).await.map(Iterator::collect) }.boxed()
        }))
    }

    pub(crate) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            lookups: Arc::new(Semaphore::new(LOOKUP_COUNT_MAX)),
            names: Recent::new(NAME_COUNT_MAX),
        }
    }

    /// The addresses of a `host:port`: the previous ones, if any. Old ones are looked up again in the
    /// background.
    pub(crate) async fn of(&self, name: &str) -> Result<Arc<[SocketAddr]>, Arc<io::Error>> {
        let known = self.names.of(name.to_owned());
        if known.borrow().is_old() {
            self.look_up(name);
        }
        let mut known = known.subscribe();
        let answered = known.wait_for(|name| name.addresses.is_some() || !name.under_way);
        let name = answered.await.map(|name| name.clone()).unwrap_or_default();
        let unknown = || Arc::new(io::Error::other("the name was not looked up"));
        name.addresses
            .ok_or_else(|| name.error.unwrap_or_else(unknown))
    }

    /// Starts a lookup of a name, unless one is in progress. An address needs no lookup.
    pub(crate) fn look_up(&self, name: &str) {
        if name.parse::<SocketAddr>().is_ok() {
            return;
        }
        let known = self.names.of(name.to_owned());
        let begins = |name: &mut Name| !std::mem::replace(&mut name.under_way, true);
        if !known.send_if_modified(begins) {
            return;
        }
        let (lookups, found) = (self.lookups.clone(), (self.lookup)(name.to_owned()));
        tokio::spawn(async move {
            // Held until the resolver has answered.
            let _permit = lookups.acquire_owned().await;
            let found = found.await;
            known.send_modify(|name| name.on_looked_up(found));
        });
    }
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
