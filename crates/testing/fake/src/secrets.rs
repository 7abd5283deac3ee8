//! The replicated secrets.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use quorate_replica::{LogIndex, OpenSecret, Renewal, SecretError, SecretKind, UnixMillis};
use tokio::sync::watch;

/// The largest secret: what a real cluster accepts once it is sealed.
const SIZE_MAX: usize = 64 * 1024;

/// The replicated secrets. Only a leader stores them, as in a cluster.
#[derive(Debug)]
pub struct Secrets {
    /// The wait for the zones ends when this is true.
    pub answers_zones_served: watch::Sender<bool>,
    pub(crate) version: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    last: LogIndex,
    pub(crate) stored: BTreeMap<SecretKind, OpenSecret>,
    pub(crate) demanded: BTreeMap<SecretKind, Renewal>,
    store_count: usize,
    store_fails: Option<SecretError>,
    pub(crate) zones_served_fails: Option<SecretError>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            answers_zones_served: watch::Sender::new(true),
            version: watch::Sender::new(0),
            state: Mutex::default(),
        }
    }
}

impl Secrets {
    /// Demands new secrets of these kinds, as the removal of a node does.
    pub fn demand(&self, kinds: &[SecretKind], renewal: Renewal) {
        let mut state = self.lock();
        state.last.0 += 1;
        let index = state.last;
        for kind in kinds {
            if let Some(stored) = state.stored.get_mut(kind) {
                stored.index = index;
            }
            let demanded = state.demanded.entry(*kind).or_insert(renewal);
            *demanded = renewal.max(*demanded);
        }
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }

    /// Whether storing fails from now on.
    pub fn fail_stores(&self, error: impl Into<Option<SecretError>>) {
        self.lock().store_fails = error.into();
    }

    /// Whether the wait for the zones fails from now on.
    pub fn fail_zones_served(&self, error: impl Into<Option<SecretError>>) {
        self.lock().zones_served_fails = error.into();
    }

    /// How many secrets were stored.
    pub fn store_count(&self) -> usize {
        self.lock().store_count
    }

    pub(crate) fn store(
        &self,
        kind: SecretKind,
        content: Vec<u8>,
        replaces: Option<LogIndex>,
    ) -> Result<LogIndex, SecretError> {
        let mut state = self.lock();
        if let Some(error) = &state.store_fails {
            return Err(error.clone());
        }
        if state.stored.get(&kind).map(|stored| stored.index) != replaces {
            return Err(SecretError::Replaced);
        }
        if content.len() > SIZE_MAX {
            let (size, max) = (content.len(), SIZE_MAX);
            let reason = format!("it has {size} bytes, and the limit is {max}");
            return Err(SecretError::Failed(reason));
        }
        state.last.0 += 1;
        state.store_count += 1;
        let index = state.last;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let made = since.expect("the clock is set").as_millis() as u64;
        let secret = OpenSecret {
            content: content.into(),
            index,
            made: UnixMillis(made),
        };
        state.stored.insert(kind, secret);
        state.demanded.remove(&kind);
        drop(state);
        self.version.send_modify(|version| *version += 1);
        Ok(index)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
