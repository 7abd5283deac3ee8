//! What the operator configures.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::rr::Name;
use quorate_packet::PublicKey;

/// The longest that NXDOMAIN may be cached, in seconds. An endpoint that was asked for before
/// it published stays invisible for this long.
pub const NEGATIVE_TTL_SECS_MAX: u32 = 60;

/// The largest time in a zone, in seconds (RFC 2181, section 8).
const SECS_MAX: u32 = i32::MAX as u32;

/// A name under which the zones of all keys stand, and what stands at that name itself.
///
/// All names are absolute, whether or not they were written with a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name; the root makes keys top-level domains.
    pub name: Name,
    /// The start of authority.
    pub soa: Soa,
    /// The TTL of the start of authority, in seconds.
    pub soa_ttl_secs: u32,
    /// The name servers.
    pub ns: Vec<Name>,
    /// The IPv4 addresses of the name itself.
    pub a: Vec<Ipv4Addr>,
    /// The IPv6 addresses of the name itself.
    pub aaaa: Vec<Ipv6Addr>,
    /// The addresses of those name servers whose names lie inside the origin.
    pub ns_addresses: BTreeMap<Name, Vec<IpAddr>>,
    /// The TTL of name servers and addresses, in seconds.
    pub ttl_secs: u32,
}

/// The start of authority (RFC 1035, section 3.3.13). All times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The primary name server.
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
    /// One name twice.
    #[error("origin {0} is configured twice: merge the two")]
    Duplicate(String),
    /// The address of a server that is not ours to name.
    #[error("name server {server} lies outside origin {origin}: leave its addresses to its zone")]
    ServerOutside {
        /// The server.
        server: String,
        /// The origin.
        origin: String,
    },
    /// The server's name belongs to whoever holds a key.
    #[error("name server {server} lies below a public key in {origin}: give it another name")]
    ServerBelowKey {
        /// The server.
        server: String,
        /// The origin.
        origin: String,
    },
    /// The server's name belongs to another of the origins.
    #[error(
        "name server {server} of origin {origin} belongs to origin {inner}: configure it there"
    )]
    ServerOfOther {
        /// The server.
        server: String,
        /// The origin it is configured at.
        origin: String,
        /// The longest origin it lies in.
        inner: String,
    },
    /// A time that DNS cannot express.
    #[error("{secs} s for {field} of origin {origin} is too long: the most is {SECS_MAX} s")]
    TooLong {
        /// The origin.
        origin: String,
        /// The field.
        field: &'static str,
        /// Its value.
        secs: u32,
    },
}

impl Origin {
    /// The same with absolute names.
    pub(crate) fn absolute(mut self) -> Self {
        let names = [&mut self.name, &mut self.soa.mname, &mut self.soa.rname];
        for name in names.into_iter().chain(&mut self.ns) {
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

    /// What must hold of an origin by itself.
    pub(crate) fn check(&self) -> Result<(), OriginError> {
        self.check_times()?;
        for server in self.ns_addresses.keys() {
            let fields = || (server.to_string(), self.name.to_string());
            if !self.name.zone_of(server) {
                let (server, origin) = fields();
                return Err(OriginError::ServerOutside { server, origin });
            }
            let above = server.iter().rev().nth(self.name.iter().len());
            if above.is_some_and(|label| PublicKey::parse_z32(label).is_ok()) {
                let (server, origin) = fields();
                return Err(OriginError::ServerBelowKey { server, origin });
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), OriginError> {
        let times = [
            ("ttl", self.ttl_secs),
            ("the TTL of the SOA", self.soa_ttl_secs),
            ("refresh", self.soa.refresh_secs),
            ("retry", self.soa.retry_secs),
            ("expire", self.soa.expire_secs),
            ("minimum", self.soa.minimum_secs),
        ];
        match times.into_iter().find(|(_, secs)| *secs > SECS_MAX) {
            None => Ok(()),
            Some((field, secs)) => Err(OriginError::TooLong {
                origin: self.name.to_string(),
                field,
                secs,
            }),
        }
    }
}
