//! The stored certificate, for listeners.

use std::{fmt, sync::Arc, time::Duration};

use quorate_replica::SecretStore;
use tokio::{select, time::sleep};
use tracing::debug;

use crate::{documents::CertificateDocument, stored::Slot};

/// How often to look for a certificate that could not be opened before.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// The chain in PEM, the certificate first.
    pub chain: String,
    /// The key in PEM.
    pub key: String,
}

/// Hides the key.
impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePem(..)")
    }
}

/// Reports the stored certificate at once if there is one, and whenever it changes. It never ends. It is for every
/// node, also for one that is not configured to order.
pub async fn watch_certificate(store: Arc<dyn SecretStore>, on_change: impl Fn(CertificatePem)) {
    let mut last = None;
    loop {
        let version = store.secrets_version();
        let slot = Slot::<CertificateDocument>::load(&*store);
        let is_readable = slot.is_ok();
        match slot {
            Ok(slot) => {
                let now = slot.document.map(|document| CertificatePem {
                    chain: document.chain_pem,
                    key: document.key_pem,
                });
                if let Some(now) = now
                    && last.as_ref() != Some(&now)
                {
                    on_change(now.clone());
                    last = Some(now);
                }
            }
            Err(error) => debug!(%error, "the certificate cannot be opened yet"),
        }
        select! {
            () = store.secrets_changed_after(version) => {}
            // The key that opens it may arrive without a change of the secrets.
            () = sleep(LOOK_INTERVAL), if !is_readable => {}
        }
    }
}
