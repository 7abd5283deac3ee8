//! Builds the queries of scripts.

use crate::presentation::{class, hex, name, type_number};

/// The ID of every query.
const ID: [u8; 2] = [0xc0, 0xde];

/// The largest datagram for clients without EDNS, and the largest that a server should send, in
/// bytes (RFC 1035, section 2.3.4; RFC 9715, section 3.2).
const UDP_SIZES: (u16, u16) = (512, 1232);

/// The UDP size in EDNS if a script does not set it, in bytes.
const EDNS_SIZE_DEFAULT: u16 = 1232;

#[derive(Debug, Clone)]
pub struct Query {
    /// The text of the script, with its variables replaced.
    pub text: String,
    pub message: Vec<u8>,
    /// The name in the question, in wire form.
    pub(crate) name: Option<Vec<u8>>,
    /// The question, which a response repeats. `None` if the script has bytes.
    pub(crate) question: Option<Vec<u8>>,
    /// How many OPT records there are. `None` if the script has bytes.
    pub(crate) opt_count: Option<usize>,
    /// The largest size of a response over UDP, in bytes.
    pub(crate) udp_size_max: usize,
}

/// The words after the question.
#[derive(Debug)]
struct QueryOptions {
    /// The third and fourth byte.
    flags: [u8; 2],
    question_count: u16,
    opt_count: u16,
    udp_size: u16,
    version: u8,
    dnssec_ok: bool,
    options: Vec<u8>,
}

impl Query {
    /// Parses `NAME TYPE [CLASS] …`.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let [qname, record_type, rest @ ..] = words else {
            return Err("a question has a name and a type".to_owned());
        };
        let qclass = rest.first().and_then(|word| class(word));
        let rest = &rest[usize::from(qclass.is_some())..];
        let qname = name(qname, None)?;
        let record_type = type_number(record_type)?.to_be_bytes();
        let qclass = qclass.unwrap_or(1).to_be_bytes();
        let question = [&qname[..], &record_type, &qclass].concat();
        let query = QueryOptions::parse(rest)?;
        let udp_size = match query.opt_count {
            0 => UDP_SIZES.0,
            _ => query.udp_size.clamp(UDP_SIZES.0, UDP_SIZES.1),
        };
        Ok(Self {
            text: words.join(" "),
            message: query.message(&question),
            name: Some(qname),
            question: Some(question),
            opt_count: Some(query.opt_count.into()),
            udp_size_max: udp_size.into(),
        })
    }

    /// Parses hexadecimal digits, and names as `name:NAME`.
    pub(crate) fn parse_bytes(words: &[String]) -> Result<Self, String> {
        let mut message = Vec::new();
        for word in words {
            message.extend(match word.strip_prefix("name:") {
                Some(word) => name(word, None)?,
                None => hex(word)?,
            });
        }
        Ok(Self {
            text: words.join(" "),
            message,
            name: None,
            question: None,
            opt_count: None,
            udp_size_max: UDP_SIZES.1.into(),
        })
    }
}

impl QueryOptions {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut query = Self {
            flags: [0; 2],
            question_count: 1,
            opt_count: 0,
            udp_size: EDNS_SIZE_DEFAULT,
            version: 0,
            dnssec_ok: false,
            options: Vec::new(),
        };
        let mut opt_count = None;
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || {
                let number = value.parse::<u16>();
                number.map_err(|error| format!("{word:?}: {error}"))
            };
            let byte = || u8::try_from(number()?).map_err(|error| format!("{word:?}: {error}"));
            // All words but these belong to EDNS.
            let of_edns = match (key, value) {
                ("rd", "") => bit(&mut query.flags[0], 0x01),
                ("tc", "") => bit(&mut query.flags[0], 0x02),
                ("aa", "") => bit(&mut query.flags[0], 0x04),
                ("cd", "") => bit(&mut query.flags[1], 0x10),
                ("ad", "") => bit(&mut query.flags[1], 0x20),
                ("z", "") => bit(&mut query.flags[1], 0x40),
                ("ra", "") => bit(&mut query.flags[1], 0x80),
                ("opcode", _) => bit(&mut query.flags[0], byte()? << 3),
                ("qdcount", _) => {
                    query.question_count = number()?;
                    false
                }
                _ => true,
            };
            if !of_edns {
                continue;
            }
            query.opt_count = 1;
            match (key, value) {
                ("edns", "") => {}
                ("edns", _) => query.udp_size = number()?,
                ("do", "") => query.dnssec_ok = true,
                ("version", _) => query.version = byte()?,
                ("opts", _) => opt_count = Some(number()?),
                ("option", _) => {
                    let (code, digits) = value.split_once(':').unwrap_or((value, ""));
                    query.push_option(code, &hex(digits)?)?;
                }
                _ => return Err(format!("{word:?} is not an option of a query")),
            }
        }
        query.opt_count = opt_count.unwrap_or(query.opt_count);
        Ok(query)
    }

    fn push_option(&mut self, code: &str, data: &[u8]) -> Result<(), String> {
        let code: u16 = code
            .parse()
            .map_err(|_| format!("{code:?} is not an option code"))?;
        let size = u16::try_from(data.len()).map_err(|error| error.to_string())?;
        self.options.extend_from_slice(&code.to_be_bytes());
        self.options.extend_from_slice(&size.to_be_bytes());
        self.options.extend_from_slice(data);
        Ok(())
    }

    fn message(&self, question: &[u8]) -> Vec<u8> {
        let mut message = [ID, self.flags].concat();
        for count in [self.question_count, 0, 0, self.opt_count] {
            message.extend_from_slice(&count.to_be_bytes());
        }
        for _ in 0..self.question_count {
            message.extend_from_slice(question);
        }
        for _ in 0..self.opt_count {
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&self.udp_size.to_be_bytes());
            let dnssec_ok = u8::from(self.dnssec_ok) << 7;
            message.extend_from_slice(&[0, self.version, dnssec_ok, 0]);
            let size = u16::try_from(self.options.len()).expect("each option is short");
            message.extend_from_slice(&size.to_be_bytes());
            message.extend_from_slice(&self.options);
        }
        message
    }
}

/// Sets a bit, and returns that it does not belong to EDNS.
fn bit(byte: &mut u8, bit: u8) -> bool {
    *byte |= bit;
    false
}
