//! Who asks.

use std::net::IpAddr;

use crate::DnsTransport;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsClient {
    /// The address; that of an IPv4 client is an IPv4 address (RFC 4291, section 2.5.5.2).
    pub address: IpAddr,
    pub transport: DnsTransport,
}

impl DnsClient {
    /// A client at `address`, whichever way it is written.
    pub fn new(address: IpAddr, transport: DnsTransport) -> Self {
        Self {
            address: address.to_canonical(),
            transport,
        }
    }
}
