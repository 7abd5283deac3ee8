//! The files of a certificate and its key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quorate_disk::{Disk, DiskFile, OpenMode, replace};
use quorate_setting::{Findings, KeyPath, settings};
use rustls::{
    Error, InconsistentKeys,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use webpki::EndEntityCert;
use x509_parser::parse_x509_certificate;

/// The largest accepted file, in bytes: a chain of a few certificates has a hundredth of it.
pub(crate) const FILE_SIZE_MAX: u64 = 1024 * 1024;

/// The permissions of all users of the machine but the owner and the group.
const OTHERS: u32 = 0o007;

/// How long before its end a certificate is reported. Certificates that are renewed automatically
/// are replaced weeks before.
const WARN_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);

settings! {
    /// The certificates of the encrypted listeners. The files may be replaced while the program
    /// runs.
    pub struct CertificateConfig {
        /// The file with the certificate chain in PEM, the server's own certificate first. If it is
        /// empty, there is no certificate and there can be no encrypted listeners.
        certificate_file: PathBuf = PathBuf::new();
        /// The file with its private key in PEM: RSA, ECDSA or Ed25519. Not every user of the
        /// machine may have access to it.
        key_file: PathBuf = PathBuf::new();
        /// Certificates for other names. A client gets the first that is valid for the name that it
        /// asks for (SNI), and the one above if none is.
        additional: Vec<CertificateFiles> = Vec::new();
    }
}

settings! {
    /// A certificate for other names.
    pub struct CertificateFiles {
        /// The file with the certificate chain in PEM, the server's own certificate first.
        certificate_file: PathBuf = PathBuf::new();
        /// The file with its private key in PEM.
        key_file: PathBuf = PathBuf::new();
    }
}

impl CertificateConfig {
    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// The files of all certificates, the default one first.
    pub fn all(&self) -> Vec<CertificateFiles> {
        let default = CertificateFiles {
            certificate_file: self.certificate_file.clone(),
            key_file: self.key_file.clone(),
        };
        [vec![default], self.additional.clone()].concat()
    }

    /// Reports files that lack their counterpart. `at` is the path of these settings.
    pub fn check_pairs(&self, at: &KeyPath, findings: &mut Findings) {
        if !self.is_set() {
            return;
        }
        for (index, files) in self.all().iter().enumerate() {
            let at = match index {
                0 => at.clone(),
                _ => at.key("additional").index(index - 1),
            };
            let is_empty = |path: &Path| path.as_os_str().is_empty();
            if is_empty(&files.certificate_file) || is_empty(&files.key_file) {
                let reason = "a certificate and its key belong together: set both or neither";
                let [certificate, key] =
                    ["certificate_file", "key_file"].map(|key| at.key(key).to_string());
                findings.error_between([&certificate, &key], reason);
            }
        }
    }
}

impl From<CertificateFiles> for CertificateConfig {
    fn from(files: CertificateFiles) -> Self {
        let CertificateFiles {
            certificate_file,
            key_file,
        } = files;
        Self {
            certificate_file,
            key_file,
            additional: Vec::new(),
        }
    }
}

impl CertificateFiles {
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
        let chain_pem = read(&chain_file, &*open(disk, &chain_file)?)?;
        let key_pem = read_secret(disk, &key_file)?;
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
        let certified = &certified_key.cert[0];
        let parsed = parse_x509_certificate(certified);
        let (_, parsed) =
            parsed.map_err(|_| CertificateError::NotPem(self.certificate_file.clone()))?;
        let expires = parsed.validity().not_after.timestamp();
        Ok(CertificatePair {
            file: self.certificate_file.clone(),
            expires_at: UNIX_EPOCH + Duration::from_secs(expires.try_into().unwrap_or(0)),
            pem: [chain_pem, key_pem],
            certified_key: Arc::new(certified_key),
        })
    }
}

fn open(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>, CertificateError> {
    disk.open(path, OpenMode::Read)
        .map_err(|error| CertificateError::Read(path.to_owned(), error))
}

/// Reads a key, unless every user of the machine has access to it. Its group may have.
fn read_secret(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let file = open(disk, path)?;
    let mode = file
        .mode()
        .map_err(|error| CertificateError::Read(path.to_owned(), error))?;
    match mode & OTHERS {
        0 => read(path, &*file),
        _ => Err(CertificateError::Exposed(path.to_owned(), mode)),
    }
}

fn read(path: &Path, file: &dyn DiskFile) -> Result<Vec<u8>, CertificateError> {
    let fail = |error| CertificateError::Read(path.to_owned(), error);
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
    /// The file of the certificate.
    file: PathBuf,
    pub(crate) expires_at: SystemTime,
    /// The contents of the files, to detect changes.
    pub(crate) pem: [Vec<u8>; 2],
    pub(crate) certified_key: Arc<CertifiedKey>,
}

impl CertificatePair {
    /// What an operator must know: the certificate has expired, or expires within a week.
    pub(crate) fn warning(&self, now: SystemTime) -> Option<String> {
        let file = self.file.display();
        match self.expires_at.duration_since(now) {
            Err(_) => Some(format!(
                "the certificate in {file} has expired, so that clients reject it: replace it"
            )),
            Ok(left) if left < WARN_BEFORE => Some(format!(
                "the certificate in {file} expires within 7 days: find out why it was not renewed"
            )),
            Ok(_) => None,
        }
    }

    /// Whether a client that asks for this name may get the certificate (RFC 6125, section 6.4).
    pub(crate) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = &self.certified_key.cert[0];
        let certificate = EndEntityCert::try_from(certificate);
        certificate
            .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
    }
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePair")
    }
}

/// Why there is no usable certificate, with the path of the file that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path} cannot be read", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error(
        "every user of this machine may open {path}, which has the mode {mode:o}: run `chmod 640`",
        path = .0.display(), mode = .1
    )]
    Exposed(PathBuf, u32),
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
