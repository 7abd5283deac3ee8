//! Records as typed on the command line.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, bail};
use pkarr::dns::{
    Name,
    rdata::{A, AAAA, CNAME, RData, TXT},
};
use quorate_packet::{PublicKey, Z32_LEN};

/// The longest name below a key, in characters: the 253 of a DNS name (RFC 1035, section 2.3.4) minus the
/// key and its dot.
const NAME_LEN_MAX: usize = 253 - Z32_LEN - 1;

/// A record below a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Relative to the key; `@` is the key itself.
    name: String,
    kind: Kind,
    value: String,
}

/// The record types of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Cname,
    Txt,
}

/// Parses the values of `--txt` and the words after the flags.
pub(crate) fn parse(txt: &[String], words: &[String]) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for text in txt {
        let (name, value) = text.split_once('=').with_context(|| {
            format!("--txt {text}: write NAME=VALUE, as in _iroh=relay=https://…")
        })?;
        records.push(Record::new(name, Kind::Txt, value)?);
    }
    let (triples, rest) = words.as_chunks();
    if let [first, ..] = rest {
        bail!(
            "a record is three words, NAME TYPE VALUE, and what begins at {first:?} has fewer; \
             values with spaces need quotes"
        );
    }
    for [name, kind, value] in triples {
        let kind = kind.parse().ok().with_context(|| {
            format!("{kind:?} after the name {name:?} is not a type: write A, AAAA, CNAME or TXT")
        })?;
        records.push(Record::new(name, kind, value)?);
    }
    if records.is_empty() {
        bail!("there is no record to publish: add one, such as _iroh TXT relay=https://…");
    }
    Ok(records)
}

impl Record {
    fn new(name: &str, kind: Kind, value: &str) -> anyhow::Result<Self> {
        let name = match name.trim_end_matches('.') {
            "" | "@" => "@".to_owned(),
            name => name.to_ascii_lowercase(),
        };
        let record = Self {
            name,
            kind,
            value: value.to_owned(),
        };
        record.name()?;
        record.data()?;
        Ok(record)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, for the packet builder.
    pub(crate) fn name(&self) -> anyhow::Result<Name<'_>> {
        let name = if self.name == "@" { "." } else { &self.name };
        let has_gap = name != "." && name.split('.').any(str::is_empty);
        if name.len() > NAME_LEN_MAX || has_gap {
            bail!(
                "{:?} is not a name of at most {NAME_LEN_MAX} characters below a key",
                self.name
            );
        }
        Name::new(name).with_context(|| format!("{:?} is not a domain name", self.name))
    }

    /// Its full name below an origin.
    pub(crate) fn name_at(&self, key: &PublicKey, origin: &str) -> String {
        full_name(&self.name, key, origin)
    }

    /// Its data, for the packet builder.
    pub(crate) fn data(&self) -> anyhow::Result<RData<'_>> {
        let value = self.value.as_str();
        let wrong = || {
            format!(
                "{value:?} is not a valid value for {} {}",
                self.name, self.kind
            )
        };
        Ok(match self.kind {
            Kind::A => RData::A(A::from(value.parse::<Ipv4Addr>().with_context(wrong)?)),
            Kind::Aaaa => RData::AAAA(AAAA::from(value.parse::<Ipv6Addr>().with_context(wrong)?)),
            Kind::Cname => RData::CNAME(CNAME(target(value).with_context(wrong)?)),
            Kind::Txt => RData::TXT(TXT::try_from(value).with_context(wrong)?),
        })
    }
}

/// The full name below a key below an origin, without the last dot; `@` is the key itself.
pub(crate) fn full_name(name: &str, key: &PublicKey, origin: &str) -> String {
    let parts = [
        name.trim_matches('.').trim_start_matches('@'),
        &key.to_string(),
        origin.trim_matches('.'),
    ];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(".")
}

fn target(value: &str) -> anyhow::Result<Name<'_>> {
    let name = value.strip_suffix('.').unwrap_or(value);
    if name.is_empty() || name.split('.').any(str::is_empty) {
        bail!("a domain name has no empty label");
    }
    Ok(Name::new(name)?)
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Txt => write!(f, "{} {} {:?}", self.name, self.kind, self.value),
            _ => write!(f, "{} {} {}", self.name, self.kind, self.value),
        }
    }
}
