//! The OPT record of a response (RFC 6891).

use crate::{
    cookie::COOKIE_SIZE,
    edns::{UDP_SIZE_MAX, option},
    extended_error::ExtendedError,
    rcode::Rcode,
};

/// The size of an OPT record without options, in bytes.
const FIXED_SIZE: usize = 11;

/// The size of an option before its data: code and length.
const OPTION_FIXED_SIZE: usize = 4;

/// Responses over encrypted transports are padded to multiples of this size, in bytes (RFC 8467,
/// section 4.1), so that an eavesdropper learns little about the question from the size.
const PADDING_BLOCK_SIZE: usize = 468;

const TYPE_OPT: u16 = 41;

/// The OPT record for a client that supports EDNS.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opt<'a> {
    pub(crate) dnssec_ok: bool,
    /// The name of this server (RFC 5001).
    pub(crate) nsid: Option<&'a str>,
    pub(crate) cookie: Option<[u8; COOKIE_SIZE]>,
    /// How long an idle connection stays open, in units of 100 ms (RFC 7828, section 3.1).
    pub(crate) tcp_keepalive: Option<u16>,
    pub(crate) extended_error: Option<ExtendedError>,
    pub(crate) padded: bool,
}

impl Opt<'_> {
    /// The size of the record without padding, in bytes.
    pub(crate) fn size(&self) -> usize {
        let nsid = self.nsid.map_or(0, |nsid| OPTION_FIXED_SIZE + nsid.len());
        let cookie = self.cookie.map_or(0, |_| OPTION_FIXED_SIZE + COOKIE_SIZE);
        let keepalive = self.tcp_keepalive.map_or(0, |_| OPTION_FIXED_SIZE + 2);
        let error = self.extended_error.map_or(0, |_| OPTION_FIXED_SIZE + 2);
        FIXED_SIZE + nsid + cookie + keepalive + error
    }

    /// Writes the record at the end of a message. With the record, the message may have `size_max`
    /// bytes; everything but the padding must fit.
    pub(crate) fn write(&self, rcode: Rcode, size_max: usize, out: &mut Vec<u8>) {
        // The root name, the type, and the UDP size of this server in the class field.
        out.push(0);
        out.extend_from_slice(&TYPE_OPT.to_be_bytes());
        out.extend_from_slice(&UDP_SIZE_MAX.to_be_bytes());
        // The high bits of the response code (section 6.1.3), version 0, flags.
        let dnssec_ok = u8::from(self.dnssec_ok) << 7;
        out.extend_from_slice(&[(rcode as u16 >> 4) as u8, 0, dnssec_ok, 0]);
        let length_at = out.len();
        out.extend_from_slice(&[0; 2]);
        if let Some(nsid) = self.nsid {
            write_option(option::NSID, nsid.as_bytes(), out);
        }
        if let Some(cookie) = &self.cookie {
            write_option(option::COOKIE, cookie, out);
        }
        if let Some(timeout) = self.tcp_keepalive {
            write_option(option::TCP_KEEPALIVE, &timeout.to_be_bytes(), out);
        }
        if let Some(error) = self.extended_error {
            write_option(option::EXTENDED_ERROR, &(error as u16).to_be_bytes(), out);
        }
        if self.padded
            && let Some(size) = padding_size(out.len(), size_max)
        {
            out.extend_from_slice(&option::PADDING.to_be_bytes());
            out.extend_from_slice(&size_bytes(size));
            out.resize(out.len() + size, 0);
        }
        let length = size_bytes(out.len() - length_at - 2);
        out[length_at..][..2].copy_from_slice(&length);
    }
}

/// How many bytes of padding make a message of `unpadded` bytes a multiple of the block size.
/// `None` if the option does not fit.
fn padding_size(unpadded: usize, size_max: usize) -> Option<usize> {
    let least = unpadded + OPTION_FIXED_SIZE;
    let padded = least.next_multiple_of(PADDING_BLOCK_SIZE).min(size_max);
    padded.checked_sub(least)
}

fn write_option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&size_bytes(value.len()));
    out.extend_from_slice(value);
}

/// A size as two bytes: no size in a message needs more.
fn size_bytes(size: usize) -> [u8; 2] {
    u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full<'a>() -> Opt<'a> {
        Opt {
            dnssec_ok: true,
            nsid: Some("fra-1"),
            cookie: Some([7; COOKIE_SIZE]),
            tcp_keepalive: Some(100),
            extended_error: Some(ExtendedError::NotReady),
            padded: true,
        }
    }

    #[test]
    fn the_size_is_known_before_writing() {
        for opt in [
            Opt::default(),
            Opt {
                padded: false,
                ..full()
            },
        ] {
            let mut out = Vec::new();
            opt.write(Rcode::NoError, 1232, &mut out);
            assert_eq!(out.len(), opt.size());
        }
    }

    #[test]
    fn the_opt_record_has_the_high_bits_of_the_response_code() {
        for (rcode, high) in [
            (Rcode::ServFail, 0),
            (Rcode::BadVers, 1),
            (Rcode::BadCookie, 1),
        ] {
            let mut out = Vec::new();
            Opt::default().write(rcode, 1232, &mut out);
            assert_eq!(out, [0, 0, 41, 4, 208, high, 0, 0, 0, 0, 0]);
        }
    }

    /// RFC 8467, section 4.1; RFC 7830, section 3 on the limit of a message.
    #[test]
    fn a_padded_message_is_a_multiple_of_468_bytes_or_fills_the_limit() {
        for before in 12..2000 {
            let mut out = vec![0; before];
            full().write(Rcode::NoError, 65535, &mut out);
            assert_eq!(out.len() % PADDING_BLOCK_SIZE, 0, "{before}");
            assert!(out.len() - before - full().size() < PADDING_BLOCK_SIZE + OPTION_FIXED_SIZE);

            let mut out = vec![0; before];
            let size_max = before + full().size() + before % 9;
            full().write(Rcode::NoError, size_max, &mut out);
            assert!(out.len() <= size_max);
        }
    }
}
