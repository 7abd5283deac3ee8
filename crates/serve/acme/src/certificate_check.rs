//! Whether an issued certificate is the one that was ordered.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use quorate_api::CertificateSummary;
use quorate_replica::UnixMillis;
use rustls::{
    Error, InconsistentKeys,
    client::verify_server_name,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    parse_x509_certificate,
    time::ASN1Time,
};

use crate::documents::CertificateDocument;

/// The most certificates of a chain: clients accept no longer ones.
const CHAIN_LENGTH_MAX: usize = 10;

/// How far the clock of the authority may be ahead, in milliseconds.
const AHEAD_MAX_MS: u64 = 3600 * 1000;

/// The characters of a line in PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// What is known of a certificate that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedCertificate {
    /// The certificates alone, in PEM.
    pub(crate) chain_pem: String,
    pub(crate) not_before_ms: u64,
    pub(crate) not_after_ms: u64,
    /// RFC 9773, section 4.1.
    pub(crate) ari_id: Option<String>,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error("the issued chain is no PEM with certificates")]
    NotPem,
    #[error("the issued chain has {0} certificates: the most is {CHAIN_LENGTH_MAX}")]
    TooLong(usize),
    #[error("certificate {0} of the issued chain cannot be parsed")]
    Unparsable(usize),
    #[error("the issued certificate is for another key")]
    OtherKey,
    #[error("the issued certificate is not for {missing}, but for {found}")]
    OtherNames { missing: String, found: String },
    #[error("the issued certificate has expired {0} s ago; check the clock of this node")]
    Expired(u64),
    #[error("the issued certificate is valid only in {0} s; check the clock of this node")]
    NotYet(u64),
    #[error("the issued certificate cannot be served: {0}")]
    Unusable(Error),
    #[error("the key of the order is damaged")]
    Key,
}

/// Checks a chain that was issued for this key and these names: whether a listener can serve it, and clients accept it.
pub(crate) fn check(
    chain_pem: &str,
    key_pem: &str,
    names: &[String],
    now: UnixMillis,
) -> Result<CheckedCertificate, CertificateFault> {
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| CertificateFault::NotPem)?;
    if chain.len() > CHAIN_LENGTH_MAX {
        return Err(CertificateFault::TooLong(chain.len()));
    }
    let mut parsed = Vec::new();
    for (index, certificate) in chain.iter().enumerate() {
        match parse_x509_certificate(certificate) {
            Ok(([], certificate)) => parsed.push(certificate),
            _ => return Err(CertificateFault::Unparsable(index + 1)),
        }
    }
    let first = parsed.first().ok_or(CertificateFault::NotPem)?;
    check_served(&chain, key_pem)?;
    let found = names_of(first);
    if let Some(missing) = names.iter().find(|name| !found.contains(name)) {
        return Err(CertificateFault::OtherNames {
            missing: missing.clone(),
            found: found.join(", "),
        });
    }
    check_names(&chain[0], names).map_err(CertificateFault::Unusable)?;
    let (not_before_ms, not_after_ms) = validity(first);
    if not_before_ms > now.0.saturating_add(AHEAD_MAX_MS) {
        return Err(CertificateFault::NotYet((not_before_ms - now.0) / 1000));
    }
    if not_after_ms <= now.0 {
        return Err(CertificateFault::Expired((now.0 - not_after_ms) / 1000));
    }
    Ok(CheckedCertificate {
        chain_pem: chain.iter().map(pem).collect(),
        not_before_ms,
        not_after_ms,
        ari_id: ari_id(first),
    })
}

/// Fails if a listener cannot use the chain with this key.
fn check_served(chain: &[CertificateDer<'static>], key_pem: &str) -> Result<(), CertificateFault> {
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
    let key = key.map_err(|_| CertificateFault::Key)?;
    let served = CertifiedKey::from_der(chain.to_vec(), key, &default_provider());
    served.map(drop).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateFault::OtherKey,
        error => CertificateFault::Unusable(error),
    })
}

/// Fails if a client would not find these names in the certificate (RFC 6125, section 6.4).
fn check_names(certificate: &CertificateDer<'_>, names: &[String]) -> Result<(), Error> {
    let certificate = ParsedCertificate::try_from(certificate)?;
    for name in names {
        // One of those that a wildcard is for.
        let name = name.replacen('*', "any", 1);
        let name = ServerName::try_from(name).map_err(|error| Error::General(error.to_string()))?;
        verify_server_name(&certificate, &name)?;
    }
    Ok(())
}

/// The certificate of a document without its key.
pub(crate) fn summary(document: &CertificateDocument, now: UnixMillis) -> CertificateSummary {
    let mut summary = CertificateSummary {
        names: document.issued_for.names.clone(),
        not_before_ms: document.not_before_ms,
        not_after_ms: document.not_after_ms,
        expired: document.not_after_ms <= now.0,
        chain: document.chain_pem.clone(),
        ..CertificateSummary::default()
    };
    let first = first_of(&document.chain_pem);
    if let Some((_, first)) = first
        .as_ref()
        .and_then(|der| parse_x509_certificate(der).ok())
    {
        summary.issuer = first.issuer().to_string();
        summary.serial = HEXLOWER.encode(first.raw_serial());
    }
    summary
}

/// The first certificate of a chain.
pub(crate) fn first_of(chain_pem: &str) -> Option<CertificateDer<'static>> {
    let mut chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes());
    chain.next()?.ok()
}

/// A certificate in PEM.
pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded = BASE64.encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END CERTIFICATE-----\n"
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name();
    let names = extension
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names);
    let names = names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let millis = |time: ASN1Time| {
        u64::try_from(time.timestamp())
            .unwrap_or(0)
            .saturating_mul(1000)
    };
    let validity = certificate.validity();
    (millis(validity.not_before), millis(validity.not_after))
}

fn ari_id(certificate: &X509Certificate<'_>) -> Option<String> {
    let issuer_key = certificate.extensions().iter().find_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier
                .key_identifier
                .as_ref()
                .map(|identifier| identifier.0),
            _ => None,
        }
    })?;
    let [issuer, serial] =
        [issuer_key, certificate.raw_serial()].map(|bytes| BASE64URL_NOPAD.encode(bytes));
    Some(format!("{issuer}.{serial}"))
}

#[cfg(test)]
#[path = "certificate_check_tests.rs"]
mod tests;
