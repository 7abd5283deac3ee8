//! Parses the addresses in `X-Forwarded-For` and `Forwarded`.

use std::net::{IpAddr, Ipv6Addr};

/// The hops of one `Forwarded` field (RFC 7239, section 4), in their order: the address of each
/// `for`, or `None` if it is hidden or missing.
///
/// If anything in the field is malformed, the result is one hop without an address. A client that
/// leaves a quote open can make what a proxy appends part of its own string, so nothing in such a
/// field certainly comes from the proxy.
pub(crate) fn forwarded_hops(field: &str) -> Vec<Option<IpAddr>> {
    let hops = || {
        let elements = split(field, ',')?.into_iter();
        // A list may have empty elements (RFC 9110, section 5.6.1.2).
        let elements = elements.filter(|element| !element.trim().is_empty());
        elements.map(parse_element).collect::<Option<_>>()
    };
    hops().unwrap_or_else(|| vec![None])
}

/// The address of an element's `for`, if it has one. `None` if the element is malformed.
fn parse_element(element: &str) -> Option<Option<IpAddr>> {
    let mut node = None;
    for pair in split(element, ';')? {
        let pair = pair.trim();
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let value = parse_value(value)?;
        if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
            // Each parameter must not occur more than once in an element.
            return None;
        }
    }
    Some(node.as_deref().and_then(parse_node))
}

/// A token or a quoted string (RFC 9110, section 5.6.4). A token cannot have colons and brackets,
/// but many programs forget the quotes, and the meaning is clear.
fn parse_value(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        let is_plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        return (!value.is_empty() && value.chars().all(is_plain)).then(|| value.to_owned());
    };
    let mut unquoted = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => unquoted.push(chars.next()?),
            c => unquoted.push(c),
        }
    }
    chars.next().is_none().then_some(unquoted)
}

/// The parts between separators outside of quoted strings; `None` if a string does not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut begin, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!quoted).then_some(parts)
}

/// The address of a node (RFC 7239, section 6): an address, or an IPv6 address in brackets, with or
/// without a port. `None` for `unknown`, and for names that begin with `_` and hide an address.
pub(crate) fn parse_node(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let address = if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        IpAddr::V6(address.parse::<Ipv6Addr>().ok().filter(|_| is_port)?)
    } else if let Ok(address) = node.parse() {
        address
    } else {
        let (address, port) = node.split_once(':')?;
        IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

/// Whether this is a port number, or a name that hides one.
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !name.is_empty() && name.chars().all(is_allowed)
        }
        None => port.parse::<u16>().is_ok() && !port.starts_with('+'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(field: &str) -> Vec<String> {
        let hops = forwarded_hops(field).into_iter();
        hops.map(|hop| hop.map_or("-".to_owned(), |address| address.to_string()))
            .collect()
    }

    /// The examples of RFC 7239, sections 4, 6.3 and 7.1, and what programs write.
    #[test]
    fn hops_are_read_as_the_rfc_shows_them() {
        for (field, expected) in [
            (r#"for="_gazonk""#, &["-"][..]),
            (r#"For="[2001:db8:cafe::17]:4711""#, &["2001:db8:cafe::17"]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", &["192.0.2.60"]),
            (
                "for=192.0.2.43, for=198.51.100.17",
                &["192.0.2.43", "198.51.100.17"],
            ),
            ("for=_hidden, for=_SEVKISEK", &["-", "-"]),
            (
                r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown"#,
                &["192.0.2.43", "2001:db8:cafe::17", "-"],
            ),
            (r#"for="192.0.2.43:47011""#, &["192.0.2.43"]),
            (r#"for="[2001:db8::1]:_gw-1.a""#, &["2001:db8::1"]),
            (r#"for="192.0.2.43:_x""#, &["192.0.2.43"]),
            (r#"for="\1\92.0.2.43""#, &["192.0.2.43"]),
            (r#"by="a,b;for=1.2.3.4";for=192.0.2.43"#, &["192.0.2.43"]),
            ("for=192.0.2.43:80", &["192.0.2.43"]),
            ("for=[2001:db8::1]", &["2001:db8::1"]),
            (r#"for="::ffff:192.0.2.43""#, &["192.0.2.43"]),
            ("proto=https;by=203.0.113.43", &["-"]),
            (" ,for=192.0.2.43 ; proto=https,, ", &["192.0.2.43"]),
            ("", &[]),
        ] {
            assert_eq!(hops(field), expected, "{field}");
        }
    }

    #[test]
    fn a_malformed_field_is_ignored_completely() {
        for field in [
            r#"for="192.0.2.1"#,
            r#"for="192.0.2.1\""#,
            r#"for=192.0.2.1", for=192.0.2.2"#,
            r#"for="192.0.2.1"x, for=192.0.2.2"#,
            "for, for=192.0.2.2",
            "for=, for=192.0.2.2",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1 192.0.2.2",
            r"for=192.0.2.1\, for=192.0.2.2",
        ] {
            assert_eq!(hops(field), ["-"], "{field}");
        }
    }

    /// A client sends a field, and its proxy appends the true address.
    #[test]
    fn no_open_quote_of_a_client_hides_what_the_proxy_appends() {
        let truths = [
            "for=198.51.100.1",
            r#"for="[2001:db8::1]""#,
            r#"for="[2001:db8::1]:80";proto="https""#,
        ];
        let pieces = ["for=", "1.2.3.4", "\"", "\\", ",", ";", "x", "[", "]", " "];
        for truth in truths {
            let expected = hops(truth);
            for choice in 0..10_usize.pow(5) {
                let digits = (0..5).map(|place| choice / 10_usize.pow(place) % 10);
                let claim: String = digits.map(|digit| pieces[digit]).collect();
                let field = format!("{claim}, {truth}");
                let last = hops(&field).pop();
                let last = last.as_slice();
                assert!(last == ["-"] || last == expected, "{field}: {last:?}");
            }
        }
    }

    #[test]
    fn nodes_have_an_address_or_none() {
        for node in [
            "",
            "unknown",
            "_hidden",
            "[::1",
            "1.2.3",
            "1.2.3.4:99999",
            "1.2.3.4:",
            "[::1]x",
            "[1.2.3.4]",
            "1.2.3.4:+1",
            "1.2.3.4:_",
        ] {
            assert_eq!(parse_node(node), None, "{node}");
        }
    }
}
