//! Answers DNS questions from configured records and from the records in signed packets.
//!
//! Nothing here does I/O. So an answer takes two steps, and the caller fetches the packet
//! between them:
//!
//! ```text
//! Authority::lookup(question) ──▶ LookupResult::Answer(answer)         configuration decides
//!                             ──▶ LookupResult::NeedsPacket(lookup)    a packet decides: fetch it
//!                                   lookup.answer(packet) ──▶ answer
//! Answer::write ──▶ records after the header and question of a response
//! ```
//!
//! Each key has its own zone `<z32>.<origin>` under each configured origin. The zone consists of
//! the records in the key's packet whose owner names end in that key. The records at the origin
//! itself and at names next to the keys come from configuration. NS records in a packet delegate
//! names to other servers; NS records at the key itself delegate only names that the packet does
//! not have. Nothing is ever added to what a key published: an iroh endpoint fails to parse a TXT
//! record set that holds a string it does not know.
//!
//! Packets and configured records are compiled before the first query: into a tree of names over
//! the same bytes that the records arrived in. One algorithm answers from both, and record sets are
//! copied from those bytes to the response. Anybody can publish and ask, so no packet may make a
//! query expensive: nothing is searched for that could be found beforehand, nothing is compared
//! with all others of its kind, and writing stops when the response is full.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Origin`], [`Soa`] | what the operator configures, checked by [`Authority::new`] |
//! | [`Question`] | a question on the wire |
//! | [`Authority`] | all origins; finds the zone of a question |
//! | [`LookupResult`] | an answer, or the key whose packet is needed for it |
//! | [`PacketLookup`] | a question about names at or below a key |
//! | [`CompiledPacket`] | a packet, parsed and indexed for queries |
//! | [`Answer`] | records, no data, NXDOMAIN, a referral, or refused |
//!
//! The private modules:
//!
//! | piece | what it is |
//! |---|---|
//! | `message`, `name`, `rdata` | records, names, and names in RDATA, as offsets in a message |
//! | `tree_builder`, `node_list`, `target_finder` | build the tree, and link names in RDATA to nodes |
//! | `tree` | names, record sets and records as offsets |
//! | `resolver`, `cut` | the algorithm of RFC 1034, section 4.3.2, and NS records in packets |
//! | `writer` | writes record sets to a response |
//! | `zone`, `zone_message` | the configured records of an origin |
//!
//! Sources: RFC 1034, 1035, 2181 (record sets, zone cuts), 2308 (negative answers), 3597 (unknown
//! types), 4035 (DS at a cut), 4343 (case), 4592 (wildcards), 6672 (DNAME), 8020 (names that do not
//! exist), 8482 (ANY), 9460 (SVCB), 9471 (glue).

mod answer;
mod authority;
mod compiled;
mod cut;
pub mod file;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;
mod message;
mod name;
mod node_list;
#[cfg(test)]
mod oracle_fixture;
mod origin;
mod packet_lookup;
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

pub use answer::{Answer, AnswerKind, WriteSummary};
pub use authority::{Authority, LookupResult};
pub use compiled::CompiledPacket;
pub use message::MessageError;
pub use origin::{NEGATIVE_TTL_SECS_MAX, Origin, OriginError, Soa};
pub use packet_lookup::{PacketLookup, UndecodableError};
pub use question::Question;
pub use resolver::ALIAS_COUNT_MAX;
