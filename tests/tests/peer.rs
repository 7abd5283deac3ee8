//! A client of the peer address, with or without a key, that sends any bytes.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::{default_provider, sign::any_eddsa_type},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The bytes before a seed in a PrivateKeyInfo (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The bytes before a key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// How long a node may take to close an invalid connection.
const END_WITHIN: Duration = Duration::from_secs(20);

/// The seed in a node's key file.
pub(crate) fn seed_of(data_dir: &Path) -> [u8; 32] {
    let text = fs::read_to_string(data_dir.join("node.key")).expect("each node has one");
    let line = text
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("one line is the key");
    let seed = data_encoding::HEXLOWER_PERMISSIVE.decode(line.trim().as_bytes());
    seed.expect("it is hexadecimal")
        .try_into()
        .expect("it has 32 bytes")
}

/// The hello of a node: its wire version, its cluster, a log with entries, the stream kind, and no
/// voucher.
pub(crate) fn hello(wire_version: u8, cluster: &[u8; 32], lane: u8) -> Vec<u8> {
    const LOG_IS_EMPTY: u8 = 0;
    const VOUCHER_COUNT: u8 = 0;
    let versions = [wire_version, wire_version];
    let rest = [LOG_IS_EMPTY, lane, VOUCHER_COUNT];
    frame(&[b"quorate2".as_slice(), &versions, cluster, &rest].concat())
}

/// The bytes after their length.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("tests send short frames");
    [&length.to_be_bytes(), message].concat()
}

/// Connects with TLS 1.3 and the key of `seed`, or none, sends `sent`, and returns every byte that
/// arrived before the node closed the connection.
pub(crate) async fn call(node: SocketAddr, seed: Option<[u8; 32]>, sent: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let talk = async {
        let stream = TcpStream::connect(node).await?;
        let name = ServerName::try_from("anybody").expect("letters");
        let mut stream = TlsConnector::from(Arc::new(config(seed)))
            .connect(name, stream)
            .await?;
        stream.write_all(sent).await?;
        stream.flush().await?;
        stream.read_to_end(&mut received).await?;
        io::Result::Ok(())
    };
    // An alert or a reset is an end too.
    let _ = timeout(END_WITHIN, talk)
        .await
        .expect("the node ends the call");
    received
}

fn config(seed: Option<[u8; 32]>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey));
    let mut config = match seed {
        None => builder.with_no_client_auth(),
        Some(seed) => {
            let resolver = AlwaysResolvesClientRawPublicKeys::new(certified_key(seed));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.alpn_protocols = vec![b"quorate-peer".to_vec()];
    config
}

fn certified_key(seed: [u8; 32]) -> Arc<CertifiedKey> {
    let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &seed].concat());
    let key = any_eddsa_type(&pkcs8).expect("32 bytes are a key");
    let public = pkarr::Keypair::from_secret_key(&seed)
        .public_key()
        .to_bytes();
    let spki = CertificateDer::from([&SPKI_PREFIX[..], &public].concat());
    Arc::new(CertifiedKey::new(vec![spki], key))
}

/// Accepts any server.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
