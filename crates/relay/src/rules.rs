//! What holds for clients, and may change while they are served.

use std::sync::{Arc, PoisonError, RwLock};

use quorate_limit::{ClientLimit, TrustedProxies};

/// What holds for clients.
#[derive(Debug, Default)]
pub struct ClientRules {
    /// How much each may PUT; `None` for no limit.
    pub limit: Option<Arc<ClientLimit>>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
}

/// The rules in force, shared by who applies and who changes them.
#[derive(Debug, Clone, Default)]
pub struct SharedRules(Arc<RwLock<Arc<ClientRules>>>);

impl SharedRules {
    /// These rules.
    pub fn new(rules: ClientRules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// Those in force now.
    pub fn current(&self) -> Arc<ClientRules> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has these be in force, for every request that comes later.
    pub fn replace(&self, rules: ClientRules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}
