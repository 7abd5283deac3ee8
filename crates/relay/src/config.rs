//! Limits and deadlines of the relay.

use std::time::Duration;

use crate::ClientRules;

/// How much later than the replica the relay gives up: the replica's own answer says more.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Limits and deadlines of the relay.
#[derive(Debug)]
pub struct Config {
    /// How much each client may PUT, and who it is.
    pub rules: ClientRules,
    /// When a request is answered even if the replica has not answered: [`ANSWER_MARGIN`] after
    /// the replica should have.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: ClientRules::default(),
            deadline: Duration::from_secs(10) + ANSWER_MARGIN,
        }
    }
}
