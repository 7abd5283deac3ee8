//! What DNS must answer, as data: scripts of packets, questions and expected answers, each of which
//! cites what demands it.
//!
//! The same scripts are run against `Responder` in one process, with a replica in memory, and
//! against real nodes over every transport, so this knows nothing of Quorate: it reads scripts,
//! writes queries and judges the bytes that come back. It has a reader of messages of its own,
//! since one that is shared with the server would share its mistakes, and that of hickory-proto
//! decodes what must not have been compressed (RFC 3597, section 4) without a word.
//!
//! ```text
//! config standard.toml                    ; the settings of [dns], in the directory of the scripts
//! let soa = dns.test. 50 SOA *            ; $soa stands for the rest of the line from here on
//!
//! key alice                               ; $alice is the key, whose packet holds these records;
//!     _iroh  30 TXT "relay=a"             ; names without a last dot lie below it, @ is itself;
//!                                         ; $ALICE is the key in upper case, $aliceAlias another
//!                                         ; of its spellings
//!
//! case RFC 2308 2.2: a type that a name does not have is no data
//!     ask       _iroh.$alice.dns.test. A
//!     expect    NOERROR aa
//!     authority $soa
//! ```
//!
//! Names inside data are pointers where they can be if the key is `compressed`. Instead of records, a
//! key may have `bytes`, hexadecimal digits of the whole message.
//!
//! | in a case | what it says |
//! |---|---|
//! | `ask NAME TYPE …` | what is asked, one of several that get the same answer |
//! | `bytes …` | the same, byte by byte: hexadecimal digits, and `name:NAME` |
//! | `over TRANSPORT…` | over these only: `udp`, `tcp`, `tls`, `quic`, `https` |
//! | `expect RCODE …` | the response code (or several, as `A\|B`), the flags `aa` and `tc` if they are set; `nothing` if no response may come |
//! | `answer`, `authority`, `additional RECORD` | what the section holds, in any order; `*` for a TTL or data stands for any, and `@` for the name that was asked |
//! | `answer? RECORD` … | what it may hold; `answer? *` for anything |
//!
//! A name that is asked goes out in the letter case in which it is written. After type (and class,
//! if it is not IN) may follow `rd`, `cd`, `ad`, `z`, `opcode=N`, `qdcount=N`, and of EDNS `edns` or
//! `edns=SIZE`, `do`, `version=N`, `opts=N` (as many OPT records), `option=CODE:HEX`. Of EDNS may be
//! expected `option=CODE`, `option=CODE:HEX`, with `*` behind the digits if more may follow,
//! `nooption=CODE`, `ede=N`, and `multiple=N` (of the size of the message).
//!
//! What must hold of every response is checked unasked: see [`Case::check`].
//!
//! | piece | what it is |
//! |---|---|
//! | [`Script`] | a file: settings, packets, cases |
//! | [`Packet`] | a signed packet of pkarr, to be published before |
//! | [`Case`], [`Ask`], [`Transport`] | questions with one answer, and how they may come |
//! | [`Failure`] | what is wrong with a response |

mod ask;
mod case;
mod check;
mod expected;
mod message;
mod packet;
mod presentation;
mod script;
mod transport;

pub use ask::Ask;
pub use case::{Case, Failure};
pub use packet::Packet;
pub use script::{Script, scripts};
pub use transport::Transport;
