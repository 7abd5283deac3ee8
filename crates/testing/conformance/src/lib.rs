//! Conformance tests for DNS: scripts of packets, queries and expected responses. Each case cites
//! the standard that demands it.
//!
//! The same scripts run against `Responder` in one process, with a replica in memory, and against
//! real nodes over every transport. So this crate does not depend on Quorate: it reads scripts,
//! writes queries and checks the bytes of the responses. It has its own message parser, because a
//! parser that is shared with the server would share its mistakes, and that of hickory-proto
//! accepts compressed names where they are not allowed (RFC 3597, section 4).
//!
//! ```text
//! config standard.toml                    ; the settings of [dns], in the directory of the scripts
//! let soa = dns.test. 50 SOA *            ; from here on $soa means the rest of the line
//!
//! key alice                               ; $alice is the key; its packet has these records;
//!     _iroh  30 TXT "relay=a"             ; names without a final dot are below it, @ is the key;
//!                                         ; $ALICE is the key in upper case, $aliceAlias is
//!                                         ; another spelling of it
//!
//! case RFC 2308 2.2: a type that a name does not have is no data
//!     ask       _iroh.$alice.dns.test. A
//!     expect    NOERROR aa
//!     authority $soa
//! ```
//!
//! If the key is `compressed`, names in data are compressed where possible. Instead of records, a
//! key may have `bytes`: the complete message in hexadecimal digits.
//!
//! | in a case | meaning |
//! |---|---|
//! | `ask NAME TYPE …` | a query; several queries of a case expect the same response |
//! | `bytes …` | the same in bytes: hexadecimal digits, and `name:NAME` |
//! | `over TRANSPORT…` | only over these: `udp`, `tcp`, `tls`, `quic`, `https` |
//! | `expect RCODE …` | the response code (or several, as `A\|B`), and the flags `aa` and `tc` if they must be set; `nothing` if there must be no response |
//! | `answer`, `authority`, `additional RECORD` | a record that the section must have, in any order; `*` as TTL or data matches any, and `@` is the name in the question |
//! | `answer? RECORD` … | a record that it may have; `answer? *` for any records |
//!
//! The name of a query is sent in the letter case of the script. After the type (and the class, if
//! it is not IN) may follow `rd`, `cd`, `ad`, `z`, `opcode=N`, `qdcount=N`, and for EDNS `edns` or
//! `edns=SIZE`, `do`, `version=N`, `opts=N` (the number of OPT records), `option=CODE:HEX`. For
//! EDNS, `expect` may have `option=CODE`, `option=CODE:HEX`, with `*` after the digits if more may
//! follow, `nooption=CODE`, `ede=N`, and `multiple=N` (the message size is a multiple of N).
//!
//! Every response is also checked for general rules: see [`Case::check`].
//!
//! | piece | what it is |
//! |---|---|
//! | [`Script`] | a file: settings, packets, cases |
//! | [`Packet`] | a signed pkarr packet, to publish before the cases run |
//! | [`Case`], [`Query`], [`Transport`] | queries with one expected response, and their transports |
//! | [`Failure`] | what is wrong with a response |

mod case;
mod check;
mod expected;
mod message;
mod packet;
mod presentation;
mod query;
mod script;
mod transport;

pub use case::{Case, Failure};
pub use packet::Packet;
pub use query::Query;
pub use script::{Script, scripts};
pub use transport::Transport;
