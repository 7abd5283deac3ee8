//! The files of a certificate and its key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quorate_disk::{Disk, DiskFile, OpenMode, replace};
use quorate_setting::settings;
use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs::default_provider,
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

/// The same for short lifetimes, as a part of them: a certificate of six days is replaced after four.
const WARN_PARTS: u32 = 6;

settings! {
    /// A certificate for other names.
    pub struct CertificateFiles {
        /// The file with the certificate chain in PEM, the server's own certificate first.
        certificate_file: PathBuf = PathBuf::new();
        /// The file with its private key in PEM.
        key_file: PathBuf = PathBuf::new();
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
        let chain_pem = read(
            &self.certificate_file,
            &*open(disk, &self.certificate_file)?,
        )?;
        let key_pem = read_secret(disk, &self.key_file)?;
        CertificatePair::parse(self, [chain_pem, key_pem])
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
    warn_before: Duration,
    /// The contents of the files, to detect changes.
    pub(crate) pem: [Vec<u8>; 2],
    pub(crate) certified_key: Arc<CertifiedKey>,
}

impl CertificatePair {
    /// The pair in these PEM texts, which must belong together. Errors name `files`.
    pub(crate) fn parse(
        files: &CertificateFiles,
        [chain_pem, key_pem]: [Vec<u8>; 2],
    ) -> Result<Self, CertificateError> {
        let (chain_file, key_file) = (files.certificate_file.clone(), files.key_file.clone());
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
        let parsed = parse_x509_certificate(&certified_key.cert[0]);
        let not_pem = |_| CertificateError::NotPem(files.certificate_file.clone());
        let (_, parsed) = parsed.map_err(not_pem)?;
        let time = |secs: i64| UNIX_EPOCH + Duration::from_secs(secs.try_into().unwrap_or(0));
        let validity = parsed.validity();
        let expires_at = time(validity.not_after.timestamp());
        let lifetime = expires_at.duration_since(time(validity.not_before.timestamp()));
        Ok(Self {
            file: files.certificate_file.clone(),
            expires_at,
            warn_before: WARN_BEFORE.min(lifetime.unwrap_or_default() / WARN_PARTS),
            pem: [chain_pem, key_pem],
            certified_key: Arc::new(certified_key),
        })
    }

    /// What an operator must know: the certificate has expired, or soon will.
    pub(crate) fn warning(&self, now: SystemTime) -> Option<String> {
        let file = self.file.display();
        match self.expires_at.duration_since(now) {
            Err(_) => Some(format!(
                "the certificate in {file} has expired, so that clients reject it: replace it"
            )),
            Ok(left) if left < self.warn_before => Some(format!(
                "the certificate in {file} expires soon: find out why it was not renewed"
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
