//! Where names lead.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    net::lookup_host,
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::recent::Recent;

/// How many names it is remembered of where they led: those of more members than a leader feeds.
const NAME_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1000).expect("it is not zero");

/// How many names are looked up at one time. A lookup blocks a thread for as long as the system's
/// resolver takes, and threads are shared with the store.
const LOOKUP_COUNT_MAX: usize = 8;

/// After how long a dial has a name looked up again, though what was found last led to the peer.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Finds the addresses of a `host:port`.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// What names led to when they were last looked up. Who has an older answer does not wait for the
/// resolver: one that hangs, as resolvers do when a network fails, must not keep nodes from
/// connecting.
pub(crate) struct Addresses {
    lookup: Lookup,
    lookups: Arc<Semaphore>,
    names: Recent<String, watch::Sender<Name>>,
}

/// What is known of a name.
#[derive(Debug, Clone, Default)]
struct Name {
    /// What was last found, `None` until something was.
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

    /// The addresses of a `host:port`: those of before, if there are any. They are looked up again
    /// meanwhile when they are old.
    pub(crate) async fn of(&self, name: &str) -> Result<Arc<[SocketAddr]>, Arc<io::Error>> {
        let known = self.names.of(name.to_owned());
        if known.borrow().is_old() {
            self.look_up(name);
        }
        let mut known = known.subscribe();
        let answered = known.wait_for(|name| name.addresses.is_some() || !name.under_way);
        let name = answered.await.map(|name| name.clone()).unwrap_or_default();
        let unknown = || Arc::new(io::Error::other("it was not looked up"));
        name.addresses
            .ok_or_else(|| name.error.unwrap_or_else(unknown))
    }

    /// Has a name looked up, unless that is under way. An address needs no lookup.
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
            // Held until the resolver has answered: nobody gives up before.
            let _permit = lookups.acquire_owned().await;
            let found = found.await;
            known.send_modify(|name| name.on_looked_up(found));
        });
    }
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
