use std::{fs, os::unix::fs::PermissionsExt};

use quorate_disk::LinuxDisk;
use quorate_metrics::Registry;
use rustls::{
    ClientConfig, ClientConnection, Error, ServerConnection,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;

use super::*;
use crate::certificate_files::FILE_SIZE_MAX;

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
    pair_for("dns.test", None)
}

/// A pair for this name, that expires so many seconds from now.
fn pair_for(name: &str, expires_secs: Option<i64>) -> PemPair {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    if let Some(secs) = expires_secs {
        params.not_after = (SystemTime::now() - Duration::from_secs(30 * 24 * 3600)).into();
        params.not_after += Duration::from_secs((30 * 24 * 3600 + secs) as u64);
    }
    PemPair {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
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
        self.set_mode(0o640);
    }

    fn set_mode(&self, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&self.files.key_file, mode).unwrap();
    }

    fn open(&self) -> ServerCertificate {
        ServerCertificate::open(Arc::new(LinuxDisk), vec![self.files.clone()]).unwrap()
    }

    #[track_caller]
    fn read_error(&self) -> String {
        self.files.read(&LinuxDisk).unwrap_err().to_string()
    }
}

fn read(certificate: &ServerCertificate) -> Result<CertificatePair, CertificateError> {
    certificate.0.files[0].read(&LinuxDisk)
}

/// The first certificate that the server sends to a client.
fn shown(certificate: &ServerCertificate) -> CertificateDer<'static> {
    shown_for("dns.test", certificate)
}

/// The same for a client that asks for this name.
fn shown_for(name: &'static str, certificate: &ServerCertificate) -> CertificateDer<'static> {
    let provider = Arc::new(default_provider());
    let verifier = danger::Any(provider.clone());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
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
    let certificate = fixture.open();
    assert_eq!(shown(&certificate), der(&first.certificate));
    let mut last_logged = None;
    certificate.apply(0, read(&certificate), &mut last_logged);
    assert_eq!(shown(&certificate), der(&first.certificate));

    fixture.write(&second.certificate, &second.key);
    certificate.apply(0, read(&certificate), &mut last_logged);
    assert_eq!(shown(&certificate), der(&second.certificate));
    assert_eq!(last_logged, None);
}

#[test]
fn an_invalid_new_pair_is_logged_and_the_old_one_stays() {
    let fixture = Fixture::new();
    let (first, second) = (new_pair(), new_pair());
    fixture.write(&first.certificate, &first.key);
    let certificate = fixture.open();

    fixture.write(&second.certificate, &first.key);
    let mut last_logged = None;
    certificate.apply(0, read(&certificate), &mut last_logged);
    assert_eq!(shown(&certificate), der(&first.certificate));
    assert!(
        last_logged.as_ref().unwrap().contains("does not belong to"),
        "{last_logged:?}"
    );

    // Now the key is replaced too.
    fixture.write(&second.certificate, &second.key);
    certificate.apply(0, read(&certificate), &mut last_logged);
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
    let certificate = fixture.open();
    shown(&certificate);
    let mode = fs::metadata(&fixture.files.key_file).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn debug_output_does_not_show_the_key() {
    let fixture = Fixture::new();
    let one = new_pair();
    fixture.write(&one.certificate, &one.key);
    let certificate = fixture.open();
    let shown = format!("{certificate:?}");
    assert!(shown.contains("CertificatePair"), "{shown}");
    assert!(shown.len() < 400, "{shown}");
}

#[test]
fn a_key_that_every_user_may_open_is_rejected() {
    let fixture = Fixture::new();
    let pair = new_pair();
    fixture.write(&pair.certificate, &pair.key);
    for mode in [0o600, 0o440] {
        fixture.set_mode(mode);
        fixture.open();
    }
    for mode in [0o644, 0o602] {
        fixture.set_mode(mode);
        let error = fixture.read_error();
        assert!(error.contains(&format!("{mode:o}")), "{error}");
        assert!(error.contains("chmod 640"), "{error}");
    }
}

#[test]
fn a_client_gets_the_certificate_for_its_name() {
    let fixtures = [Fixture::new(), Fixture::new(), Fixture::new()];
    let pairs = ["dns.test", "*.other.test", "third.test"].map(|name| pair_for(name, None));
    for (fixture, pair) in fixtures.iter().zip(&pairs) {
        fixture.write(&pair.certificate, &pair.key);
    }
    let files = fixtures
        .each_ref()
        .map(|fixture| fixture.files.clone())
        .to_vec();
    let certificate = ServerCertificate::open(Arc::new(LinuxDisk), files).unwrap();
    for (name, at) in [
        ("dns.test", 0),
        ("a.other.test", 1),
        ("third.test", 2),
        ("unknown.test", 0),
        ("a.b.other.test", 0),
        ("192.0.2.1", 0),
    ] {
        let expected = der(&pairs[at].certificate);
        assert_eq!(shown_for(name, &certificate), expected, "{name}");
    }
    // Each is replaced although another has invalid files.
    fixtures[0].write("", "");
    let new = pair_for("third.test", None);
    fixtures[2].write(&new.certificate, &new.key);
    for (at, fixture) in fixtures.iter().enumerate() {
        certificate.apply(at, fixture.files.read(&LinuxDisk), &mut None);
    }
    assert_eq!(shown_for("third.test", &certificate), der(&new.certificate));
    assert_eq!(shown(&certificate), der(&pairs[0].certificate));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_soon_is_reported_and_still_served() {
    const DAY: i64 = 24 * 3600;
    for (expires_secs, warning) in [
        (-60, Some("has expired")),
        (6 * DAY, Some("expires soon")),
        (8 * DAY, None),
    ] {
        let fixture = Fixture::new();
        let pair = pair_for("dns.test", Some(expires_secs));
        fixture.write(&pair.certificate, &pair.key);
        let certificate = fixture.open();
        let warnings = certificate.warnings();
        assert_eq!(warnings.len(), usize::from(warning.is_some()));
        for (text, part) in warnings.iter().zip(warning) {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(shown(&certificate), der(&pair.certificate));

        let metrics = CertificateMetrics::register(&Registry::new()).unwrap();
        let gauge = metrics.expiry_timestamp_seconds.clone();
        let _watch = certificate.watch(metrics);
        while gauge.get() == 0 {
            tokio::task::yield_now().await;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let left = gauge.get() - now.as_secs() as i64;
        assert!((expires_secs - 60..=expires_secs).contains(&left), "{left}");
    }
}
