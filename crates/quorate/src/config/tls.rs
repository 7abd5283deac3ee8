//! The certificates of the encrypted listeners.

use std::path::{Path, PathBuf};

use quorate_acme::AcmeConfig;
use quorate_http::CertificateFiles;
use quorate_setting::{Findings, KeyPath, settings};

settings! {
    /// The certificates of the encrypted listeners. The files may be replaced while the program
    /// runs.
    pub(crate) struct TlsSettings {
        /// The file with the certificate chain in PEM, the server's own certificate first. If it is
        /// empty, there is no certificate in files.
        certificate_file: PathBuf = PathBuf::new();
        /// The file with its private key in PEM: RSA, ECDSA or Ed25519. Not every user of the
        /// machine may have access to it.
        key_file: PathBuf = PathBuf::new();
        /// Certificates for other names. A client gets the first that is valid for the name that it
        /// asks for (SNI), and the one above if none is.
        additional: Vec<CertificateFiles> = Vec::new();
        /// A certificate that the cluster orders from a certificate authority itself, and that all nodes
        /// serve.
        acme: AcmeConfig = AcmeConfig::default();
    }
}

impl TlsSettings {
    /// Whether there is a certificate, or will be.
    pub(crate) fn is_set(&self) -> bool {
        self.acme.is_on() || !self.files().is_empty()
    }

    /// The files of all certificates, the default one first. Empty if there are none.
    pub(crate) fn files(&self) -> Vec<CertificateFiles> {
        let default = CertificateFiles {
            certificate_file: self.certificate_file.clone(),
            key_file: self.key_file.clone(),
        };
        match default == CertificateFiles::default() && self.additional.is_empty() {
            true => Vec::new(),
            false => [vec![default], self.additional.clone()].concat(),
        }
    }

    /// Reports files that lack their counterpart. `at` is the path of these settings.
    pub(super) fn check_pairs(&self, at: &KeyPath, findings: &mut Findings) {
        for (index, files) in self.files().iter().enumerate() {
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

impl From<CertificateFiles> for TlsSettings {
    fn from(files: CertificateFiles) -> Self {
        Self {
            certificate_file: files.certificate_file,
            key_file: files.key_file,
            ..Self::default()
        }
    }
}
