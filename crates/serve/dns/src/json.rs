//! DNS messages as JSON (`application/dns-json`), in the format of public resolvers.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, Record, RecordType},
    serialize::binary::{BinEncodable, BinEncoder, DecodeError, NameEncoding},
};
use quorate_packet::message::HEADER_SIZE;
use quorate_zone::file::rdata_text;
use serde::{Deserialize, Serialize};

/// The query parameters of a URL.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct JsonQuery {
    name: Option<String>,
    #[serde(rename = "type")]
    record_type: Option<String>,
    #[serde(rename = "do")]
    dnssec_ok: Option<String>,
    cd: Option<String>,
}

/// Why the parameters of a URL are not a valid query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonQueryError {
    /// The name is missing.
    #[error(
        "the parameter name is missing: set it to a domain name, or dns to a message in base64url"
    )]
    NoName,
    /// The name is invalid.
    #[error("the parameter name is not a valid domain name")]
    Name,
    /// The type is invalid.
    #[error("the parameter type is not a record type: write a name such as TXT, or its number")]
    Type,
    /// `do` or `cd` is not a boolean.
    #[error("the parameters do and cd must be 0, 1, false or true")]
    Switch,
}

/// The UDP size that the query announces. It has no effect over HTTP.
const EDNS_SIZE: u16 = 4096;

impl JsonQuery {
    /// The query in wire form, with the ID 0 (RFC 8484, section 4.1).
    pub(crate) fn message(&self) -> Result<Vec<u8>, JsonQueryError> {
        let name = self.name.as_deref().ok_or(JsonQueryError::NoName)?;
        let name = Name::from_ascii(name).map_err(|_| JsonQueryError::Name)?;
        let record_type = parse_type(self.record_type.as_deref().unwrap_or("A"));
        let record_type = record_type.ok_or(JsonQueryError::Type)?;
        let checking_disabled = parse_switch(self.cd.as_deref())?;
        let dnssec_ok = parse_switch(self.dnssec_ok.as_deref())?;

        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = checking_disabled;
        message.add_query(Query::query(name, record_type.into()));
        if dnssec_ok {
            let mut edns = Edns::new();
            edns.set_max_payload(EDNS_SIZE).set_dnssec_ok(true);
            message.set_edns(edns);
        }
        message.to_vec().map_err(|_| JsonQueryError::Name)
    }
}

/// Parses the name of a type, such as `TXT` or `TYPE65280` (RFC 3597, section 5), or its number.
fn parse_type(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    let number = text.strip_prefix("TYPE").unwrap_or(&text);
    let by_name = || text.parse::<RecordType>().ok().map(u16::from);
    number.parse().ok().or_else(by_name)
}

fn parse_switch(text: Option<&str>) -> Result<bool, JsonQueryError> {
    match text {
        None | Some("" | "0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(JsonQueryError::Switch),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JsonMessage {
    status: u16,
    #[serde(rename = "TC")]
    truncated: bool,
    #[serde(rename = "RD")]
    recursion_desired: bool,
    #[serde(rename = "RA")]
    recursion_available: bool,
    #[serde(rename = "AD")]
    authentic_data: bool,
    #[serde(rename = "CD")]
    checking_disabled: bool,
    question: Vec<JsonQuestion>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answer: Vec<JsonRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authority: Vec<JsonRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    additional: Vec<JsonRecord>,
}

#[derive(Debug, Serialize)]
struct JsonQuestion {
    name: String,
    #[serde(rename = "type")]
    record_type: u16,
}

#[derive(Debug, Serialize)]
struct JsonRecord {
    name: String,
    #[serde(rename = "type")]
    record_type: u16,
    #[serde(rename = "TTL")]
    ttl_secs: u32,
    data: String,
}

impl JsonMessage {
    /// Reads a response that this server has written. If hickory-proto cannot parse it, because a
    /// key published data that are not valid for their type, the result is an empty SERVFAIL.
    pub(crate) fn read(response: &[u8]) -> Result<Self, DecodeError> {
        let message = Message::from_vec(response).or_else(|_| {
            let mut bytes = response.to_vec();
            bytes[3] = bytes[3] & 0xf0 | ResponseCode::ServFail.low();
            bytes[6..HEADER_SIZE].fill(0);
            Message::from_vec(&bytes)
        })?;
        let question = |query: &Query| JsonQuestion {
            name: query.name().to_ascii(),
            record_type: query.query_type().into(),
        };
        let records = |records: &[Record]| records.iter().map(JsonRecord::new).collect();
        Ok(Self {
            status: message.response_code.into(),
            truncated: message.truncation,
            recursion_desired: message.recursion_desired,
            recursion_available: message.recursion_available,
            authentic_data: message.authentic_data,
            checking_disabled: message.checking_disabled,
            question: message.queries.iter().map(question).collect(),
            answer: records(&message.answers),
            authority: records(&message.authorities),
            additional: records(&message.additionals),
        })
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers have a form in JSON")
    }
}

impl JsonRecord {
    fn new(record: &Record) -> Self {
        let record_type = record.record_type().into();
        let mut rdata = Vec::new();
        let mut encoder = BinEncoder::new(&mut rdata);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        let data = match record.data.emit(&mut encoder) {
            Ok(()) => rdata_text(record_type, &rdata),
            Err(_) => record.data.to_string(),
        };
        Self {
            name: record.name.to_ascii(),
            record_type,
            ttl_secs: record.ttl,
            data,
        }
    }
}
