//! Which addresses of ours requests come from.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address for documentation (RFC 5737): the route to it has our non-loopback address.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 53);

/// An address of this machine other than loopback. Nothing is sent to find it.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR_AWAY).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
