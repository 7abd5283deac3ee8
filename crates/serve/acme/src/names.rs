//! The names of a certificate, and where the records are that prove that they are ours.

use std::collections::BTreeSet;

use quorate_replica::{NamedSet, RecordSet, WireName};
use quorate_zone::file::parse_name;

use crate::delegated::Delegated;

/// The most names of a certificate: public authorities accept no more.
const NAME_COUNT_MAX: usize = 100;

/// The longest name, without the last dot (RFC 1035, section 2.3.4).
const NAME_SIZE_MAX: usize = 253;

/// The longest label (RFC 1035, section 2.3.4).
const LABEL_SIZE_MAX: usize = 63;

/// The type of the records that prove it.
pub(crate) const TXT: u16 = 16;

/// A name of the certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CertificateName {
    /// In lower case, without the last dot.
    pub(crate) name: String,
    /// Where its challenge is answered.
    pub(crate) owner: WireName,
    /// The zone that has the owner.
    pub(crate) zone: WireName,
}

/// A name that no certificate can be ordered for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} {reason}")]
pub(crate) struct NameError {
    /// The setting.
    pub(crate) key: &'static str,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The names for which a certificate is ordered, sorted. Those of the zones if `names` is empty. Fails with
/// each name that is wrong.
pub(crate) fn check_names(
    names: &[String],
    delegated: &[Delegated],
    zones: &[WireName],
) -> Result<Vec<CertificateName>, Vec<NameError>> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    let of_zones: Vec<String> = zones.iter().map(text_of).collect();
    let names = match names.is_empty() {
        true => &of_zones,
        false => names,
    };
    for entry in delegated {
        if let Err(reason) = check_text(&lower(&entry.name)) {
            errors.push(error("delegated", &entry.name, reason));
        }
        if let Err(reason) = check_place(&entry.challenge, zones) {
            errors.push(error("delegated", &entry.challenge, reason));
        }
    }
    for name in names {
        let name = lower(name);
        match check_name(&name, delegated, zones) {
            Ok(_) if !seen.insert(name.clone()) => {
                errors.push(error(
                    "names",
                    &name,
                    "is listed twice: remove one".to_owned(),
                ));
            }
            Ok(checked_name) => checked.push(checked_name),
            Err(reason) => errors.push(error("names", &name, reason)),
        }
    }
    if names.len() > NAME_COUNT_MAX {
        let reason = format!(
            "is one of {} names, and a certificate has at most {NAME_COUNT_MAX}: remove some, or use a wildcard",
            names.len()
        );
        errors.push(error(
            "names",
            names.last().map_or("", String::as_str),
            reason,
        ));
    }
    if names.is_empty() {
        let reason = "has no name to order a certificate for: no zone is served here".to_owned();
        errors.push(error("names", "", reason));
    }
    checked.sort();
    match errors.is_empty() {
        true => Ok(checked),
        false => Err(errors),
    }
}

fn error(key: &'static str, name: &str, reason: String) -> NameError {
    let name = name.to_owned();
    NameError { key, name, reason }
}

fn lower(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

/// The name without the last dot.
fn text_of(name: &WireName) -> String {
    let text = name.to_string();
    text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
}

fn check_name(
    name: &str,
    delegated: &[Delegated],
    zones: &[WireName],
) -> Result<CertificateName, String> {
    let base = name.strip_prefix("*.").unwrap_or(name);
    check_text(base)?;
    let entry = delegated.iter().find(|entry| lower(&entry.name) == base);
    let place = match entry {
        Some(entry) => lower(&entry.challenge),
        None => format!("_acme-challenge.{base}"),
    };
    let (owner, zone) = match (check_place(&place, zones), entry) {
        (Err(_), None) if zone_of(base, zones).is_none() => {
            let zones = zones.iter().map(text_of).collect::<Vec<_>>().join(", ");
            return Err(format!(
                "is in none of the zones that are served here ({zones}): add its zone to dns.origins, or lead \
                 _acme-challenge.{base} by a CNAME to a name in one of them and list that in \
                 tls.acme.delegated"
            ));
        }
        (place, _) => place?,
    };
    Ok(CertificateName {
        name: name.to_owned(),
        owner,
        zone,
    })
}

fn check_text(name: &str) -> Result<(), String> {
    let is_letter_digit_hyphen = |label: &str| {
        let mut bytes = label.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.is_empty() || name == "." {
        return Err("is no name: write one such as \"dns.example.org\"".to_owned());
    }
    if name.len() > NAME_SIZE_MAX {
        return Err(format!(
            "is longer than {NAME_SIZE_MAX} characters: no DNS name is"
        ));
    }
    for label in name.split('.') {
        let reason = match label {
            "" => "has two dots in a row, or one at its start",
            "*" => "may have \"*\" only as its first label",
            _ if label.len() > LABEL_SIZE_MAX => "has a label of more than 63 characters",
            _ if label.starts_with('-') || label.ends_with('-') => {
                "has a label with a hyphen at its start or end"
            }
            _ if !label.is_ascii() => "has other letters than a to z: write it as \"xn--…\"",
            _ if !is_letter_digit_hyphen(label) => {
                "has other characters than letters, digits and hyphens"
            }
            _ => continue,
        };
        return Err(format!(
            "{reason}, so that no certificate can have it: correct it"
        ));
    }
    // In an address, the last label is a number.
    let last = name.rsplit('.').next().unwrap_or(name);
    match last.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Err("is an address: certificates here are for names".to_owned()),
        false => Ok(()),
    }
}

/// The longest of the zones that has the name.
fn zone_of<'z>(name: &str, zones: &'z [WireName]) -> Option<&'z WireName> {
    let name = parse_name(name, &WireName::root()).ok()?;
    let around = zones.iter().filter(|zone| name.labels_in(zone).is_some());
    around.max_by_key(|zone| zone.labels().count())
}

/// The owner of the TXT record with this name, and its zone.
fn check_place(name: &str, zones: &[WireName]) -> Result<(WireName, WireName), String> {
    let name = lower(name);
    let owner = parse_name(&name, &WireName::root());
    let owner = owner.map_err(|error| format!("is no name: {error}"))?;
    let zone = zone_of(&name, zones).ok_or_else(|| {
        let zones = zones.iter().map(text_of).collect::<Vec<_>>().join(", ");
        format!("is in none of the zones that are served here ({zones}), so that its TXT record cannot be set")
    })?;
    let set = NamedSet {
        owner: owner.clone(),
        record_type: TXT,
        records: RecordSet {
            ttl_secs: 1,
            rdata: vec![vec![0].into()],
        },
    };
    set.check_in(zone)
        .map_err(|error| format!("cannot have a TXT record: {error}"))?;
    Ok((owner, zone.clone()))
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
