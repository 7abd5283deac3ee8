//! The sockets of an address.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// How many bytes of datagrams may wait to be received: some 5,000 queries, each of which the system
/// counts with its bookkeeping. A thread that is away for 50 ms then loses none at 100,000 a second.
/// The system may allow less (net.core.rmem_max).
const RECEIVE_BUFFER_SIZE: usize = 4 * 1024 * 1024;

/// How many bytes of answers may wait to be sent: some 400 of the largest, many batches.
const SEND_BUFFER_SIZE: usize = 1024 * 1024;

/// Takes `listen` with `count` sockets.
///
/// The first takes it for itself, which shows that nobody else has it, and only then lets the others
/// share: there is no moment in which a stranger could have come between.
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
    // Where it is bound to one address, answers leave from that anyway.
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
