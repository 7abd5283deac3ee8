//! Checks responses.

use hickory_proto::op;

use crate::{
    Case, Failure, Query, Transport,
    expected::{Expected, ExpectedRecord, Section},
    message::{Message, Opt, Record},
};

/// The largest datagram that a server should send and announce, in bytes (RFC 9715, section 3.2).
const UDP_SIZE_MAX: u16 = 1232;

const CNAME: u16 = 5;
const DNAME: u16 = 39;

/// The bits of a header's third and fourth byte.
const QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const AA: u8 = 0x04;
const TC: u8 = 0x02;
const RD: u8 = 0x01;
const RA: u8 = 0x80;
const Z: u8 = 0x40;
const AD: u8 = 0x20;
const CD: u8 = 0x10;

impl Case {
    /// Checks the response to one of the case's queries; `None` means that there was no response.
    ///
    /// In addition to what the case expects, every response must follow these rules. It is
    /// well-formed, without pointers where a name must not be compressed (RFC 3597, section 4), and
    /// hickory-proto can parse it. ID, opcode and RD are those of the query, the question is
    /// repeated byte for byte (RFC 4343, section 4.1), QR is set, RA, AD and Z are clear. If the
    /// query had an OPT record, it has one too, of version 0 and with the DO bit of the query. A
    /// datagram is not longer than the client accepts, nor than 1232 bytes. No record occurs twice,
    /// and all records of a set have one TTL (RFC 2181, section 5). The answers are a chain from
    /// the name in the question.
    pub fn check(
        &self,
        query: &Query,
        transport: Transport,
        response: Option<&[u8]>,
    ) -> Result<(), Failure> {
        self.check_response(query, transport, response)
            .map_err(|reason| Failure {
                case: self.title.clone(),
                query: query.text.clone(),
                transport,
                reason,
                response: match response.map(op::Message::from_vec) {
                    None => "no response".to_owned(),
                    Some(Ok(message)) => message.to_string(),
                    Some(Err(_)) => format!("{response:02x?}"),
                },
            })
    }

