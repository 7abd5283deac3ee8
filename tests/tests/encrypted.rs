//! A certificate, and clients of DNS over TLS and QUIC.

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc};

use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};
use quorate_tests::dns;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

/// Its address, for URLs.
const ADDRESS: &str = "127.0.0.1";

/// The largest message with its length.
const FRAME_SIZE_MAX: usize = 2 + 65_535;

/// A certificate in files, and a client that trusts it.
pub(crate) struct Certificate {
    dir: TempDir,
    der: CertificateDer<'static>,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    /// Creates a self-signed certificate.
    pub(crate) fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME, ADDRESS].map(str::to_owned))
                .expect("it needs nothing");
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("it is a certificate");
        let certificate = Self {
            dir: TempDir::new().expect("a temporary directory can be created"),
            der: cert.der().clone(),
            roots: Arc::new(roots),
        };
        let key = signing_key.serialize_pem();
        for (file, pem) in [
            (certificate.file(), cert.pem()),
            (certificate.key_file(), key),
        ] {
            fs::write(&file, pem).expect("the file can be written");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(file, private).expect("the file is ours");
        }
        certificate
    }

    /// The certificate's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// The file of its private key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// The certificate in DER.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// The section of a configuration file that names both.
    pub(crate) fn settings(&self) -> String {
        let (certificate, key) = (self.file(), self.key_file());
        format!("\n[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    }

    /// Sends a query over TLS (RFC 7858).
    pub(crate) async fn ask_tls(&self, server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
        let connector = TlsConnector::from(Arc::new(self.client("dot")));
        let stream = TcpStream::connect(server).await?;
        let name = ServerName::try_from(NAME).expect("it is a name");
        let mut stream = connector.connect(name, stream).await?;
        dns::exchange_framed(&mut stream, message).await
    }

    /// Sends a query over QUIC (RFC 9250) with id 0 (section 4.2.1), and restores the id in the answer.
    pub(crate) async fn ask_quic(&self, server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
        let crypto = QuicClientConfig::try_from(self.client("doq")).expect("it has TLS 1.3");
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address"))?;
        endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
        let connecting = endpoint.connect(server, NAME).map_err(io::Error::other)?;
        let connection = connecting.await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        let size = u16::try_from(message.len()).expect("a question is short");
        let mut framed = [&size.to_be_bytes()[..], message].concat();
        framed.iter_mut().skip(2).take(2).for_each(|byte| *byte = 0);
        send.write_all(&framed).await?;
        send.finish()?;
        let framed = receive.read_to_end(FRAME_SIZE_MAX).await;
        let framed = framed.map_err(io::Error::other)?;
        connection.close(0u32.into(), b"");
        let mut answer = framed.get(2..).unwrap_or_default().to_vec();
        for (byte, id) in answer.iter_mut().zip(message).take(2) {
            assert_eq!(*byte, 0, "the id of a message over QUIC");
            *byte = *id;
        }
        Ok(answer)
    }

    fn client(&self, alpn: &str) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
        let mut config = builder
            .expect("the provider has TLS 1.3")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        config
    }
}
