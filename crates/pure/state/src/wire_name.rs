//! Domain names in wire format.

use std::fmt;

use bytes::Bytes;
use quorate_packet::label_text;

/// The most bytes of a name (RFC 1035, section 2.3.4).
pub const WIRE_NAME_SIZE_MAX: usize = 255;

/// The most bytes of a label (RFC 1035, section 2.3.4).
const LABEL_SIZE_MAX: u8 = 63;

/// An absolute domain name in wire format (RFC 1035, section 3.1): lower case, without compression.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireName(Bytes);

impl WireName {
    pub fn root() -> Self {
        Self(Bytes::from_static(&[0]))
    }

    /// Parses a name from all of `bytes`. `None` if it is invalid, or has a pointer or upper case.
    pub fn parse(bytes: Bytes) -> Option<Self> {
        if bytes.len() > WIRE_NAME_SIZE_MAX {
            return None;
        }
        let mut rest = &bytes[..];
        while let (&size, after) = rest.split_first()?
            && size != 0
        {
            let (label, after) = after.split_at_checked(size.into())?;
            if size > LABEL_SIZE_MAX || label.iter().any(u8::is_ascii_uppercase) {
                return None;
            }
            rest = after;
        }
        (rest.len() == 1).then_some(Self(bytes))
    }

    /// The bytes, with the root label at the end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels from the left, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&size, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(size.into())?;
            rest = after;
            (size > 0).then_some(label)
        })
    }

    /// The parent name; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let size = usize::from(*self.0.first()?);
        (size > 0).then(|| Self(self.0.slice(size + 1..)))
    }

    /// The labels before `zone`, from the left, if this is `zone` or a name below it.
    pub fn labels_in(&self, zone: &Self) -> Option<impl Iterator<Item = &[u8]>> {
        let above = self.labels().count().checked_sub(zone.labels().count())?;
        let ends_so = self.labels().skip(above).eq(zone.labels());
        ends_so.then(|| self.labels().take(above))
    }
}

/// Presentation format with the last dot (RFC 1035, section 5.1).
impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in self.labels() {
            write!(f, "{}.", label_text(label))?;
        }
        match self.0.len() {
            1 => f.write_str("."),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &'static [u8]) -> Option<WireName> {
        WireName::parse(Bytes::from_static(bytes))
    }

    #[test]
    fn only_whole_names_in_lower_case_are_names() {
        assert_eq!(parse(b"\x03www\x01b\0").unwrap().to_string(), "www.b.");
        assert_eq!(parse(b"\0"), Some(WireName::root()));
        assert_eq!(WireName::root().to_string(), ".");
        assert_eq!(parse(b"\x03a.\0\0").unwrap().to_string(), "a\\.\\000.");
        for none in [
            &b""[..],
            b"\x03www",
            b"\x03ww\0",
            b"\x03www\0x",
            b"\x03wWw\0",
            b"\xc0\x0c",
            b"\x01a\xc0\x0c",
            b"\x40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0",
        ] {
            assert_eq!(parse(none), None, "{none:?}");
        }
        let labels = |count: usize| Bytes::from([b"\x01a".repeat(count), vec![0]].concat());
        assert!(WireName::parse(labels(127)).is_some(), "255 bytes");
        assert!(WireName::parse(labels(128)).is_none(), "257 bytes");
    }

    #[test]
    fn a_name_is_in_a_zone_by_whole_labels() {
        let zone = parse(b"\x01b\x01c\0").unwrap();
        let in_zone = |name| {
            let name: WireName = parse(name).unwrap();
            name.labels_in(&zone)
                .map(|labels| labels.map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        assert_eq!(in_zone(b"\x01b\x01c\0"), Some(vec![]));
        assert_eq!(
            in_zone(b"\x01x\x01a\x01b\x01c\0"),
            Some(vec![b"x".to_vec(), b"a".to_vec()])
        );
        assert_eq!(in_zone(b"\x02ab\x01c\0"), None);
        assert_eq!(in_zone(b"\x01c\0"), None);
        assert_eq!(zone.parent(), parse(b"\x01c\0"));
        assert_eq!(WireName::root().parent(), None);
    }
}
