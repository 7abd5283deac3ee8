//! A certificate, a server that uses it, and clients that trust it.

use std::sync::Arc;

use quorate_disk::LinuxDisk;
use quorate_http::{CertificateFiles, ServerCertificate};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;

use crate::{DnsConfig, DnsServer, fixture::Fixture};

pub(crate) struct Encryption {
    _dir: TempDir,
    files: CertificateFiles,
    pub(crate) certificate: ServerCertificate,
}

impl Encryption {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate_file: dir.path().join("certificate.pem"),
            key_file: dir.path().join("key.pem"),
        };
        files.make(&LinuxDisk, ["localhost"]).unwrap();
        Self {
            certificate: ServerCertificate::open(Arc::new(LinuxDisk), vec![files.clone()]).unwrap(),
            files,
            _dir: dir,
        }
    }

    /// A client that trusts the certificate that is in the files now.
    pub(crate) fn client(&self, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&self.files.certificate_file);
        roots.add(certificate.unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    /// Creates another certificate and makes the server use it.
    pub(crate) fn replace(&self) {
        self.files.make(&LinuxDisk, ["localhost"]).unwrap();
        assert!(self.certificate.replace(self.certificate.read().unwrap()));
    }
}

/// A server with every listener but HTTPS.
pub(crate) async fn serve(mut config: DnsConfig) -> (DnsServer, Fixture, Encryption) {
    let (fixture, encryption) = (Fixture::new(), Encryption::new());
    config.tls_listen = vec![([127, 0, 0, 1], 0).into()].into();
    config.quic_listen = vec![([127, 0, 0, 1], 0).into()].into();
    let server = config.bind().await.unwrap().serve(
        fixture.responder.clone(),
        Some(&encryption.certificate),
        &crate::ConnectionRules::default(),
        &fixture.connections,
    );
    (server.unwrap(), fixture, encryption)
}
