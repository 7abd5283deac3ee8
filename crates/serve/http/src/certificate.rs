//! The certificates of the TLS listeners, which are reloaded when their files change.

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quorate_disk::Disk;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{DnsName, ServerName},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::certificate_files::{CertificateError, CertificateFiles, CertificatePair};

/// How often the files are checked. That is enough, because certificates are replaced weeks before
/// they expire.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

quorate_metrics::metrics! {
    /// Metrics of the certificates of encrypted listeners.
    pub struct CertificateMetrics in "quorate_certificate" {
        /// When the first of the certificates in use expires, in seconds since 1970; 0 without a certificate
        pub(crate) expiry_timestamp_seconds: Gauge,
    }
}

/// The current certificates, which all listeners share.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    files: Vec<CertificateFiles>,
    /// The pair of each of the files.
    pairs: RwLock<Vec<CertificatePair>>,
    /// A pair that is in no file.
    set: watch::Sender<Option<CertificatePair>>,
}

impl ServerCertificate {
    /// Reads the certificates in `files`, the default one first.
    pub fn open(
        disk: Arc<dyn Disk>,
        files: Vec<CertificateFiles>,
    ) -> Result<Self, CertificateError> {
        let pairs = RwLock::new(read_all(&*disk, &files)?);
        Ok(Self(Arc::new(Shared {
            disk,
            files,
            pairs,
            set: watch::Sender::new(None),
        })))
    }

    /// Reads the certificates and keys that are in the files now.
    pub fn read(&self) -> Result<Vec<CertificatePair>, CertificateError> {
        read_all(&*self.0.disk, &self.0.files)
    }

    /// Uses also this chain and key, in PEM, for new handshakes. `name` stands for their files in messages.
    /// Fails, and keeps the pair before, if they do not belong together.
    pub fn set(&self, name: &str, chain: String, key: String) -> Result<(), CertificateError> {
        let files = CertificateFiles {
            certificate_file: name.into(),
            key_file: name.into(),
        };
        let pair = CertificatePair::parse(&files, [chain.into(), key.into()])?;
        self.0.set.send_replace(Some(pair));
        Ok(())
    }

    /// Uses `pairs` for new handshakes. Returns whether they differ from the previous ones.
    pub fn replace(&self, pairs: Vec<CertificatePair>) -> bool {
        let pairs = pairs.into_iter().enumerate();
        pairs.fold(false, |is_other, (at, pair)| {
            self.replace_at(at, pair) | is_other
        })
    }

    fn replace_at(&self, at: usize, pair: CertificatePair) -> bool {
        let mut pairs = self.0.pairs.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = pairs[at].pem != pair.pem;
        pairs[at] = pair;
        is_other
    }

    /// What an operator must know about each certificate that has expired or soon will.
    pub fn warnings(&self) -> Vec<String> {
        let now = SystemTime::now();
        let pairs = self.0.pairs();
        pairs.iter().filter_map(|pair| pair.warning(now)).collect()
    }

    /// Reloads the files when they change, until the handle is dropped. If new files are invalid,
    /// logs an error and keeps the current pair. Also logs certificates that have expired or soon
    /// will.
    pub fn watch(&self, metrics: CertificateMetrics) -> AbortOnDropHandle<()> {
        let certificate = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut logged_errors = vec![None; certificate.0.files.len()];
            let mut logged_warnings = vec![None; certificate.0.files.len() + 1];
            let mut set = certificate.0.set.subscribe();
            loop {
                certificate.log_warnings(&mut logged_warnings);
                let expiry = certificate.first_expiry();
                metrics.expiry_timestamp_seconds.set(expiry);
                // The sender is here, so waiting never fails.
                let _ = timeout(WATCH_INTERVAL, set.changed()).await;
                for (at, logged) in logged_errors.iter_mut().enumerate() {
                    let shared = certificate.0.clone();
                    let read = spawn_blocking(move || shared.files[at].read(&*shared.disk));
                    if let Ok(read) = read.await {
                        certificate.apply(at, read, logged);
                    }
                }
            }
        }))
    }

    /// Applies what was read from the files of one certificate. `logged` is its last error that was
    /// logged, so that each is logged once.
    fn apply(
        &self,
        at: usize,
        read: Result<CertificatePair, CertificateError>,
        logged: &mut Option<String>,
    ) {
        let error = match read {
            Ok(pair) => {
                *logged = None;
                if self.replace_at(at, pair) {
                    let file = self.0.files[at].certificate_file.display();
                    tracing::info!(%file, "the certificate was replaced");
                }
                return;
            }
            Err(error) => error,
        };
        let text = error.to_string();
        if logged.as_ref() != Some(&text) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the new certificate is invalid, so the old one stays in use"
            );
            *logged = Some(text);
        }
    }

    fn log_warnings(&self, logged: &mut [Option<String>]) {
        let now = SystemTime::now();
        let pairs = self.0.pairs();
        let set = self.0.set.borrow();
        for (pair, logged) in set.iter().chain(pairs.iter()).zip(logged) {
            let warning = pair.warning(now);
            if let Some(warning) = warning.as_ref().filter(|_| *logged != warning) {
                tracing::warn!("{warning}");
            }
            *logged = warning;
        }
    }

    /// When the first of the certificates expires, in seconds since 1970.
    fn first_expiry(&self) -> i64 {
        let (pairs, set) = (self.0.pairs(), self.0.set.borrow());
        let all = pairs.iter().chain(set.iter());
        let first = all.map(|pair| pair.expires_at).min();
        let first = first.and_then(|first| first.duration_since(UNIX_EPOCH).ok());
        first.map_or(0, |first| first.as_secs() as i64)
    }

    /// The TLS configuration with these certificates and these application protocols (RFC 7301).
    pub fn server_config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .expect("AWS-LC supports these versions")
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

fn read_all(
    disk: &dyn Disk,
    files: &[CertificateFiles],
) -> Result<Vec<CertificatePair>, CertificateError> {
    files.iter().map(|files| files.read(disk)).collect()
}

impl Shared {
    fn pairs(&self) -> RwLockReadGuard<'_, Vec<CertificatePair>> {
        self.pairs.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Shared {
    /// The first certificate for the name that the client asks for (RFC 6066, section 3), those in
    /// files first, or else the default one.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (pairs, set) = (self.pairs(), self.set.borrow());
        let mut all = pairs.iter().chain(set.iter());
        let name = hello
            .server_name()
            .and_then(|name| DnsName::try_from(name).ok());
        let name = name.map(ServerName::DnsName);
        let is_one_of_several = pairs.len() + usize::from(set.is_some()) > 1;
        let named = name
            .filter(|_| is_one_of_several)
            .and_then(|name| all.clone().find(|pair| pair.is_for(&name)));
        let pair = named.or_else(|| all.next())?;
        Some(pair.certified_key.clone())
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
