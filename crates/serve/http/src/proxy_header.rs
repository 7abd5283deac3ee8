//! What a proxy says first of the connection that it passes on: the PROXY protocol, version 2.
//!
//! Its source is `doc/proxy-protocol.txt` of HAProxy. Version 1, a line of text, is not read: whatever
//! speaks it speaks version 2 too.
//!
//! It is parsed here, for most of the work is to read no byte too many and no header too long, which
//! parsers leave to their caller. Of those there are, `ppp` 2.3 brings a second version of thiserror
//! into the program, and `proxy-header` 0.1 takes a whole header whose address is cut off for one of
//! which more is to come.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What it begins with (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The size of the signature, of version and command, of family and transport, and of the length of
/// the rest, in bytes.
const FIXED_SIZE: usize = 16;

/// The longest rest that is read, in bytes. Addresses take 36 at the most, and what proxies tell beside
/// them, as of the TLS that they ended, a few hundred.
const REST_SIZE_MAX: usize = 4096;

/// Why a connection does not begin as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyHeaderError {
    /// It ended, or was lost.
    #[error("the connection was lost before the client was named")]
    Lost(#[source] io::Error),
    /// The other end speaks something else.
    #[error("the proxy does not speak version 2 of the PROXY protocol: make it send-proxy-v2")]
    OtherProtocol,
    /// More than is ever needed.
    #[error("the proxy says more of the client than {REST_SIZE_MAX} bytes")]
    TooLong,
    #[error("the address of the client is cut off")]
    CutOff,
}

/// Reads what is said of the client, and not a byte more: its address, or `None` where the proxy
/// speaks for itself or for no client with an address (sections 2.2 and 2.2.1).
pub(crate) async fn read_client(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut fixed = [0; FIXED_SIZE];
    let read = stream.read_exact(&mut fixed).await;
    read.map_err(ProxyHeaderError::Lost)?;
    let [signature @ .., version_and_command, family, high, low] = fixed;
    let rest_size = usize::from(u16::from_be_bytes([high, low]));
    if signature != SIGNATURE || !matches!(version_and_command, 0x20 | 0x21) {
        return Err(ProxyHeaderError::OtherProtocol);
    }
    if rest_size > REST_SIZE_MAX {
        return Err(ProxyHeaderError::TooLong);
    }
    let mut rest = vec![0; rest_size];
    let read = stream.read_exact(&mut rest).await;
    read.map_err(ProxyHeaderError::Lost)?;
    let is_local = version_and_command == 0x20;
    match is_local {
        true => Ok(None),
        false => parse_source(family, &rest),
    }
}

/// The source of a connection over TCP. What follows its addresses is left alone.
fn parse_source(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let cut_off = ProxyHeaderError::CutOff;
    match family {
        0x11 => {
            let &[a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk().ok_or(cut_off)?;
            let port = u16::from_be_bytes([high, low]);
            Ok(Some((Ipv4Addr::new(a, b, c, d), port).into()))
        }
        0x21 => {
            let addresses: &[u8; 36] = rest.first_chunk().ok_or(cut_off)?;
            let source = addresses
                .first_chunk::<16>()
                .ok_or(ProxyHeaderError::CutOff)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            let source = IpAddr::V6(Ipv6Addr::from(*source));
            Ok(Some((source.to_canonical(), port).into()))
        }
        _ => Ok(None),
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
        let read = read_client(&mut rest).await;
        if read.is_ok() {
            assert_eq!(rest, b"GET", "it is read to its end and no further");
        }
        read
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
    async fn what_is_no_header_is_refused() {
        let whole = header(0x21, 0x11, &IPV4);
        for size in 0..whole.len() {
            let cut = read(&whole[..size]).await;
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
            let refused = read(&bytes).await;
            assert!(matches!(refused, Err(ProxyHeaderError::OtherProtocol)));
        }
    }
}
