use rustls::{AlertDescription, ClientConnection, ServerConnection, Side};

use super::*;

fn identity(byte: u8) -> Identity {
    Identity::from_seed(&[byte; 32])
}

/// The two ends of a connection, in memory.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    fn new(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Self {
        Self {
            client: ClientConnection::new(client, server_name()).unwrap(),
            server: ServerConnection::new(server).unwrap(),
        }
    }

    /// Carries bytes both ways until neither end has more to send, or one fails.
    fn drive(&mut self) -> Result<(), (Side, Error)> {
        while self.client.wants_write() || self.server.wants_write() {
            let bytes = sent(&mut self.client);
            receive(&mut self.server, &bytes).map_err(|e| (Side::Server, e))?;
            let bytes = sent(&mut self.server);
            receive(&mut self.client, &bytes).map_err(|e| (Side::Client, e))?;
        }
        Ok(())
    }
}

fn sent<S: rustls::SideData>(from: &mut rustls::ConnectionCommon<S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn receive<S: rustls::SideData>(
    to: &mut rustls::ConnectionCommon<S>,
    mut bytes: &[u8],
) -> Result<(), Error> {
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

fn as_io(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[test]
fn nodes_that_know_each_other_connect() {
    let (alice, bob) = (identity(1), identity(2));
    let mut pair = Pair::new(client_config(&alice, bob.public_key()), server_config(&bob));
    assert_eq!(peer_key(&pair.server), None);
    pair.drive().unwrap();
    assert_eq!(peer_key(&pair.client), Some(bob.public_key()));
    assert_eq!(peer_key(&pair.server), Some(alice.public_key()));
    assert_eq!(
        pair.client.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
}

#[test]
fn an_unexpected_server_is_rejected() {
    let (alice, bob, mallory) = (identity(1), identity(2), identity(3));
    let mut pair = Pair::new(
        client_config(&alice, bob.public_key()),
        server_config(&mallory),
    );
    let (side, error) = pair.drive().unwrap_err();
    assert_eq!(side, Side::Client);
    assert_eq!(
        KeyRejection::of(&as_io(error)),
        Some(KeyRejection::Theirs(mallory.public_key()))
    );
    // The other end learns only that it is rejected.
    let alert = sent(&mut pair.client);
    let error = receive(&mut pair.server, &alert).unwrap_err();
    assert_eq!(KeyRejection::of(&as_io(error)), Some(KeyRejection::Ours));
    assert_eq!(peer_key(&pair.server), None);
}

#[test]
fn a_claimed_key_must_be_proved() {
    let (alice, bob, mallory) = (identity(1), identity(2), identity(3));
    // Presents Alice's key, signs with its own.
    let mut config = ClientConfig::clone(&client_config(&mallory, bob.public_key()));
    let impostor = CertifiedKey::new(
        certified_key(&alice).cert.clone(),
        certified_key(&mallory).key.clone(),
    );
    config.client_auth_cert_resolver =
        Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(impostor)));
    let mut pair = Pair::new(Arc::new(config), server_config(&bob));
    let (side, error) = pair.drive().unwrap_err();
    assert_eq!(side, Side::Server);
    assert!(
        matches!(error, Error::InvalidCertificate(_)),
        "the signature is rejected: {error}"
    );
    assert_eq!(
        KeyRejection::of(&as_io(error)),
        None,
        "the key was admitted"
    );
}

#[test]
fn a_client_without_a_key_is_rejected() {
    let bob = identity(2);
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(KeyVerifier::new(Some(bob.public_key()), &provider))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let mut pair = Pair::new(Arc::new(config), server_config(&bob));
    let (side, _) = pair.drive().unwrap_err();
    assert_eq!(side, Side::Server);
    assert_eq!(peer_key(&pair.server), None);
}

#[test]
fn another_protocol_is_rejected() {
    let (alice, bob) = (identity(1), identity(2));
    let mut config = ClientConfig::clone(&client_config(&alice, bob.public_key()));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut pair = Pair::new(Arc::new(config), server_config(&bob));
    let (side, error) = pair.drive().unwrap_err();
    assert_eq!((side, error), (Side::Server, Error::NoApplicationProtocol));

    let mut config = ClientConfig::clone(&client_config(&alice, bob.public_key()));
    config.alpn_protocols.clear();
    let mut pair = Pair::new(Arc::new(config), server_config(&bob));
    pair.drive().unwrap();
    assert_eq!(peer_key(&pair.server), None, "no protocol, no peer");
}

#[test]
fn each_connection_is_a_full_handshake() {
    let (alice, bob) = (identity(1), identity(2));
    let client = client_config(&alice, bob.public_key());
    let server = server_config(&bob);
    for _ in 0..2 {
        let mut pair = Pair::new(client.clone(), server.clone());
        pair.drive().unwrap();
        assert_eq!(
            pair.client.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
    }
}

#[test]
fn garbage_is_rejected_without_panic() {
    let bob = identity(2);
    let config = server_config(&bob);
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n".as_slice(),
        &[0xff; 64],
        // A TLS record with an invalid ClientHello.
        &[0x16, 0x03, 0x01, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00],
    ] {
        let mut server = ServerConnection::new(config.clone()).unwrap();
        receive(&mut server, garbage).unwrap_err();
        assert!(server.is_handshaking());
    }
    let mut silent = ServerConnection::new(config).unwrap();
    assert!(sent(&mut silent).is_empty(), "a server does not send first");
}

#[test]
fn only_alerts_about_the_key_count_as_a_rejected_key() {
    let other = Error::AlertReceived(AlertDescription::HandshakeFailure);
    assert_eq!(KeyRejection::of(&as_io(other)), None);
    assert_eq!(KeyRejection::of(&io::Error::other("another layer")), None);
    assert_eq!(
        KeyRejection::of(&io::ErrorKind::ConnectionReset.into()),
        None
    );
}
