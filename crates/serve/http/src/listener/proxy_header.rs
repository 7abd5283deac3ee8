//! The header of the PROXY protocol, version 2, with which a proxy names its client.
//!
//! The specification is `doc/proxy-protocol.txt` of HAProxy. Version 1, a line of text, is not
//! supported, because all proxies that have it also have version 2.
//!
//! It is parsed here because most of the work is not to read too many bytes and not to accept too
//! long a header, which parser crates leave to their caller. Of these, `ppp` 2.3 would add a second
//! version of thiserror, and `proxy-header` 0.1 reports a complete header with a truncated address
//! as incomplete.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{ConnectionSlot, TooManyConnections};
use crate::IsTrusted;

/// The first bytes of the header (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The size of the signature, of version and command, of family and transport, and of the length of
/// the rest, in bytes.
const FIXED_SIZE: usize = 16;

/// The longest rest that is accepted, in bytes. Addresses take at most 36, and additional data,
/// such as about the TLS session of the client, a few hundred.
const REST_SIZE_MAX: usize = 4096;

/// Families and transports of clients (section 2.2).
const TCP_OVER_IPV4: u8 = 0x11;
const UDP_OVER_IPV4: u8 = 0x12;
const TCP_OVER_IPV6: u8 = 0x21;
const UDP_OVER_IPV6: u8 = 0x22;

/// The client of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxiedClient {
    pub address: SocketAddr,
    /// Whether the client sent a datagram to the proxy, so that its address may be forged.
    pub is_datagram: bool,
}

/// Why the client of a proxy is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("the listener is for proxies, and the peer is not in http.trusted_proxies")]
    Untrusted,
    /// The connection ended or failed.
    #[error("the connection was lost before the client was named")]
    Lost(#[source] io::Error),
    /// The peer speaks another protocol.
    #[error(
        "the proxy does not use version 2 of the PROXY protocol: configure it, for example with \
         `send-proxy-v2` in HAProxy"
    )]
    OtherProtocol,
    /// The header is longer than any valid one.
    #[error("the PROXY protocol header is longer than {REST_SIZE_MAX} bytes")]
    TooLong,
    #[error("the PROXY protocol header, or the address of the client in it, is truncated")]
    CutOff,
    #[error(transparent)]
    TooManyConnections(#[from] TooManyConnections),
}

impl ProxiedClient {
    /// The client of a connection to a listener for proxies, whose stream begins with the header.
    /// Reads not a byte more, and counts the connection for the client. If the proxy connects for
    /// itself, or for a client without an IP address, it is the client (sections 2.2 and 2.2.1).
    pub async fn of_connection(
        stream: &mut (impl AsyncRead + Unpin),
        slot: &ConnectionSlot,
        is_trusted: &IsTrusted,
    ) -> Result<Self, ProxyHeaderError> {
        let peer = slot.address();
        if !is_trusted(peer.ip()) {
            return Err(ProxyHeaderError::Untrusted);
        }
        let Some(client) = read_header(stream).await? else {
            return Ok(Self::connected(peer));
        };
        // An address that may be forged must not take the places of its owner.
        if !client.is_datagram {
            slot.assign(client.address.ip())?;
        }
        Ok(client)
    }

    /// The address of the client of a datagram that `peer` sent to a listener for proxies, and the
    /// message after the header.
    pub fn of_datagram<'d>(
        datagram: &'d [u8],
        peer: IpAddr,
        is_trusted: &IsTrusted,
    ) -> Result<(IpAddr, &'d [u8]), ProxyHeaderError> {
        if !is_trusted(peer) {
            return Err(ProxyHeaderError::Untrusted);
        }
        let (fixed, rest) = datagram
            .split_first_chunk()
            .ok_or(ProxyHeaderError::CutOff)?;
        let header = FixedHeader::parse(fixed)?;
        let rest = rest.split_at_checked(header.rest_size);
        let (rest, message) = rest.ok_or(ProxyHeaderError::CutOff)?;
        let client = header.client(rest)?;
        Ok((client.map_or(peer, |client| client.address.ip()), message))
    }

    fn connected(address: SocketAddr) -> Self {
        Self {
            address,
            is_datagram: false,
        }
    }
}

/// Reads the header and not a byte more.
async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<ProxiedClient>, ProxyHeaderError> {
    let mut fixed = [0; FIXED_SIZE];
    let read = stream.read_exact(&mut fixed).await;
    read.map_err(ProxyHeaderError::Lost)?;
    let header = FixedHeader::parse(&fixed)?;
    let mut rest = vec![0; header.rest_size];
    let read = stream.read_exact(&mut rest).await;
    read.map_err(ProxyHeaderError::Lost)?;
    header.client(&rest)
}

/// The part of the header before the addresses.
struct FixedHeader {
    is_local: bool,
    family: u8,
    rest_size: usize,
}

impl FixedHeader {
    fn parse(fixed: &[u8; FIXED_SIZE]) -> Result<Self, ProxyHeaderError> {
        let [signature @ .., version_and_command, family, high, low] = fixed;
        if *signature != SIGNATURE || !matches!(version_and_command, 0x20 | 0x21) {
            return Err(ProxyHeaderError::OtherProtocol);
        }
        let rest_size = usize::from(u16::from_be_bytes([*high, *low]));
        if rest_size > REST_SIZE_MAX {
            return Err(ProxyHeaderError::TooLong);
        }
        Ok(Self {
            is_local: *version_and_command == 0x20,
            family: *family,
            rest_size,
        })
    }

