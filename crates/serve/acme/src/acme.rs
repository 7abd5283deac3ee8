//! The running task.

use std::{sync::Arc, time::Duration};

use quorate_api::CertificateStatus;
use quorate_disk::Disk;
use quorate_replica::{CertificateOperator, SecretStore, WireName};
use tokio::{select, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    AcmeConfig, AcmeMetrics,
    attempt::Worker,
    clock::Clock,
    context::{Context, TimeLimits},
    status::{measure, status},
};

/// How often the task looks whether something is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Gets and renews the certificate while this node leads, until it is dropped.
#[derive(Debug)]
pub struct Acme {
    context: Arc<Context>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Acme {
    /// Starts the task. Without a directory it orders nothing, and only reports the certificate. `zones` are the
    /// names of the zones that are served.
    pub fn start(
        config: AcmeConfig,
        zones: &[WireName],
        store: Arc<dyn SecretStore>,
        disk: Arc<dyn Disk>,
        metrics: AcmeMetrics,
    ) -> Self {
        let (clock, limits) = (Clock::of_machine(), TimeLimits::default());
        Self::run(Context::new(
            config, zones, store, disk, metrics, clock, limits,
        ))
    }

    pub(crate) fn run(context: Context) -> Self {
        let context = Arc::new(context);
        Self {
            _task: (context.config.is_on())
                .then(|| AbortOnDropHandle::new(tokio::spawn(run(context.clone())))),
            context,
        }
    }
}

impl CertificateOperator for Acme {
    fn status(&self) -> CertificateStatus {
        status(&self.context)
    }
}

async fn run(context: Arc<Context>) {
    let mut worker = Worker::new(&context);
    loop {
        let version = context.store.secrets_version();
        worker.work().await;
        measure(&context, &status(&context));
        select! {
            () = sleep(LOOK_INTERVAL) => {}
            () = context.store.secrets_changed_after(version) => {}
        }
    }
}
