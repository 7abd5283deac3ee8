//! The OPT record of a query (RFC 6891).

/// The option codes that this server supports.
pub(crate) mod option {
    /// RFC 5001.
    pub(crate) const NSID: u16 = 3;
    /// RFC 7873.
    pub(crate) const COOKIE: u16 = 10;
    /// RFC 7828.
    pub(crate) const TCP_KEEPALIVE: u16 = 11;
    /// RFC 7830.
    pub(crate) const PADDING: u16 = 12;
    /// RFC 8914.
    pub(crate) const EXTENDED_ERROR: u16 = 15;
}

/// The largest datagram that the server sends, and announces to accept, in bytes: it passes every
/// network without fragmentation (RFC 9715, section 3.2).
pub const UDP_SIZE_MAX: u16 = 1232;

/// The size of a client cookie, in bytes (RFC 7873, section 4).
pub(crate) const CLIENT_COOKIE_SIZE: usize = 8;

/// The size of a record's fields between its name and its data: type, class, TTL and length.
pub(crate) const RECORD_FIXED_SIZE: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns<'m> {
    /// The largest datagram that the client accepts, in bytes.
    pub(crate) udp_size: u16,
    pub(crate) version: u8,
    /// The DO bit, which the response repeats (RFC 3225, section 3).
    pub(crate) dnssec_ok: bool,
    /// The options; the default if they are malformed.
    pub(crate) options: Options<'m>,
}

/// The options of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options<'m> {
    /// The client cookie, and the server cookie after it, which may be empty.
    pub(crate) cookie: Option<(&'m [u8; CLIENT_COOKIE_SIZE], &'m [u8])>,
    pub(crate) nsid: bool,
    pub(crate) tcp_keepalive: bool,
    pub(crate) padding: bool,
}

impl<'m> Edns<'m> {
    /// Reads the fixed part of an OPT record, without options.
    pub(crate) fn new(fixed: &[u8; RECORD_FIXED_SIZE]) -> Self {
        Self {
            udp_size: u16::from_be_bytes([fixed[2], fixed[3]]),
            version: fixed[5],
            dnssec_ok: fixed[6] & 0x80 != 0,
            options: Options::default(),
        }
    }
}

impl<'m> Options<'m> {
    /// Parses options: code, length and data of each (RFC 6891, section 6.1.2). Unsupported ones
    /// are skipped. `None` if one is incomplete, or a cookie has a wrong size (section
    /// 5.2.2 of RFC 7873).
    pub(crate) fn parse(mut data: &'m [u8]) -> Option<Self> {
        let mut options = Self::default();
        while !data.is_empty() {
            let (&[code_high, code_low, size_high, size_low], rest) = data.split_first_chunk()?;
            let size = usize::from(u16::from_be_bytes([size_high, size_low]));
            let value;
            (value, data) = rest.split_at_checked(size)?;
            match u16::from_be_bytes([code_high, code_low]) {
                // RFC 7873, section 5: only the first cookie counts.
                option::COOKIE if options.cookie.is_none() => {
                    options.cookie = Some(parse_cookie(value)?);
                }
                option::NSID => options.nsid = true,
                option::TCP_KEEPALIVE => options.tcp_keepalive = true,
                option::PADDING => options.padding = true,
                _ => {}
            }
        }
        Some(options)
    }
}

/// Parses a client cookie alone, or with a server cookie of 8 to 32 bytes (RFC 7873, section 4).
fn parse_cookie(value: &[u8]) -> Option<(&[u8; CLIENT_COOKIE_SIZE], &[u8])> {
    let (client, server) = value.split_first_chunk()?;
    matches!(server.len(), 0 | 8..=32).then_some((client, server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: u16, value: &[u8]) -> Vec<u8> {
        let size = value.len() as u16;
        [&code.to_be_bytes()[..], &size.to_be_bytes(), value].concat()
    }

    #[test]
    fn unsupported_options_are_skipped() {
        let bytes = [
            written(8, &[0, 1, 24, 0, 192, 0, 2]),
            written(option::NSID, b""),
            written(65001, b"anything"),
            written(option::PADDING, &[0; 20]),
        ]
        .concat();
        let expected = Options {
            nsid: true,
            padding: true,
            ..Options::default()
        };
        assert_eq!(Options::parse(&bytes), Some(expected));
        assert_eq!(Options::parse(b""), Some(Options::default()));
    }

    #[test]
    fn incomplete_options_are_malformed() {
        let bytes = written(option::PADDING, &[0; 4]);
        for size in 1..bytes.len() {
            assert_eq!(Options::parse(&bytes[..size]), None, "{size}");
        }
    }

    /// RFC 7873, sections 4 and 5.2.2.
    #[test]
    fn a_cookie_has_8_or_16_to_40_bytes() {
        for size in 0..60 {
            let bytes = written(option::COOKIE, &vec![7; size]);
            let well_formed = matches!(size, 8 | 16..=40);
            assert_eq!(Options::parse(&bytes).is_some(), well_formed, "{size}");
        }
    }

    #[test]
    fn only_the_first_of_several_cookies_counts() {
        let bytes = [
            written(option::COOKIE, &[1; 8]),
            written(option::COOKIE, &[2; 24]),
            written(option::COOKIE, &[3; 3]),
        ]
        .concat();
        let options = Options::parse(&bytes).unwrap();
        assert_eq!(options.cookie, Some((&[1; 8], &[][..])));
    }
}
