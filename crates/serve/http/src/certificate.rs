//! The certificate by which clients know a server.

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

/// How often the files are looked at. Certificates are replaced weeks before they expire.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// The largest file, in bytes: a chain of a few certificates takes a hundredth of it.
const FILE_SIZE_MAX: u64 = 1024 * 1024;

settings! {
    /// The certificate of the encrypted listeners. The files may be replaced while the program runs.
    pub struct CertificateFiles {
        /// The certificate and those that lead to its authority, in PEM, its own first. Empty: there
        /// is none, and nothing listens encrypted.
        certificate_file: PathBuf = PathBuf::new();
        /// Its private key, in PEM: RSA, ECDSA or Ed25519.
        key_file: PathBuf = PathBuf::new();
    }
}

impl CertificateFiles {
    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Writes a certificate for these names that is signed by itself, and its key, which its owner
    /// alone can read: for trying things out.
    pub fn make<const N: usize>(
        &self,
        disk: &dyn Disk,
        names: [&str; N],
    ) -> Result<(), CertificateError> {
        let made = rcgen::generate_simple_self_signed(names.map(str::to_owned));
        let made = made.map_err(CertificateError::Made)?;
        write(disk, &self.key_file, &made.signing_key.serialize_pem())?;
        write(disk, &self.certificate_file, &made.cert.pem())
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
            // What it says might hold the key.
            Err(_) => return Err(CertificateError::NotPem(key_file)),
            Ok(key) => key,
        };
        let served = CertifiedKey::from_der(chain, key, &default_provider());
        let served = served.map_err(|source| match source {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch(chain_file, key_file)
            }
            Error::InvalidCertificate(_) => CertificateError::Certificate(chain_file, source),
            source => CertificateError::Key(key_file, source),
        })?;
        Ok(CertificatePair {
            pem: [chain_pem, key_pem],
            served: Arc::new(served),
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

/// Writes a file that its owner alone can open, in place of any that has its name.
fn write(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), CertificateError> {
    replace(disk, path, text.as_bytes(), OpenMode::CreateSecret)
        .map_err(|error| CertificateError::Write(path.to_owned(), error))
}

/// A certificate and its key, which belong together.
pub struct CertificatePair {
    /// As they were read, to tell whether the files have changed.
    pem: [Vec<u8>; 2],
    served: Arc<CertifiedKey>,
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePair")
    }
}

/// The certificate that handshakes show now, whichever listener they come to.
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

    /// What the files hold now.
    pub fn read(&self) -> Result<CertificatePair, CertificateError> {
        self.0.files.read(&*self.0.disk)
    }

    /// Shows `pair` from now on, and says whether it is another one.
    pub fn replace(&self, pair: CertificatePair) -> bool {
        let mut shown = self.0.pair.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = shown.pem != pair.pem;
        *shown = pair;
        is_other
    }

    /// Follows the files until the handle is dropped. A pair that cannot be shown is told, and that
    /// in force stays.
    pub fn watch(&self) -> AbortOnDropHandle<()> {
        let certificate = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut told = None;
            loop {
                sleep(WATCH_INTERVAL).await;
                let reader = certificate.clone();
                let Ok(read) = spawn_blocking(move || reader.read()).await else {
                    continue;
                };
                certificate.follow(read, &mut told);
            }
        }))
    }

    /// Shows what was read. `told` is what is already in the log of pairs that cannot be shown.
    fn follow(&self, read: Result<CertificatePair, CertificateError>, told: &mut Option<String>) {
        let error = match read {
            Ok(pair) => {
                *told = None;
                if self.replace(pair) {
                    tracing::info!("the certificate was replaced");
                }
                return;
            }
            Err(error) => error,
        };
        let text = error.to_string();
        if told.as_ref() != Some(&text) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the new certificate is refused, that in force stays");
            *told = Some(text);
        }
    }

    /// TLS that shows the certificate and speaks one of these protocols (RFC 7301).
    pub fn server_config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .expect("ring has what these versions need")
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        Some(pair.served.clone())
    }
}

/// Why there is no certificate to show. Paths are those of the files that are at fault.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path} cannot be read", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("{path} is larger than {FILE_SIZE_MAX} bytes: no certificate is", path = .0.display())]
    TooLarge(PathBuf),
    #[error("{path} is damaged: a section of its PEM is not whole or not base64", path = .0.display())]
    NotPem(PathBuf),
    #[error("{path} holds no certificate: it needs a section BEGIN CERTIFICATE", path = .0.display())]
    NoCertificate(PathBuf),
    #[error("{path} holds no private key: it needs a section BEGIN PRIVATE KEY", path = .0.display())]
    NoKey(PathBuf),
    #[error("the first certificate in {path} is none that TLS can show", path = .0.display())]
    Certificate(PathBuf, #[source] Error),
    #[error("the key in {path} is none that TLS can use: RSA, ECDSA or Ed25519", path = .0.display())]
    Key(PathBuf, #[source] Error),
    /// The files of the certificate and of the key.
    #[error(
        "the key in {key} is not that of the first certificate in {certificate}: replace both files",
        certificate = .0.display(), key = .1.display()
    )]
    Mismatch(PathBuf, PathBuf),
    #[error("no certificate can be made")]
    Made(#[source] rcgen::Error),
    #[error("{path} cannot be written", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