    fn check_response(
        &self,
        query: &Query,
        transport: Transport,
        response: Option<&[u8]>,
    ) -> Result<(), String> {
        let expected = &self.expected;
        let bytes = match (response, expected.rcodes.is_empty()) {
            (None, true) => return Ok(()),
            (None, false) => return Err("there must be a response".to_owned()),
            (Some(_), true) => return Err("there must be no response".to_owned()),
            (Some(bytes), false) => bytes,
        };
        let message = Message::parse(bytes)?;
        op::Message::from_vec(bytes).map_err(|error| format!("hickory-proto: {error}"))?;
        let limit = match transport {
            Transport::Udp => query.udp_size_max,
            _ => usize::from(u16::MAX),
        };
        ensure(bytes.len() <= limit, || {
            format!("{} bytes, at most {limit}", bytes.len())
        })?;
        if let Some(multiple) = expected.size_multiple {
            let size = bytes.len();
            ensure(size % multiple == 0, || {
                format!("{size} bytes, not a multiple of {multiple}")
            })?;
        }
        check_header(query, &message)?;
        expected.check_codes(&message)?;
        expected.check_edns(query, &message)?;
        check_sets(&message)?;
        check_chain(query, &message.sections[0])?;
        let sections = ["answer", "authority", "additional"].iter();
        for ((name, section), records) in sections.zip(&expected.sections).zip(&message.sections) {
            section.check(query, name, records)?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

fn check_header(query: &Query, message: &Message) -> Result<(), String> {
    ensure(query.message.starts_with(&message.id), || {
        "another id".to_owned()
    })?;
    let [high, low] = message.flags;
    ensure(high & QR != 0, || "QR is clear".to_owned())?;
    if let [_, _, query_high, query_low, ..] = query.message[..] {
        let repeated = OPCODE | RD;
        ensure(high & repeated == query_high & repeated, || {
            "opcode and RD are not those of the query".to_owned()
        })?;
        // A server without DNSSEC may clear CD or repeat it (RFC 4035, section 3.1.6).
        ensure(low & CD & !query_low == 0, || {
            "CD was not set in the query".to_owned()
        })?;
    }
    ensure(low & (RA | Z | AD) == 0, || "RA, Z or AD is set".to_owned())?;
    match (&message.question, &query.question) {
        (Some(repeated), Some(sent)) => ensure(repeated == sent, || "another question".to_owned())?,
        (Some(repeated), None) => ensure(
            query
                .message
                .get(12..)
                .is_some_and(|rest| rest.starts_with(repeated)),
            || "a question that the query does not have".to_owned(),
        )?,
        // A response to a malformed or unsupported query may omit the question (RFC 1035 does not
        // specify it), and must if the query had none.
        (None, _) => ensure(
            matches!(message.rcode(), 1 | 4) || query.question.is_none(),
            || "the question is missing".to_owned(),
        )?,
    }
    Ok(())
}

impl Expected {
    fn check_codes(&self, message: &Message) -> Result<(), String> {
        let rcode = message.rcode();
        ensure(self.rcodes.contains(&rcode), || {
            format!("response code {rcode}, expected {:?}", self.rcodes)
        })?;
        let aa = message.flags[0] & AA != 0;
        ensure(aa == self.authoritative, || format!("AA is {aa}"))?;
        let tc = message.flags[0] & TC != 0;
        ensure(tc == self.truncated, || format!("TC is {tc}"))
    }

    fn check_edns(&self, query: &Query, message: &Message) -> Result<(), String> {
        let by_default = query.opt_count.map(|count| count > 0);
        if let Some(expected) = self.opt.or(by_default) {
            ensure(message.opt.is_some() == expected, || {
                format!("OPT expected: {expected}")
            })?;
        }
        let options = match &message.opt {
            Some(opt) => {
                check_opt(query, opt)?;
                &opt.options[..]
            }
            None => &[],
        };
        for (code, start, may_continue) in &self.options {
            let found = options.iter().find(|(found, _)| found == code);
            let (_, data) = found.ok_or_else(|| format!("option {code} is missing"))?;
            let matches = data.starts_with(start) && (*may_continue || data.len() == start.len());
            ensure(matches, || format!("option {code} is {data:02x?}"))?;
        }
        for code in &self.absent_options {
            let found = options.iter().any(|(found, _)| found == code);
            ensure(!found, || format!("option {code} was not requested"))?;
        }
        Ok(())
    }
}

fn check_opt(query: &Query, opt: &Opt) -> Result<(), String> {
    ensure(opt.version == 0, || format!("EDNS version {}", opt.version))?;
    ensure((512..=UDP_SIZE_MAX).contains(&opt.udp_size), || {
        format!("the UDP size in EDNS is {} bytes", opt.udp_size)
    })?;
    if query.opt_count == Some(1) {
        // The query's OPT record follows the question: name, type, class, two bytes, flags.
        let flags_at = 12 + query.question.as_ref().map_or(0, Vec::len) + 7;
        let dnssec_ok = query.message.get(flags_at).copied().unwrap_or_default() & 0x80;
        ensure(opt.flags == [dnssec_ok, 0], || {
            format!("EDNS flags {:02x?}", opt.flags)
        })?;
    }
    Ok(())
}

/// Checks that no record occurs twice, and that each set has one TTL (RFC 2181, section 5).
fn check_sets(message: &Message) -> Result<(), String> {
    for records in &message.sections {
        for (at, record) in records.iter().enumerate() {
            let same_set = |other: &&Record| {
                (&other.owner, other.record_type) == (&record.owner, record.record_type)
            };
            for other in records[..at].iter().filter(same_set) {
                ensure(other.data != record.data, || {
                    "a record is there twice".to_owned()
                })?;
                ensure(other.ttl == record.ttl, || "a set has two TTLs".to_owned())?;
            }
        }
    }
    Ok(())
}

/// Checks that the answers are a chain of aliases from the name in the question.
fn check_chain(query: &Query, answers: &[Record]) -> Result<(), String> {
    let Some(name) = &query.name else {
        return Ok(());
    };
    let mut name = name.to_ascii_lowercase();
    for record in answers {
        let is_above = record.owner.len() < name.len() && name.ends_with(&record.owner);
        let is_next = record.owner == name || (record.record_type == DNAME && is_above);
        ensure(is_next, || {
            format!("the answers do not continue from {name:02x?}")
        })?;
        if record.record_type == CNAME {
            name.clone_from(&record.data);
        }
    }
    Ok(())
}

impl Section {
    fn check(&self, query: &Query, name: &str, records: &[Record]) -> Result<(), String> {
        let mut left: Vec<&Record> = records.iter().collect();
        for expected in &self.required {
            let at = left
                .iter()
                .position(|record| expected.matches(query, record));
            let at = at.ok_or_else(|| format!("missing in {name}: {}", expected.text()))?;
            left.remove(at);
        }
        for expected in &self.optional {
            left.retain(|record| !expected.matches(query, record));
        }
        match left.first() {
            Some(record) if !self.may_have_any => Err(format!(
                "too much in {name}: type {} of {}",
                record.record_type,
                String::from_utf8_lossy(&record.owner)
            )),
            _ => Ok(()),
        }
    }
}

impl ExpectedRecord {
    fn matches(&self, query: &Query, record: &Record) -> bool {
        let qname = query.name.as_ref().map(|name| name.to_ascii_lowercase());
        let owner = self.owner.as_ref().or(qname.as_ref());
        owner == Some(&record.owner)
            && self.record_type == record.record_type
            && self.class == record.class
            && self.ttl.is_none_or(|ttl| ttl == record.ttl)
            && self.data.as_ref().is_none_or(|data| *data == record.data)
    }

    fn text(&self) -> String {
        let owner = self.owner.as_deref().unwrap_or(b"@");
        let owner = String::from_utf8_lossy(owner).into_owned();
        let data = self.data.as_deref().map(String::from_utf8_lossy);
        format!(
            "type {} of {owner}, TTL {:?}: {data:?}",
            self.record_type, self.ttl
        )
    }
}
