//! TLS between nodes.

use std::{fmt, io, sync::Arc};

use quorate_packet::PublicKey;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms,
        aws_lc_rs::{default_provider, sign::any_eddsa_type},
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{
        CertificateDer, DnsName, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};

use super::{
    Identity,
    raw_key::{parse_spki, to_pkcs8, to_spki},
};

/// The protocol of nodes (ALPN, RFC 7301). It has no version: the greeting negotiates that.
pub(super) const PROTOCOL: &[u8] = b"quorate-peer";

/// TLS to the node whose key is `expected`, and to no other.
pub fn client_config(identity: &Identity, expected: PublicKey) -> Arc<ClientConfig> {
    let provider = Arc::new(default_provider());
    let verifier = KeyVerifier::new(Some(expected), &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("AWS-LC has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
            certified_key(identity),
        )));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// TLS for any client that proves a key. The hello decides about the key.
pub fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let verifier = KeyVerifier::new(None, &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("AWS-LC has suites of TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
            certified_key(identity),
        )));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// A server name, which rustls requires. It is neither sent nor checked: keys are.
pub fn server_name() -> ServerName<'static> {
    ServerName::DnsName(DnsName::try_from("quorate-peer").expect("letters and a hyphen"))
}

/// The key that the other end has proved.
/// Returns `None` during the handshake, and if the other end did not select `PROTOCOL`.
pub fn peer_key(connection: &CommonState) -> Option<PublicKey> {
    if connection.is_handshaking() || connection.alpn_protocol() != Some(PROTOCOL) {
        return None;
    }
    match connection.peer_certificates()? {
        [spki] => parse_spki(spki),
        _ => None,
    }
}

/// A handshake that failed because of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRejection {
    /// This end rejected the other's key.
    Theirs(PublicKey),
    /// The other end rejected this node's key.
    Ours,
}

impl KeyRejection {
    /// The rejection behind an error of a TLS stream, if it was one.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => reason
                .downcast_ref::<RejectedKey>()
                .map(|rejected| Self::Theirs(rejected.0)),
            // rustls sends this alert for the error above.
            Error::AlertReceived(rustls::AlertDescription::CertificateUnknown) => Some(Self::Ours),
            _ => None,
        }
    }
}

/// The identity for rustls: a raw public key instead of a certificate.
fn certified_key(identity: &Identity) -> Arc<CertifiedKey> {
    let pkcs8 = PrivatePkcs8KeyDer::from(to_pkcs8(identity.seed()));
    let key = any_eddsa_type(&pkcs8).expect("32 bytes in PKCS #8 are an Ed25519 key");
    let spki = CertificateDer::from(to_spki(&identity.public_key()));
    Arc::new(CertifiedKey::new(vec![spki], key))
}

/// Checks the key of the other end, a client or a server.
struct KeyVerifier {
    /// `None` accepts any key.
    expected: Option<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl KeyVerifier {
    fn new(expected: Option<PublicKey>, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self {
            expected,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// Checks the claimed key of the other end. Its signature proves that it has the secret key.
    fn check_key(&self, spki: &[u8]) -> Result<(), Error> {
        let key = parse_spki(spki).ok_or(CertificateError::BadEncoding)?;
        if self.expected.is_none_or(|expected| expected == key) {
            return Ok(());
        }
        let reason = OtherError(Arc::new(RejectedKey(key)));
        Err(CertificateError::Other(reason).into())
    }
}

impl fmt::Debug for KeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVerifier").finish_non_exhaustive()
    }
}

/// The signature checks of a verifier, of servers or clients.
macro_rules! check_signatures {
    () => {
        /// rustls calls this only if TLS 1.2 is configured, which it is not.
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("nodes use TLS 1.3 only".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
            verify_tls13_signature_with_raw_key(message, &spki, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    check_signatures!();
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    check_signatures!();
}

/// The error of a verifier, which rustls passes on to [`KeyRejection::of`].
#[derive(Debug, thiserror::Error)]
#[error("the key {0} is not accepted here")]
struct RejectedKey(PublicKey);

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
