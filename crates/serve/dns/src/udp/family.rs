//! The types that differ between IPv4 and IPv6.

use std::net::IpAddr;

use nix::{
    cmsg_space,
    libc::{in_addr, in_pktinfo, in6_pktinfo},
    sys::socket::{ControlMessage, ControlMessageOwned, SockaddrIn, SockaddrIn6, SockaddrLike},
};

/// An address family, as the system calls use it.
pub(super) trait AddressFamily: 'static {
    /// The address that a datagram comes from.
    type Client: SockaddrLike + Copy + Send + Sync;
    /// The address that the query was sent to. The response must come from it (RFC 2181,
    /// section 4.1).
    type Source: Copy + PartialEq + Send + Sync;

    fn ip(client: &Self::Client) -> IpAddr;

    /// The address that the query was sent to, if `message` contains it.
    fn source(message: ControlMessageOwned) -> Option<Self::Source>;

    /// The control message that sends an answer from `source`.
    fn control(source: &Self::Source) -> ControlMessage<'_>;

    /// A buffer for the control message that [`source`](Self::source) reads.
    fn control_buffer() -> Vec<u8>;
}

/// IPv4.
pub(super) enum V4 {}

impl AddressFamily for V4 {
    type Client = SockaddrIn;
    type Source = in_pktinfo;

    fn ip(client: &SockaddrIn) -> IpAddr {
        client.ip().into()
    }

    fn source(message: ControlMessageOwned) -> Option<in_pktinfo> {
        match message {
            // The routes choose the interface of an answer, so its index stays 0.
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: info.ipi_spec_dst,
                ipi_addr: in_addr { s_addr: 0 },
            }),
            _ => None,
        }
    }

    fn control(source: &in_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(source)
    }

    fn control_buffer() -> Vec<u8> {
        cmsg_space!(in_pktinfo)
    }
}

/// IPv6.
pub(super) enum V6 {}

/// The first byte, and the first two bits of the second byte, of a link-local address (RFC 4291,
/// section 2.5.6). Such an address is unique only on its link.
const LINK_LOCAL: [u8; 2] = [0xfe, 0x80];

impl AddressFamily for V6 {
    type Client = SockaddrIn6;
    type Source = in6_pktinfo;

    fn ip(client: &SockaddrIn6) -> IpAddr {
        client.ip().into()
    }

    fn source(message: ControlMessageOwned) -> Option<in6_pktinfo> {
        let ControlMessageOwned::Ipv6PacketInfo(info) = message else {
            return None;
        };
        let [first, second, ..] = info.ipi6_addr.s6_addr;
        let is_link_local = [first, second & 0xc0] == LINK_LOCAL;
        Some(in6_pktinfo {
            ipi6_ifindex: if is_link_local { info.ipi6_ifindex } else { 0 },
            ..info
        })
    }

    fn control(source: &in6_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv6PacketInfo(source)
    }

    fn control_buffer() -> Vec<u8> {
        cmsg_space!(in6_pktinfo)
    }
}
