//! The key of a certificate, and the request to sign it.

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519,
};

use crate::{
    config::KeyType,
    documents::PendingOrder,
    failure::{Failure, FailureKind},
};

/// A new key for a certificate, in PEM.
pub(crate) fn new_key(key_type: KeyType) -> Result<String, Failure> {
    let algorithm = match key_type {
        KeyType::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        KeyType::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
        KeyType::Ed25519 => &PKCS_ED25519,
    };
    let key = KeyPair::generate_for(algorithm).map_err(|error| no_request(&error))?;
    Ok(key.serialize_pem())
}

/// The request to sign the certificate (RFC 2986), in DER.
pub(crate) fn signing_request(pending: &PendingOrder) -> Result<Vec<u8>, Failure> {
    let request = || {
        let key = KeyPair::from_pem(&pending.key_pem)?;
        let mut params = CertificateParams::new(pending.order_for.names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&key)?.der().to_vec())
    };
    request().map_err(|error| no_request(&error).ending_order())
}

fn no_request(error: &rcgen::Error) -> Failure {
    let text = format!("the key of the certificate cannot be made or used: {error}");
    Failure::new(FailureKind::Order, text)
}
