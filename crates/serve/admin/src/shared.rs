//! The state that all handlers share, with the node that they use.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use prometheus::Registry;
use quorate_api::{AdminOperation, ForwardedRequest, Problem, ReloadReport, decode_answer};
use quorate_replica::{CertificateOperator, DhtOperator, NamedSet, Operator, ReadError, WireName};
use tokio::sync::Mutex;

use crate::{Build, authorize::CallerName, status_metrics::StatusMetrics};

/// How long an operator's request may take, including the forwarding to other nodes: enough for
/// several elections, a leadership transfer and then a change of the members. `quorate` waits twice
/// as long.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The node that the routes use.
pub struct AdminNode {
    /// Its replica: the state of the node and of its cluster, and changes of these.
    pub replica: Arc<dyn Operator>,
    /// The metrics of `/metrics`. The metrics of the status are registered here.
    pub registry: Registry,
    /// The version of the program.
    pub build: Build,
    /// Reloads its configuration.
    pub reload: Box<dyn Reload>,
    /// Its log filter.
    pub log: Box<dyn LogControl>,
    /// The zones that it serves.
    pub zones: Box<dyn ServedZones>,
    /// Makes backups of it.
    pub backups: Box<dyn Backups>,
    /// Its bridge to the DHT, if it has one.
    pub dht: Option<Arc<dyn DhtOperator>>,
    /// The certificate of the cluster.
    pub certificate: Arc<dyn CertificateOperator>,
}

/// The bytes of a backup.
pub type BackupBytes = BoxStream<'static, io::Result<Bytes>>;

/// Makes backups of the node.
pub trait Backups: Send + Sync + 'static {
    /// Starts a backup, which continues while its bytes are read. It ends with an error if it
    /// cannot be completed. `None` if this node is making another one.
    fn start(&self) -> BoxFuture<'_, Result<Option<BackupBytes>, ReadError>>;
}

/// Reloads the configuration and the files that it names.
pub trait Reload: Send + Sync + 'static {
    /// Reads the configuration, checks all of it, and applies the settings that can change while
    /// the node runs. May block.
    ///
    /// # Errors
    /// The configuration is invalid, and nothing was changed. The text is for operators.
    fn reload(&self) -> Result<ReloadReport, String>;
}

/// The zones that a node is configured to serve.
pub trait ServedZones: Send + Sync + 'static {
    /// The configured serial of each.
    fn serials(&self) -> BTreeMap<WireName, u32>;

    /// Checks whether a replicated set is compatible with the configured records of its zone.
    ///
    /// # Errors
    /// Why it is not. The text is for operators.
    fn check(&self, zone: &WireName, set: &NamedSet) -> Result<(), String>;

    /// Resolves when this node answers from this version of the replicated zones, or a later one.
    fn served(&self, version: u64) -> BoxFuture<'_, ()>;
}

/// The log filter.
pub trait LogControl: Send + Sync + 'static {
    /// Levels by target, such as `info,quorate_raft=debug`.
    fn filter(&self) -> String;

    /// Changes the filter until the next reload or restart. Lines with the target `quorate::audit`
    /// are always written.
    ///
    /// # Errors
    /// The filter is invalid, and nothing was changed. The text is for operators.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// The state that all handlers share.
pub(crate) struct Shared {
    pub(crate) node: AdminNode,
    pub(crate) status_metrics: StatusMetrics,
    pub(crate) document: Bytes,
    /// Allows one digest at a time, because a digest reads everything.
    pub(crate) digesting: Mutex<()>,
}

impl Shared {
    /// Sends an operation of an authorized caller to the leader, and returns its answer.
    pub(crate) async fn submit<O: AdminOperation>(
        &self,
        CallerName(caller): &CallerName,
        operation: O,
    ) -> Result<O::Answer, Problem> {
        let request = ForwardedRequest {
            token: Some(caller.clone()),
            ..ForwardedRequest::new(operation, OPERATION_TIMEOUT)
        };
        decode_answer::<O>(self.node.replica.operate(request).await?)
    }
}
