//! What the handlers share: the node that they ask.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use prometheus::Registry;
use quorate_api::{Asked, Operation, Problem, ReloadReport, answer_to};
use quorate_replica::{NamedSet, Operator, WireName};
use tokio::sync::Mutex;

use crate::{Build, gate::By, status_metrics::StatusMetrics};

/// How long an operator's request may take, whichever nodes it goes through: some elections, a handover
/// and a change of the members after it. `quorate` waits for twice that.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What the routes ask.
pub struct AdminNode {
    /// How it and its cluster are, what it holds, and changes of that.
    pub replica: Arc<dyn Operator>,
    /// What `/metrics` shows. The figures of the status are registered here.
    pub registry: Registry,
    /// Which program it is.
    pub build: Build,
    /// Reads its configuration again.
    pub reload: Box<dyn Reload>,
    /// What it logs.
    pub log: Box<dyn LogControl>,
    /// What zones it serves.
    pub zones: Box<dyn ServedZones>,
}

/// Reads the configuration again, and the files it names.
pub trait Reload: Send + Sync + 'static {
    /// Reads it, checks it whole, and takes over what can be changed while the node runs. May
    /// block.
    ///
    /// # Errors
    /// What is wrong with it, in words for an operator: then nothing has changed.
    fn reload(&self) -> Result<ReloadReport, String>;
}

/// The zones that a node is configured to serve.
pub trait ServedZones: Send + Sync + 'static {
    /// The configured serial of each.
    fn serials(&self) -> BTreeMap<WireName, u32>;

    /// Whether a set can be replicated in one of them beside what the node is configured with.
    ///
    /// # Errors
    /// What speaks against it, in words for an operator.
    fn check(&self, zone: &WireName, set: &NamedSet) -> Result<(), String>;
}

/// What is logged.
pub trait LogControl: Send + Sync + 'static {
    /// Levels by target, such as `info,quorate_raft=debug`.
    fn filter(&self) -> String;

    /// Logs by this from now on, until the next reload or start. Lines of the target
    /// `quorate::audit` are written whatever it says.
    ///
    /// # Errors
    /// What is wrong with it, in words for an operator: then nothing has changed.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) node: AdminNode,
    pub(crate) status_metrics: StatusMetrics,
    pub(crate) document: Bytes,
    /// Held by the one digest that is made at a time, since it reads everything.
    pub(crate) digesting: Mutex<()>,
}

impl Shared {
    /// Has the cluster do this, by order of whoever was let in.
    pub(crate) async fn ask<O: Operation>(
        &self,
        By(by): &By,
        operation: O,
    ) -> Result<O::Answer, Problem> {
        let asked = Asked {
            token: Some(by.clone()),
            ..Asked::new(operation, OPERATION_TIMEOUT)
        };
        answer_to::<O>(self.node.replica.operate(asked).await?)
    }
}
