//! The certificate of the TLS listeners, which is reloaded when its files change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use quorate_disk::{Disk, OpenMode, replace};
use quorate_setting::settings;
use rustls::{
    Error, InconsistentKeys, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often the files are checked. That is enough, because certificates are replaced weeks before
/// they expire.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// The largest accepted file, in bytes: a chain of a few certificates has a hundredth of it.
const FILE_SIZE_MAX: u64 = 1024 * 1024;

settings! {
    /// The certificate of the encrypted listeners. The files may be replaced while the program
    /// runs.
    pub struct CertificateFiles {
        /// The file with the certificate chain in PEM, the server's own certificate first. If it is
        /// empty, there is no certificate and there can be no encrypted listeners.
        certificate_file: PathBuf = PathBuf::new();
        /// The file with its private key in PEM: RSA, ECDSA or Ed25519.
        key_file: PathBuf = PathBuf::new();
    }
}

impl CertificateFiles {
    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Writes a self-signed certificate for these names, and its key with permissions for its owner
    /// only. It is for trying things out.
    pub fn make<const N: usize>(
        &self,
        disk: &dyn Disk,
        names: [&str; N],
    ) -> Result<(), CertificateError> {
        let generated = rcgen::generate_simple_self_signed(names.map(str::to_owned));
        let generated = generated.map_err(CertificateError::NotGenerated)?;
        write(disk, &self.key_file, &generated.signing_key.serialize_pem())?;
        write(disk, &self.certificate_file, &generated.cert.pem())
    }

    /// Reads both files, which must belong together.
    pub fn read(&self, disk: &dyn Disk) -> Result<CertificatePair, CertificateError> {
        let (chain_file, key_file) = (self.certificate_file.clone(), self.key_file.clone());
        let chain_pem = read(disk, &chain_file)?;
        let key_pem = read(disk, &key_file)?;
        let chain = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
        let chain = match chain {
            Err(_) => return Err(CertificateError::NotPem(chain_file)),
            Ok(chain) if chain.is_empty() => {
                return Err(CertificateError::NoCertificate(chain_file));
            }
            Ok(chain) => chain,
        };
        let key = match PrivateKeyDer::from_pem_slice(&key_pem) {
            Err(pem::Error::NoItemsFound) => return Err(CertificateError::NoKey(key_file)),
            // The parser's error is dropped, because its text could contain the key.
            Err(_) => return Err(CertificateError::NotPem(key_file)),
            Ok(key) => key,
        };
        let certified_key = CertifiedKey::from_der(chain, key, &default_provider());
        let certified_key = certified_key.map_err(|source| match source {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch(chain_file, key_file)
            }
            Error::InvalidCertificate(_) => CertificateError::Certificate(chain_file, source),
            source => CertificateError::Key(key_file, source),
        })?;
        Ok(CertificatePair {
            pem: [chain_pem, key_pem],
            certified_key: Arc::new(certified_key),
        })
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let fail = |error| CertificateError::Read(path.to_owned(), error);
    let file = disk.open(path, OpenMode::Read).map_err(fail)?;
    let size = file.size().map_err(fail)?;
    if size > FILE_SIZE_MAX {
        return Err(CertificateError::TooLarge(path.to_owned()));
    }
    let mut bytes = vec![0; size as usize];
    file.read_at(&mut bytes, 0).map_err(fail)?;
    Ok(bytes)
}

/// Writes a file that only its owner can open, and replaces an existing one.
fn write(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), CertificateError> {
    replace(disk, path, text.as_bytes(), OpenMode::CreateSecret)
        .map_err(|error| CertificateError::Write(path.to_owned(), error))
}

/// A certificate and its matching key.
pub struct CertificatePair {
    /// The contents of the files, to detect changes.
    pem: [Vec<u8>; 2],
    certified_key: Arc<CertifiedKey>,
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePair")
    }
}

/// The current certificate, which all listeners share.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    files: CertificateFiles,
    pair: RwLock<CertificatePair>,
}

impl ServerCertificate {
    pub fn open(disk: Arc<dyn Disk>, files: &CertificateFiles) -> Result<Self, CertificateError> {
        let pair = RwLock::new(files.read(&*disk)?);
        let files = files.clone();
        Ok(Self(Arc::new(Shared { disk, files, pair })))
    }

    /// Reads the certificate and key that are in the files now.
    pub fn read(&self) -> Result<CertificatePair, CertificateError> {
        self.0.files.read(&*self.0.disk)
    }

    /// Uses `pair` for new handshakes. Returns whether it differs from the previous one.
    pub fn replace(&self, pair: CertificatePair) -> bool {
        let mut current = self.0.pair.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = current.pem != pair.pem;
        *current = pair;
        is_other
    }

    /// Reloads the files when they change, until the handle is dropped. If the new files are
    /// invalid, logs an error and keeps the current pair.
    pub fn watch(&self) -> AbortOnDropHandle<()> {
        let certificate = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut last_logged = None;
            loop {
                sleep(WATCH_INTERVAL).await;
                let reader = certificate.clone();
                let Ok(read) = spawn_blocking(move || reader.read()).await else {
                    continue;
                };
                certificate.apply(read, &mut last_logged);
            }
        }))
    }

    /// Applies what was read from the files. `last_logged` is the last error that was logged, so
    /// that each is logged once.
    fn apply(
        &self,
        read: Result<CertificatePair, CertificateError>,
        last_logged: &mut Option<String>,
    ) {
        let error = match read {
            Ok(pair) => {
                *last_logged = None;
                if self.replace(pair) {
                    tracing::info!("the certificate was replaced");
                }
                return;
            }
            Err(error) => error,
        };
        let text = error.to_string();
        if last_logged.as_ref() != Some(&text) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the new certificate is invalid, so the old one stays in use"
            );
            *last_logged = Some(text);
        }
    }

    /// The TLS configuration with this certificate and these application protocols (RFC 7301).
    pub fn server_config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .expect("ring supports these versions")
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        Some(pair.certified_key.clone())
    }
}

/// Why there is no usable certificate, with the path of the file that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path} cannot be read", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("{path} is larger than {FILE_SIZE_MAX} bytes, so it is not a certificate", path = .0.display())]
    TooLarge(PathBuf),
    #[error("{path} is damaged: a PEM section is incomplete or not base64", path = .0.display())]
    NotPem(PathBuf),
    #[error("{path} holds no certificate: it needs a section BEGIN CERTIFICATE", path = .0.display())]
    NoCertificate(PathBuf),
    #[error("{path} holds no private key: it needs a section BEGIN PRIVATE KEY", path = .0.display())]
    NoKey(PathBuf),
    #[error("the first certificate in {path} is not usable for TLS", path = .0.display())]
    Certificate(PathBuf, #[source] Error),
    #[error("the key in {path} is not usable for TLS: use RSA, ECDSA or Ed25519", path = .0.display())]
    Key(PathBuf, #[source] Error),
    /// The files of the certificate and of the key.
    #[error(
        "the key in {key} does not belong to the first certificate in {certificate}: replace both \
         files",
        certificate = .0.display(), key = .1.display()
    )]
    Mismatch(PathBuf, PathBuf),
    #[error("a self-signed certificate cannot be generated")]
    NotGenerated(#[source] rcgen::Error),
    #[error("{path} cannot be written", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
