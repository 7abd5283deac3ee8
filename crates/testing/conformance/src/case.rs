//! Parses cases: queries and their expected response.

use std::fmt;

use crate::{
    Query, Transport,
    expected::{Expected, ExpectedRecord, Section},
    presentation::{Piece, class, data, hex, name, type_number},
};

/// Queries that expect the same response.
#[derive(Debug)]
pub struct Case {
    /// Its position in the scripts, as `file:line`.
    pub position: String,
    /// The standard that demands it, and what it demands.
    pub title: String,
    pub queries: Vec<Query>,
    /// The transports that it runs over; empty for all.
    pub(crate) transports: Vec<Transport>,
    pub(crate) expected: Expected,
}

/// What is wrong with a response.
#[derive(Debug)]
pub struct Failure {
    pub(crate) case: String,
    pub(crate) query: String,
    pub(crate) transport: Transport,
    pub(crate) reason: String,
    pub(crate) response: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            query,
            transport,
            reason,
            response,
        } = self;
        writeln!(f, "{case}\n  query {query} over {transport:?}\n  {reason}")?;
        response
            .lines()
            .try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl Case {
    /// Whether the case runs over this transport.
    pub fn is_for(&self, transport: Transport) -> bool {
        self.transports.is_empty() || self.transports.contains(&transport)
    }

    /// A case without queries. The text before the first colon is the standard.
    pub(crate) fn new(position: String, line: &str) -> Result<Self, String> {
        match line.split_once(": ") {
            Some((source, claim)) if !source.is_empty() && !claim.is_empty() => Ok(Self {
                title: format!("{position}: {line}"),
                position,
                queries: Vec::new(),
                transports: Vec::new(),
                expected: Expected::default(),
            }),
            _ => Err("a case is `case SOURCE: claim`".to_owned()),
        }
    }

    /// Reads a line of the case.
    pub(crate) fn read(&mut self, words: &[String]) -> Result<(), String> {
        let [keyword, rest @ ..] = words else {
            return Ok(());
        };
        match keyword.as_str() {
            "ask" => self.queries.push(Query::parse(rest)?),
            "bytes" => self.queries.push(Query::parse_bytes(rest)?),
            "over" => {
                let transports = rest.iter().map(|word| Transport::parse(word));
                self.transports = transports.collect::<Result<_, _>>()?;
            }
            "expect" => self.expected.read(rest)?,
            keyword => {
                let (section, optional) = match keyword.strip_suffix('?') {
                    Some(section) => (section, true),
                    None => (keyword, false),
                };
                let names = ["answer", "authority", "additional"];
                let at = names.iter().position(|name| *name == section);
                let at = at.ok_or_else(|| format!("{keyword:?} is not a keyword of a case"))?;
                self.expected.sections[at].read(rest, optional)?;
            }
        }
        Ok(())
    }
}

impl Section {
    fn read(&mut self, words: &[String], optional: bool) -> Result<(), String> {
        if words == ["*"] && optional {
            self.may_have_any = true;
            return Ok(());
        }
        let record = ExpectedRecord::parse(words)?;
        match optional {
            true => self.optional.push(record),
            false => self.required.push(record),
        }
        Ok(())
    }
}

impl ExpectedRecord {
    fn parse(words: &[String]) -> Result<Self, String> {
        let short = || "a record is `NAME TTL [CLASS] TYPE DATA`".to_owned();
        let [owner, ttl, rest @ ..] = words else {
            return Err(short());
        };
        let class_of = rest.first().and_then(|word| class(word));
        let [record_type, rest @ ..] = &rest[usize::from(class_of.is_some())..] else {
            return Err(short());
        };
        let record_type = type_number(record_type)?;
        Ok(Self {
            owner: match owner.as_str() {
                "@" => None,
                owner => Some(name(owner, None)?.to_ascii_lowercase()),
            },
            ttl: match ttl.as_str() {
                "*" => None,
                ttl => Some(ttl.parse().map_err(|_| format!("{ttl:?} is not a TTL"))?),
            },
            class: class_of.unwrap_or(1),
            record_type,
            data: match rest {
                [any] if any == "*" => None,
                words => Some(lower_data(&data(record_type, words, None)?)),
            },
        })
    }
}

/// Data with its names in lower case, because the server may choose their case (RFC 4343,
/// section 4).
fn lower_data(pieces: &[Piece]) -> Vec<u8> {
    let lower = pieces.iter().map(|piece| match piece {
        Piece::Name(name) => name.to_ascii_lowercase(),
        Piece::Bytes(bytes) => bytes.clone(),
    });
    lower.collect::<Vec<_>>().concat()
}

impl Expected {
    /// Reads the words after `expect`: `RCODE …`.
    fn read(&mut self, words: &[String]) -> Result<(), String> {
        let [rcode, rest @ ..] = words else {
            return Err("`expect` needs a response code".to_owned());
        };
        if rcode != "nothing" {
            let rcodes = rcode.split('|').map(rcode_number);
            self.rcodes = rcodes.collect::<Result<_, _>>()?;
        }
        for word in rest {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || {
                let number = value.parse::<u16>();
                number.map_err(|error| format!("{word:?}: {error}"))
            };
            match key {
                "aa" => self.authoritative = true,
                "tc" => self.truncated = true,
                "opt" => self.opt = Some(true),
                "noopt" => self.opt = Some(false),
                "ede" => self
                    .options
                    .push((15, number()?.to_be_bytes().to_vec(), true)),
                "multiple" => self.size_multiple = Some(number()?.into()),
                "nooption" => self.absent_options.push(number()?),
                "option" => {
                    let (code, digits) = value.split_once(':').unwrap_or((value, "*"));
                    let code = code.parse().map_err(|_| format!("{word:?} has no code"))?;
                    let (digits, may_continue) = match digits.strip_suffix('*') {
                        Some(digits) => (digits, true),
                        None => (digits, false),
                    };
                    self.options.push((code, hex(digits)?, may_continue));
                }
                _ => return Err(format!("{word:?} is not an expectation")),
            }
        }
        Ok(())
    }
}

fn rcode_number(word: &str) -> Result<u16, String> {
    Ok(match word {
        "NOERROR" => 0,
        "FORMERR" => 1,
        "SERVFAIL" => 2,
        "NXDOMAIN" => 3,
        "NOTIMP" => 4,
        "REFUSED" => 5,
        "YXDOMAIN" => 6,
        "BADVERS" => 16,
        "BADCOOKIE" => 23,
        _ => return Err(format!("{word:?} is not a response code")),
    })
}
