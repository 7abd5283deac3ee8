//! What the operator configures.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::rr::{Name, RData, Record, rdata};

/// The longest that NXDOMAIN may be cached, in seconds. An endpoint that was asked for before
/// it published stays invisible for this long.
pub const NEGATIVE_TTL_SECS_MAX: u32 = 60;

/// The largest TTL, and the largest of any other time in a zone, in seconds (RFC 2181, section 8).
pub const TTL_SECS_MAX: u32 = i32::MAX as u32;

/// A name under which the zones of all keys stand, and what stands at that name itself.
///
/// All names are absolute, whether or not they were written with a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name; the root makes keys top-level domains.
    pub name: Name,
    pub soa: Soa,
    /// The TTL of the start of authority, in seconds.
    pub soa_ttl_secs: u32,
    pub ns: Vec<Name>,
    /// The IPv4 addresses of the name itself.
    pub a: Vec<Ipv4Addr>,
    /// The IPv6 addresses of the name itself.
    pub aaaa: Vec<Ipv6Addr>,
    /// The addresses of those name servers whose names lie inside the origin.
    pub ns_addresses: BTreeMap<Name, Vec<IpAddr>>,
    /// The TTL of name servers and addresses, in seconds.
    pub ttl_secs: u32,
    /// More records, at the name itself and below it, but not at or below a key. Beside those of
    /// ordinary names they may be aliases, wildcards, cuts and DNAMEs.
    pub records: Vec<Record>,
    /// The least TTL that records of packets are served with, in seconds.
    pub ttl_secs_min: u32,
    /// The largest TTL that records of packets are served with, in seconds.
    pub ttl_secs_max: u32,
}

/// The start of authority (RFC 1035, section 3.3.13). All times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    pub mname: Name,
    /// The mailbox of whom to ask, as a name.
    pub rname: Name,
    /// The version of the zone.
    pub serial: u32,
    /// How often a secondary asks for a new version.
    pub refresh_secs: u32,
    /// How soon it asks again after a failure.
    pub retry_secs: u32,
    /// How long it answers without having heard from the primary.
    pub expire_secs: u32,
    /// How long a negative answer may be cached (RFC 2308, section 4), but never longer than
    /// [`NEGATIVE_TTL_SECS_MAX`].
    pub minimum_secs: u32,
}

/// Why origins cannot be served. Names are absolute, in presentation form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("origin {0} is configured twice: merge the two")]
    Duplicate(String),
    /// The address of a server that is not ours to name.
    #[error("name server {server} lies outside origin {origin}: leave its addresses to its zone")]
    ServerOutside { server: String, origin: String },
    /// The server's name belongs to whoever holds a key.
    #[error("name server {server} lies below a public key in {origin}: give it another name")]
    ServerBelowKey { server: String, origin: String },
    /// The server's name belongs to another of the origins.
    #[error(
        "name server {server} of origin {origin} belongs to origin {inner}: configure it there"
    )]
    ServerOfOther {
        server: String,
        /// The origin it is configured at.
        origin: String,
        /// The longest origin it lies in.
        inner: String,
    },
    /// A time that DNS cannot express.
    #[error("{secs} s for {field} of origin {origin} is too long: the most is {TTL_SECS_MAX} s")]
    TooLong {
        origin: String,
        field: &'static str,
        secs: u32,
    },
    /// No TTL is in the range.
    #[error("the least TTL of origin {origin}, {min} s, is more than the largest, {max} s")]
    TtlRange { origin: String, min: u32, max: u32 },
    /// A record that is not ours to serve.
    #[error("the record at {owner} lies outside origin {origin}: leave it to its zone")]
    RecordOutside { owner: String, origin: String },
    /// A record that belongs to whoever holds a key.
    #[error(
        "the record at {owner} lies at or below a public key in {origin}: give it another name"
    )]
    RecordBelowKey { owner: String, origin: String },
    /// A record that belongs to another of the origins.
    #[error(
        "the record at {owner} of origin {origin} belongs to origin {inner}: configure it there"
    )]
    RecordOfOther {
        owner: String,
        /// The origin it is configured at.
        origin: String,
        /// The longest origin it lies in.
        inner: String,
    },
    /// A record of a type or class that nobody can be given.
    #[error("the record at {owner} of origin {origin} is of {what}, which cannot be served here")]
    RecordKind {
        owner: String,
        origin: String,
        /// Its type, or its class if that is another than IN.
        what: String,
    },
    /// An alias is all there is at its name (RFC 2181, section 10.1).
    #[error("{owner} of origin {origin} has a CNAME beside {other}: a CNAME stands alone")]
    AliasBeside {
        owner: String,
        origin: String,
        /// The type of the other record; CNAME for a second one.
        other: String,
    },
    /// Two DNAMEs at one name (RFC 6672, section 2.4).
    #[error("{owner} of origin {origin} has two DNAMEs: a name has one at most")]
    DnameTwice { owner: String, origin: String },
    /// A record that a DNAME hides (RFC 6672, section 2.4).
    #[error(
        "the record at {owner} of origin {origin} lies below the DNAME at {dname}, which hides it"
    )]
    BelowDname {
        owner: String,
        origin: String,
        /// The name of the DNAME.
        dname: String,
    },
    /// A record that has no form on the wire.
    #[error(
        "the {record_type} record at {owner} of origin {origin} cannot be encoded: check its data"
    )]
    Unencodable {
        owner: String,
        record_type: String,
        origin: String,
    },
    /// More records than can be addressed.
    #[error("origin {origin} has too many records: split it")]
    TooLarge { origin: String },
}

impl Origin {
    /// The same with absolute names.
    pub(crate) fn absolute(mut self) -> Self {
        let names = [&mut self.name, &mut self.soa.mname, &mut self.soa.rname];
        let owners = self.records.iter_mut().map(|record| &mut record.name);
        for name in names.into_iter().chain(&mut self.ns).chain(owners) {
            name.set_fqdn(true);
        }
        let mut addresses: BTreeMap<Name, Vec<IpAddr>> = BTreeMap::new();
        for (mut server, of_server) in self.ns_addresses {
            server.set_fqdn(true);
            addresses.entry(server).or_default().extend(of_server);
        }
        self.ns_addresses = addresses;
        self
    }

    /// All records that configuration puts into the zone: those of the fields too.
    pub(crate) fn all_records(&self) -> Vec<Record> {
        let at = |name: &Name, data| Record::from_rdata(name.clone(), self.ttl_secs, data);
        let mut records = vec![self.soa_record()];
        let ns = self.ns.iter().cloned().map(rdata::NS);
        records.extend(ns.map(|ns| at(&self.name, RData::NS(ns))));
        records.extend(self.a.iter().map(|a| at(&self.name, RData::A((*a).into()))));
        let aaaa = self.aaaa.iter().map(|a| RData::AAAA((*a).into()));
        records.extend(aaaa.map(|data| at(&self.name, data)));
        for (server, addresses) in &self.ns_addresses {
            records.extend(addresses.iter().map(|ip| at(server, (*ip).into())));
        }
        records.extend(self.records.iter().cloned());
        records
    }

    fn soa_record(&self) -> Record {
        let soa = &self.soa;
        let signed = |secs| i32::try_from(secs).unwrap_or(i32::MAX);
        let data = rdata::SOA::new(
            soa.mname.clone(),
            soa.rname.clone(),
            soa.serial,
            signed(soa.refresh_secs),
            signed(soa.retry_secs),
            signed(soa.expire_secs),
            soa.minimum_secs,
        );
        Record::from_rdata(self.name.clone(), self.soa_ttl_secs, RData::SOA(data))
    }
}
