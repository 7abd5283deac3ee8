//! The settings.

use std::{path::PathBuf, str::FromStr};

use http::Uri;
use quorate_replica::WireName;
use quorate_setting::{Findings, KeyPath, settings};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{delegated::Delegated, names::check_names};

/// The kind of the certificate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum KeyType {
    /// What every client and every authority knows.
    #[default]
    #[serde(rename = "ecdsa-p256")]
    #[strum(serialize = "ecdsa-p256")]
    EcdsaP256,
    /// Larger, for those who must.
    #[serde(rename = "ecdsa-p384")]
    #[strum(serialize = "ecdsa-p384")]
    EcdsaP384,
    /// Browsers and public authorities do not know it; a private authority may.
    Ed25519,
}

quorate_setting::impl_setting_value!(
    KeyType => "\"ecdsa-p256\", \"ecdsa-p384\" or \"ed25519\""
);

settings! {
    /// A certificate that the cluster gets from a certificate authority by ACME (RFC 8555), and renews.
    pub struct AcmeConfig {
        /// URL of the authority's directory, such as
        /// "https://acme-v02.api.letsencrypt.org/directory". Who sets it agrees to the authority's terms of
        /// service. Empty: no certificate is ordered.
        directory: String = String::new();
        /// Where the authority may write to, each as "mailto:hostmaster@example.org".
        contact: Vec<String> = Vec::new();
        /// Names of the certificate, such as "dns.example.org" or "*.example.org". Each must be in one of the
        /// zones of dns.origins, or be in delegated. Empty: the names of these zones.
        names: Vec<String> = Vec::new();
        /// Profile of the certificate, if the authority offers several. Empty: its default.
        profile: String = String::new();
        /// Kind of the certificate's key: "ecdsa-p256", "ecdsa-p384" or "ed25519".
        key_type: KeyType = KeyType::EcdsaP256;
        /// Id of the key that binds the account to one that you have with the authority (RFC 8555,
        /// section 7.3.4), if it demands that.
        eab_key_id: String = String::new();
        /// File with that key in base64url, as the authority gave it. Not every user of the machine may have
        /// access to it. Every node needs it, as each may become the leader.
        eab_hmac_key_file: PathBuf = PathBuf::new();
        /// File with certificates in PEM by which the authority's own server is verified, for a private
        /// authority. Empty: those of the machine (package ca-certificates).
        root_file: PathBuf = PathBuf::new();
        /// Names outside of the zones of dns.origins that may be in names all the same.
        delegated: Vec<Delegated> = Vec::new();
    }
}

impl AcmeConfig {
    /// Whether certificates are ordered.
    pub fn is_on(&self) -> bool {
        !self.directory.is_empty()
    }

    /// Reports settings that do not fit together, or not to the zones.
    pub fn check_acme(&self, zones: &[WireName], at: &KeyPath, findings: &mut Findings) {
        if !self.is_on() {
            return;
        }
        if let Err(reason) = check_https(&self.directory) {
            findings.error(at.key("directory"), reason);
        }
        for (index, contact) in self.contact.iter().enumerate() {
            let address = contact.strip_prefix("mailto:");
            if !address.is_some_and(|address| address.contains('@') && contact.is_ascii()) {
                let reason =
                    format!("{contact:?} is no address: write \"mailto:hostmaster@example.org\"");
                findings.error(at.key("contact").index(index), reason);
            }
        }
        let has_file = !self.eab_hmac_key_file.as_os_str().is_empty();
        if self.eab_key_id.is_empty() == has_file {
            let [id, file] = ["eab_key_id", "eab_hmac_key_file"].map(|key| at.key(key).to_string());
            let reason = "the id of a key and the key belong together: set both or neither";
            findings.error_between([&id, &file], reason);
        }
        for error in check_names(&self.names, &self.delegated, zones)
            .err()
            .into_iter()
            .flatten()
        {
            findings.error(at.key(error.key), error.to_string());
        }
    }
}

/// Fails with the reason if `url` is not an absolute URL for HTTPS.
pub(crate) fn check_https(url: &str) -> Result<(), String> {
    let wanted = "write an absolute URL that begins with https://";
    let uri =
        Uri::from_str(url).map_err(|error| format!("{url:?} is no URL ({error}): {wanted}"))?;
    match uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()) {
        true => Ok(()),
        false => Err(format!("{url:?} is not for HTTPS: {wanted}")),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
