use std::{fs, os::unix::fs::PermissionsExt};

use quorate_disk::LinuxDisk;
use rustls::{ClientConfig, ClientConnection, ServerConnection, pki_types::ServerName};
use tempfile::TempDir;

use super::*;

/// A directory with the files of a certificate and its key.
struct Fixture {
    dir: TempDir,
    files: CertificateFiles,
}

/// A certificate and its key in PEM.
struct PemPair {
    certificate: String,
    key: String,
}

fn new_pair() -> PemPair {
    let generated = rcgen::generate_simple_self_signed(vec!["dns.test".to_owned()]).unwrap();
    PemPair {
        certificate: generated.cert.pem(),
        key: generated.signing_key.serialize_pem(),
    }
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate_file: dir.path().join("certificate.pem"),
            key_file: dir.path().join("key.pem"),
        };
        Self { dir, files }
    }

    fn write(&self, certificate: &str, key: &str) {
        fs::write(&self.files.certificate_file, certificate).unwrap();
        fs::write(&self.files.key_file, key).unwrap();
    }

    #[track_caller]
    fn read_error(&self) -> String {
        self.files.read(&LinuxDisk).unwrap_err().to_string()
    }
}

/// The first certificate that the server sends to a client.
fn shown(certificate: &ServerCertificate) -> CertificateDer<'static> {
    let provider = Arc::new(default_provider());
    let verifier = danger::Any(provider.clone());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from("dns.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(certificate.server_config(&[])).unwrap();
    while client.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

mod danger {
    use rustls::{
        DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::CryptoProvider,
        pki_types::UnixTime,
    };

    use super::*;

    #[derive(Debug)]
    pub(super) struct Any(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_replaced_pair_is_shown_to_the_next_client() {
    let fixture = Fixture::new();
    let (first, second) = (new_pair(), new_pair());
    fixture.write(&first.certificate, &first.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    assert_eq!(shown(&certificate), der(&first.certificate));
    let mut last_logged = None;
    certificate.apply(certificate.read(), &mut last_logged);
    assert_eq!(shown(&certificate), der(&first.certificate));

    fixture.write(&second.certificate, &second.key);
    certificate.apply(certificate.read(), &mut last_logged);
    assert_eq!(shown(&certificate), der(&second.certificate));
    assert_eq!(last_logged, None);
}

#[test]
fn an_invalid_new_pair_is_logged_and_the_old_one_stays() {
    let fixture = Fixture::new();
    let (first, second) = (new_pair(), new_pair());
    fixture.write(&first.certificate, &first.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();

    fixture.write(&second.certificate, &first.key);
    let mut last_logged = None;
    certificate.apply(certificate.read(), &mut last_logged);
    assert_eq!(shown(&certificate), der(&first.certificate));
    assert!(
        last_logged.as_ref().unwrap().contains("does not belong to"),
        "{last_logged:?}"
    );

    // Now the key is replaced too.
    fixture.write(&second.certificate, &second.key);
    certificate.apply(certificate.read(), &mut last_logged);
    assert_eq!(shown(&certificate), der(&second.certificate));
    assert_eq!(last_logged, None, "a later invalid pair is logged again");
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let fixture = Fixture::new();
    assert!(fixture.read_error().contains("cannot be read"));
    let (one, other) = (new_pair(), new_pair());
    let truncated = &one.key[..one.key.len() - 30];
    for (certificate, key, reason) in [
        ("", &*one.key, "holds no certificate"),
        (&*one.key, &*one.key, "holds no certificate"),
        (&*one.certificate, "", "holds no private key"),
        (&*one.certificate, &*one.certificate, "holds no private key"),
        (&*one.certificate, truncated, "is damaged"),
        (&*one.certificate, &*other.key, "does not belong to"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*one.key,
            "certificate in",
        ),
        (
            &*one.certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "use RSA, ECDSA",
        ),
    ] {
        fixture.write(certificate, key);
        let read_error = fixture.read_error();
        assert!(read_error.contains(reason), "{read_error}");
        let dir = fixture.dir.path().to_str().unwrap();
        assert!(read_error.contains(dir), "{read_error}");
    }
    let large = "#".repeat(FILE_SIZE_MAX as usize + 1);
    fixture.write(&large, &one.key);
    assert!(fixture.read_error().contains("is larger than"));
}

#[test]
fn a_generated_certificate_works_and_only_the_owner_can_read_its_key() {
    let fixture = Fixture::new();
    fixture.files.make(&LinuxDisk, ["localhost"]).unwrap();
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    shown(&certificate);
    let mode = fs::metadata(&fixture.files.key_file).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn debug_output_does_not_show_the_key() {
    let fixture = Fixture::new();
    let one = new_pair();
    fixture.write(&one.certificate, &one.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    let shown = format!("{certificate:?}");
    assert!(shown.contains("CertificatePair"), "{shown}");
    assert!(shown.len() < 400, "{shown}");
}
