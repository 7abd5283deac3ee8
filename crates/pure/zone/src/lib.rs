//! A DNS question plus records gives an [`Answer`], as values.
//!
//! Nothing here does I/O, so that an answer needs two steps, and the caller looks for the packet
//! between them:
//!
//! ```text
//! Authority::locate(question) ──▶ Located::Answer(answer)         decided by configuration
//!                             ──▶ Located::Key(question)          a packet decides: find it
//!                                   question.answer(packet) ──▶ answer
//! Answer::write ──▶ records behind the header and question of a response
//! ```
//!
//! Under each configured origin stand the zones of all keys, `<z32>.<origin>`, made of the records
//! in the key's packet whose owner names end in that key. What stands at the origin itself and beside
//! the keys comes from configuration. NS records in a packet hand names on to other
//! servers; those at the key itself only names that the packet does not have. Nothing is ever added
//! to what a key published: an iroh endpoint fails to parse a TXT record set that holds a string it
//! does not know.
//!
//! Packets and configured records are compiled before anybody asks: into a tree of names over the
//! very bytes that the records came in. Both are then answered by one algorithm, and record sets go
//! from those bytes to the response's. Anybody can publish and ask, so no packet may make a question
//! much work: nothing is searched for that could be found beforehand, nothing is compared with all of
//! its kind, and what exceeds the size of a response is given up there.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Origin`], [`Soa`] | what the operator configures, checked by [`Authority::new`] |
//! | [`Question`] | a question on the wire |
//! | [`Authority`] | all origins; tells who can answer a question |
//! | [`Located`] | an answer, or the key whose packet holds it |
//! | [`KeyQuestion`] | a question about names below a key |
//! | [`CompiledPacket`] | a packet, made ready to be asked |
//! | [`Answer`] | records, no data, NXDOMAIN, a referral, or refused |
//!
//! and inside:
//!
//! | piece | what it is |
//! |---|---|
//! | `message`, `name`, `rdata` | records, names and the names in data, where they stand in a message |
//! | `tree_builder`, `outline`, `target_finder` | from records to their tree, and where their names lead |
//! | `tree` | names, record sets and records as offsets |
//! | `resolver`, `cut` | the algorithm of RFC 1034, section 4.3.2, and what a packet's NS records mean |
//! | `writer` | record sets to bytes |
//! | `zone`, `zone_message` | what configuration puts at an origin |
//!
//! Sources: RFC 1034, 1035, 2181 (record sets, zone cuts), 2308 (negative answers), 3597 (unknown
//! types), 4343 (case), 4592 (wildcards), 6672 (DNAME), 8020 (names that do not exist), 8482 (ANY),
//! 9460 (SVCB), 9471 (glue).

mod answer;
mod authority;
mod compiled;
mod cut;
pub mod file;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;
mod key_question;
mod message;
mod name;
#[cfg(test)]
mod oracle_fixture;
mod origin;
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
mod work_fixture;
mod writer;
mod zone;
mod zone_data;
mod zone_message;

pub use answer::{Answer, AnswerKind, Written};
pub use authority::{Authority, Located};
pub use compiled::CompiledPacket;
pub use key_question::{KeyQuestion, UndecodableError};
pub use message::MessageError;
pub use origin::{NEGATIVE_TTL_SECS_MAX, Origin, OriginError, Soa};
pub use question::Question;
pub use resolver::ALIAS_COUNT_MAX;