    /// The client, if the addresses in `rest` name one. Data after the addresses is ignored.
    fn client(&self, rest: &[u8]) -> Result<Option<ProxiedClient>, ProxyHeaderError> {
        let cut_off = ProxyHeaderError::CutOff;
        let address: SocketAddr = match self.family {
            _ if self.is_local => return Ok(None),
            TCP_OVER_IPV4 | UDP_OVER_IPV4 => {
                let &[a, b, c, d, _, _, _, _, high, low, _, _] =
                    rest.first_chunk().ok_or(cut_off)?;
                let port = u16::from_be_bytes([high, low]);
                (Ipv4Addr::new(a, b, c, d), port).into()
            }
            TCP_OVER_IPV6 | UDP_OVER_IPV6 => {
                let addresses: &[u8; 36] = rest.first_chunk().ok_or(cut_off)?;
                let source = addresses.first_chunk::<16>();
                let source = source.ok_or(ProxyHeaderError::CutOff)?;
                let port = u16::from_be_bytes([addresses[32], addresses[33]]);
                let source = IpAddr::V6(Ipv6Addr::from(*source));
                (source.to_canonical(), port).into()
            }
            _ => return Ok(None),
        };
        Ok(Some(ProxiedClient {
            address,
            is_datagram: matches!(self.family, UDP_OVER_IPV4 | UDP_OVER_IPV6),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let size = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version_and_command, family], &size, rest].concat()
    }

    async fn read(bytes: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
        let mut rest = bytes;
        let read = read_header(&mut rest).await;
        if read.is_ok() {
            assert_eq!(rest, b"GET", "only the header is read");
        }
        Ok(read?.map(|client| client.address))
    }

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn split(datagram: &[u8]) -> Result<(IpAddr, &[u8]), ProxyHeaderError> {
        let is_trusted: IsTrusted = std::sync::Arc::new(|peer| peer == PROXY);
        ProxiedClient::of_datagram(datagram, PROXY, &is_trusted)
    }

    #[test]
    fn a_datagram_has_the_same_header() {
        for (command, family, client) in [
            (0x21, UDP_OVER_IPV4, "192.0.2.1"),
            (0x21, TCP_OVER_IPV4, "192.0.2.1"),
            (0x20, UDP_OVER_IPV4, "127.0.0.1"),
        ] {
            let bytes = [header(command, family, &IPV4), b"query".to_vec()].concat();
            let read = split(&bytes).unwrap();
            assert_eq!(read, (client.parse().unwrap(), &b"query"[..]));
            for size in 0..header(command, family, &IPV4).len() {
                let cut = split(&bytes[..size]);
                assert!(matches!(cut, Err(ProxyHeaderError::CutOff)), "{size}");
            }
        }
        let nobody: IsTrusted = std::sync::Arc::new(|_| false);
        let bytes = header(0x21, UDP_OVER_IPV4, &IPV4);
        let untrusted = ProxiedClient::of_datagram(&bytes, PROXY, &nobody);
        assert!(matches!(untrusted, Err(ProxyHeaderError::Untrusted)));
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 80];

    #[tokio::test]
    async fn the_client_of_a_proxy_is_read() {
        let mut ipv6 = [0; 36];
        ipv6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        ipv6[15] = 1;
        ipv6[32..34].copy_from_slice(&[0x12, 0x34]);
        let mut mapped = ipv6;
        mapped[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
        let with_more = [&IPV4[..], &[4, 0, 1, 0]].concat();
        for (command, family, rest, client) in [
            (0x21, 0x11, &IPV4[..], Some("192.0.2.1:4660")),
            (0x21, 0x11, &with_more, Some("192.0.2.1:4660")),
            (0x21, 0x21, &ipv6, Some("[2001:db8::1]:4660")),
            (0x21, 0x21, &mapped, Some("192.0.2.1:4660")),
            (0x20, 0x11, &IPV4, None),
            (0x20, 0x00, &[], None),
            (0x21, 0x00, &[], None),
            (0x21, 0x31, &[0; 216], None),
        ] {
            let bytes = [header(command, family, rest), b"GET".to_vec()].concat();
            let client = client.map(|client| client.parse().unwrap());
            assert_eq!(read(&bytes).await.unwrap(), client, "{family:x}");
        }
    }

    #[tokio::test]
    async fn an_invalid_header_is_rejected() {
        let complete = header(0x21, 0x11, &IPV4);
        for size in 0..complete.len() {
            let cut = read(&complete[..size]).await;
            assert!(matches!(cut, Err(ProxyHeaderError::Lost(_))), "{size}");
        }
        let short = read(&header(0x21, 0x11, &IPV4[1..])).await;
        assert!(matches!(short, Err(ProxyHeaderError::CutOff)));
        let short = read(&header(0x21, 0x21, &[0; 35])).await;
        assert!(matches!(short, Err(ProxyHeaderError::CutOff)));
        let long = read(&header(0x21, 0x11, &[0; REST_SIZE_MAX + 1])).await;
        assert!(matches!(long, Err(ProxyHeaderError::TooLong)));
        for bytes in [
            b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            header(0x11, 0x11, &IPV4),
            header(0x22, 0x11, &IPV4),
        ] {
            let result = read(&bytes).await;
            assert!(matches!(result, Err(ProxyHeaderError::OtherProtocol)));
        }
    }
}
