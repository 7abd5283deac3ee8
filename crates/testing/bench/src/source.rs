//! Which addresses of ours requests come from.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address of nobody (RFC 5737): the way to it tells which of ours is no loopback one.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 53);

/// An address of this machine that is no loopback one. Nothing is sent to find it.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR_AWAY).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
