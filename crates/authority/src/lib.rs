//! A DNS question plus records gives an [`Answer`], as values.
//!
//! Nothing here does I/O, so that an answer needs two steps, and the caller reads the store between
//! them:
//!
//! ```text
//! Authority::locate(question) ──▶ Located::Answer(answer)         decided by configuration
//!                             ──▶ Located::Key(question)          a packet decides: read its record
//!                                   question.answer(packet) ──▶ answer
//! ```
//!
//! Under each configured origin stand the zones of all keys, `<z32>.<origin>`, made of the records
//! in the key's packet whose owner names end in that key. The apex of an origin and the addresses
//! of its name servers come from configuration. NS records in a packet hand names on to other
//! servers; those at the key itself only names that the packet does not have. Nothing is ever added
//! to what a key published: an iroh endpoint fails to parse a TXT record set that holds a string it
//! does not know.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Origin`], [`Soa`] | what the operator configures, checked by [`Authority::new`] |
//! | [`Authority`] | all origins; tells who can answer a question |
//! | [`Located`] | an answer, or the key whose packet holds it |
//! | [`KeyQuestion`] | a question about names below a key |
//! | [`CompiledPacket`] | a packet, made ready to be asked |
//! | [`Answer`] | records, no data, NXDOMAIN, a referral, or refused |
//!
//! Sources: RFC 1034, 1035, 2181 (record sets, zone cuts), 2308 (negative answers), 3597 (unknown
//! types), 4343 (case), 4592 (wildcards), 8020 (names that do not exist), 8482 (ANY), 9471 (glue).

mod answer;
mod authority;
mod compiled;
mod cut;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;
mod key_question;
mod message;
mod name;
#[cfg(test)]
mod oracle;
mod origin;
mod origin_check;
mod outline;
#[cfg(test)]
mod property_tests;
mod question;
mod rdata;
mod record_set;
mod resolver;
mod target;
mod target_finder;
mod tree;
mod tree_builder;
#[cfg(test)]
mod work;
mod writer;
mod zone;
mod zone_data;
mod zone_message;

pub use answer::{Answer, AnswerKind, Written};
pub use authority::{Authority, Located};
pub use compiled::CompiledPacket;
pub use key_question::{KeyQuestion, UndecodableError};
pub use message::MessageError;
pub use origin::{NEGATIVE_TTL_SECS_MAX, Origin, OriginError, Soa, TTL_SECS_MAX};
pub use question::Question;
pub use resolver::ALIAS_COUNT_MAX;
