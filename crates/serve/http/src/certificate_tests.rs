use std::{fs, os::unix::fs::PermissionsExt};

use quorate_disk::LinuxDisk;
use rustls::{ClientConfig, ClientConnection, ServerConnection, pki_types::ServerName};
use tempfile::TempDir;

use super::*;

/// A directory with the files of a certificate.
struct Fixture {
    dir: TempDir,
    files: CertificateFiles,
}

/// The certificate of a file, and its key, in PEM.
struct Made {
    certificate: String,
    key: String,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(vec!["dns.test".to_owned()]).unwrap();
    Made {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
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
    fn refusal(&self) -> String {
        self.files.read(&LinuxDisk).unwrap_err().to_string()
    }
}

/// The first certificate that a client is shown.
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
    let (first, second) = (made(), made());
    fixture.write(&first.certificate, &first.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    assert_eq!(shown(&certificate), der(&first.certificate));
    let mut told = None;
    certificate.follow(certificate.read(), &mut told);
    assert_eq!(shown(&certificate), der(&first.certificate));

    fixture.write(&second.certificate, &second.key);
    certificate.follow(certificate.read(), &mut told);
    assert_eq!(shown(&certificate), der(&second.certificate));
    assert_eq!(told, None);
}

#[test]
fn a_bad_new_pair_keeps_the_old_and_is_told() {
    let fixture = Fixture::new();
    let (first, second) = (made(), made());
    fixture.write(&first.certificate, &first.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();

    fixture.write(&second.certificate, &first.key);
    let mut told = None;
    certificate.follow(certificate.read(), &mut told);
    assert_eq!(shown(&certificate), der(&first.certificate));
    assert!(
        told.as_ref().unwrap().contains("is not that of"),
        "{told:?}"
    );

    // The other half of the change.
    fixture.write(&second.certificate, &second.key);
    certificate.follow(certificate.read(), &mut told);
    assert_eq!(shown(&certificate), der(&second.certificate));
    assert_eq!(told, None, "a later bad pair is told again");
}

#[test]
fn what_is_wrong_with_the_files_is_told() {
    let fixture = Fixture::new();
    assert!(fixture.refusal().contains("cannot be read"));
    let (one, other) = (made(), made());
    let truncated = &one.key[..one.key.len() - 30];
    for (certificate, key, reason) in [
        ("", &*one.key, "holds no certificate"),
        (&*one.key, &*one.key, "holds no certificate"),
        (&*one.certificate, "", "holds no private key"),
        (&*one.certificate, &*one.certificate, "holds no private key"),
        (&*one.certificate, truncated, "is damaged"),
        (&*one.certificate, &*other.key, "is not that of"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*one.key,
            "none that TLS can show",
        ),
        (
            &*one.certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "none that TLS can use",
        ),
    ] {
        fixture.write(certificate, key);
        let refusal = fixture.refusal();
        assert!(refusal.contains(reason), "{refusal}");
        let dir = fixture.dir.path().to_str().unwrap();
        assert!(refusal.contains(dir), "{refusal}");
    }
    let large = "#".repeat(FILE_SIZE_MAX as usize + 1);
    fixture.write(&large, &one.key);
    assert!(fixture.refusal().contains("is larger than"));
}

#[test]
fn what_is_made_is_shown_and_its_key_is_its_owners() {
    let fixture = Fixture::new();
    fixture.files.make(&LinuxDisk, ["localhost"]).unwrap();
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    shown(&certificate);
    let mode = fs::metadata(&fixture.files.key_file).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn the_key_is_not_shown() {
    let fixture = Fixture::new();
    let one = made();
    fixture.write(&one.certificate, &one.key);
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), &fixture.files).unwrap();
    let shown = format!("{certificate:?}");
    assert!(shown.contains("CertificatePair"), "{shown}");
    assert!(shown.len() < 400, "{shown}");
}
