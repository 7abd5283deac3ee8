//! The offsets of names in RDATA.
//!
//! RDATA of types without a format here is opaque (RFC 3597). RDATA of the types here was once
//! written with compressed names, or lenient programs may still do so. So its names must be
//! uncompressed before it is copied into another message (section 4).

use crate::name;

/// The types that have a special meaning here, by their numbers (RFC 6895, section 3.1).
pub(crate) mod types {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const HINFO: u16 = 13;
    pub(crate) const MX: u16 = 15;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const DNAME: u16 = 39;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const DS: u16 = 43;
    pub(crate) const SVCB: u16 = 64;
    pub(crate) const HTTPS: u16 = 65;
    pub(crate) const IXFR: u16 = 251;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const ANY: u16 = 255;
}

/// The format of a type's RDATA: a prefix, names, a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RdataFormat {
    prefix: PrefixFormat,
    name_count: u8,
    suffix: SuffixFormat,
    /// Whether its names may be compressed in responses. Only those of RFC 1035 may (RFC 3597,
    /// section 4), and of these only the ones that every reader still knows.
    pub(crate) is_compressible: bool,
    /// Whether DNS itself resolves the name next: an alias, a name server, the host of a service.
    pub(crate) names_are_resolved: bool,
    /// Whether the record makes its owner an alias of the name.
    pub(crate) is_alias: bool,
    /// Whether the addresses of the name go into the additional section (RFC 1035, section 3.3;
    /// RFC 2782; RFC 9460, section 4.1).
    pub(crate) needs_addresses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrefixFormat {
    Bytes(u8),
    /// Two numbers and three strings (RFC 3403, section 4.1).
    Naptr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SuffixFormat {
    Bytes(u8),
    Any,
}

impl RdataFormat {
    /// The format of a type; `None` if its RDATA has no names that may be compressed.
    pub(crate) fn of(record_type: u16) -> Option<Self> {
        let (prefix_size, name_count, suffix) = match record_type {
            // NS, MD, MF, CNAME, MB, MG, MR, PTR, NSAP-PTR, DNAME.
            2..=5 | 7..=9 | 12 | 23 | types::DNAME => (0, 1, SuffixFormat::Bytes(0)),
            types::SOA => (0, 2, SuffixFormat::Bytes(20)),
            // MINFO, RP.
            14 | 17 => (0, 2, SuffixFormat::Bytes(0)),
            // MX, AFSDB, RT, KX.
            types::MX | 18 | 21 | 36 => (2, 1, SuffixFormat::Bytes(0)),
            // PX.
            26 => (2, 2, SuffixFormat::Bytes(0)),
            // SIG, NXT.
            24 => (18, 1, SuffixFormat::Any),
            30 => (0, 1, SuffixFormat::Any),
            types::SRV => (6, 1, SuffixFormat::Bytes(0)),
            types::SVCB | types::HTTPS => (2, 1, SuffixFormat::Any),
            // NAPTR.
            35 => (0, 1, SuffixFormat::Bytes(0)),
            _ => return None,
        };
        let prefix = match record_type {
            35 => PrefixFormat::Naptr,
            _ => PrefixFormat::Bytes(prefix_size),
        };
        let hosts = [types::NS, types::MX, types::SRV, types::SVCB, types::HTTPS];
        let needs_addresses = hosts.contains(&record_type);
        Some(Self {
            prefix,
            name_count,
            suffix,
            is_compressible: matches!(
                record_type,
                types::NS | types::CNAME | types::SOA | types::PTR | types::MX
            ),
            names_are_resolved: needs_addresses
                || [types::CNAME, types::DNAME].contains(&record_type),
            is_alias: record_type == types::CNAME,
            needs_addresses,
        })
    }

    pub(crate) fn name_count(&self) -> usize {
        usize::from(self.name_count)
    }

    /// The offset of the first name in RDATA that begins at `start`.
    pub(crate) fn name_at(&self, message: &[u8], start: usize) -> usize {
        match self.prefix {
            PrefixFormat::Bytes(size) => start + usize::from(size),
            PrefixFormat::Naptr => {
                let string_end = |at| at + 1 + usize::from(message.get(at).copied().unwrap_or(0));
                string_end(string_end(string_end(start + 4)))
            }
        }
    }

    /// Checks RDATA from `start` to `end`. Returns its size with uncompressed names, in bytes.
    pub(crate) fn unpacked_size(&self, message: &[u8], start: usize, end: usize) -> Option<usize> {
        let mut at = self.name_at(message, start);
        let mut size = at - start;
        for _ in 0..self.name_count {
            let checked = name::check(message, at)?;
            at = checked.end;
            size += checked.size;
        }
        let suffix_size = end.checked_sub(at)?;
        let is_complete = match self.suffix {
            SuffixFormat::Any => true,
            SuffixFormat::Bytes(size) => usize::from(size) == suffix_size,
        };
        is_complete.then_some(size + suffix_size)
    }

    /// Whether two checked RDATA with one name each are the same, if only the first `prefix_size`
    /// bytes of the names are compared.
    pub(crate) fn is_same_up_to(
        &self,
        message: &[u8],
        a: (usize, usize),
        b: (usize, usize),
        prefix_size: usize,
    ) -> bool {
        let (at_a, at_b) = (self.name_at(message, a.0), self.name_at(message, b.0));
        let ends = [at_a, at_b].map(|at| name::end_in_place(message, at));
        let prefix = |at| {
            let labels = name::SourceLabels::new(message, at).map(|(_, label)| label);
            labels.scan(0, move |size, label| {
                *size += 1 + label.len();
                (*size <= prefix_size).then_some(label)
            })
        };
        message.get(a.0..at_a) == message.get(b.0..at_b)
            && message.get(ends[0]..a.1) == message.get(ends[1]..b.1)
            && (prefix(at_a).zip(prefix(at_b))).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// Whether two checked RDATA are equal. The case of names is ignored.
    pub(crate) fn is_same(&self, message: &[u8], a: (usize, usize), b: (usize, usize)) -> bool {
        let (mut at_a, mut at_b) = (self.name_at(message, a.0), self.name_at(message, b.0));
        if message.get(a.0..at_a) != message.get(b.0..at_b) {
            return false;
        }
        for _ in 0..self.name_count {
            let labels = |at| name::SourceLabels::new(message, at);
            if !labels(at_a).is_same(&labels(at_b)) {
                return false;
            }
            at_a = name::end_in_place(message, at_a);
            at_b = name::end_in_place(message, at_b);
        }
        message.get(at_a..a.1) == message.get(at_b..b.1)
    }
}
