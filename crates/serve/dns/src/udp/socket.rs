//! Binds the sockets of an address.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, Socket, Type};

/// How many bytes of datagrams may wait to be received: about 5,000 queries, including the system's
/// own overhead for each. So a thread that does not run for 50 ms loses none at 100,000 a second.
/// The system may allow less (net.core.rmem_max).
const RECEIVE_BUFFER_SIZE: usize = 4 * 1024 * 1024;

/// How many bytes of answers may wait to be sent: about 400 of the largest, many batches.
const SEND_BUFFER_SIZE: usize = 1024 * 1024;

/// Binds `count` sockets to `listen`. Fails if another program has the address.
///
/// The first socket binds without SO_REUSEPORT, which proves that no other program has the address.
/// Only then it allows sharing, so no other program can bind the address in between.
pub(crate) fn bind(listen: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    let first = open(listen)?;
    first.bind(&listen.into())?;
    first.set_reuse_port(count > 1)?;
    let first = UdpSocket::from(first);
    let taken = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let socket = open(taken)?;
        socket.set_reuse_port(true)?;
        socket.bind(&taken.into())?;
        sockets.push(socket.into());
    }
    Ok(sockets)
}

fn open(listen: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if listen.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Responses fit the smallest usual MTU, so the path MTU is not needed. Without it, a forged ICMP
    // message "too big" cannot make the system fragment them (RFC 9715, section 3.1). For the
    // sockets of QUIC, quinn sets another mode.
    match listen {
        SocketAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::OMIT)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::OMIT)?,
    }
    // A socket that is bound to one address sends from that anyway.
    if listen.ip().is_unspecified() {
        match listen {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER_SIZE)?;
    socket.set_send_buffer_size(SEND_BUFFER_SIZE)?;
    Ok(socket)
}
