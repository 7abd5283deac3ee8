//! DNS queries, encoded ahead of time.

use std::sync::Arc;

use anyhow::Context;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};

/// A client's half of a cookie (RFC 7873, section 4).
const CLIENT_COOKIE: [u8; 8] = *b"quorate!";

/// Where the number of additional records stands in a header.
const ADDITIONAL_COUNT_AT: usize = 11;

/// What an OPT record begins with: the root, its type, and a payload size of 1,232 bytes.
const OPT_START: [u8; 9] = [0, 0, 41, 4, 208, 0, 0, 0, 0];

/// The number of the cookie option.
const COOKIE_OPTION: u16 = 10;

/// Queries with id 0, in the order in which they are sent.
#[derive(Debug, Clone)]
pub(crate) struct Queries(pub(crate) Arc<Vec<Vec<u8>>>);

impl Queries {
    /// For TXT at `_iroh.<key>.<origin>`.
    pub(crate) fn txt(keys: &[String], origin: &str) -> anyhow::Result<Self> {
        let names = keys.iter().map(|key| format!("_iroh.{key}.{origin}"));
        Self::of(names, RecordType::TXT)
    }

    /// For records of this type at these names.
    pub(crate) fn of(
        names: impl IntoIterator<Item = String>,
        record_type: RecordType,
    ) -> anyhow::Result<Self> {
        let queries: Vec<_> = names
            .into_iter()
            .map(|name| query(&name, record_type).with_context(|| format!("{name:?} is no name")))
            .collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!queries.is_empty(), "there are no names to ask for");
        Ok(Self(queries.into()))
    }

    pub(crate) fn first(&self) -> &[u8] {
        &self.0[0]
    }

    /// The same with EDNS, and these options in it.
    pub(crate) fn with_edns(mut self, options: &[u8]) -> Self {
        let size = u16::try_from(options.len()).expect("a few options");
        for query in Arc::make_mut(&mut self.0) {
            query[ADDITIONAL_COUNT_AT] = 1;
            query.extend(OPT_START);
            query.extend(size.to_be_bytes());
            query.extend(options);
        }
        self
    }
}

fn query(name: &str, record_type: RecordType) -> Option<Vec<u8>> {
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).ok()?, record_type));
    query.to_vec().ok()
}

/// The option with which a client requests the server part of a cookie.
pub(crate) fn client_cookie() -> Vec<u8> {
    option(&CLIENT_COOKIE)
}

/// The same with the server part from this answer; without one, the client part alone.
pub(crate) fn full_cookie(answer: &[u8]) -> Vec<u8> {
    let start = &option(&CLIENT_COOKIE)[4..];
    let found = answer.windows(start.len()).position(|part| part == start);
    let cookie = found.and_then(|at| {
        let size = answer.get(at - 2..at)?;
        let size = u16::from_be_bytes([size[0], size[1]]);
        answer.get(at..at + usize::from(size))
    });
    option(cookie.unwrap_or(&CLIENT_COOKIE))
}

fn option(cookie: &[u8]) -> Vec<u8> {
    let size = u16::try_from(cookie.len()).expect("a cookie has 40 bytes at most");
    let [number, size] = [COOKIE_OPTION, size].map(u16::to_be_bytes);
    [&number[..], &size, cookie].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_one_question() {
        let queries = Queries::txt(&["key".to_owned()], "quorate.test.").unwrap();
        let message = Message::from_vec(queries.first()).unwrap();
        let [question] = &message.queries[..] else {
            panic!("{message}");
        };
        assert_eq!(question.name().to_string(), "_iroh.key.quorate.test.");
        assert_eq!(question.query_type(), RecordType::TXT);
        assert!(Queries::txt(&["x".repeat(64)], "test.").is_err());
        assert!(Queries::txt(&[], "test.").is_err());
    }

    #[test]
    fn a_cookie_is_asked_for_and_shown() {
        let queries = Queries::txt(&["key".to_owned()], "test.").unwrap();
        let with_cookie = queries.clone().with_edns(&client_cookie());
        assert_eq!(
            Message::from_vec(with_cookie.first())
                .unwrap()
                .additionals
                .len(),
            0
        );
        let cookie = [&CLIENT_COOKIE[..], b"the servers part"].concat();
        let answer = queries.with_edns(&option(&cookie));
        assert_eq!(full_cookie(answer.first()), option(&cookie));
        assert_eq!(full_cookie(with_cookie.first()), client_cookie());
        assert_eq!(full_cookie(b"none"), client_cookie());
    }
}
