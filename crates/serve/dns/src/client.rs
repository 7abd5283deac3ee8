//! The client of a query.

use std::net::IpAddr;

use crate::DnsTransport;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsClient {
    /// The address. An IPv4-mapped IPv6 address is stored as IPv4 (RFC 4291, section 2.5.5.2).
    pub address: IpAddr,
    pub transport: DnsTransport,
}

impl DnsClient {
    /// A client at `address`, which may be an IPv4-mapped IPv6 address.
    pub fn new(address: IpAddr, transport: DnsTransport) -> Self {
        Self {
            address: address.to_canonical(),
            transport,
        }
    }
}
