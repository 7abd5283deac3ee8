//! Records as zone files write them (RFC 1035, section 5), and as DNS messages do.
//!
//! What operators write, into configuration, into a file or on the command line, becomes wire form here,
//! once, and is shown to them from that. The scanner of `domain` reads it, an entry at a time; what that
//! does not know is changed before or after: TTLs such as `1h`, `@` behind a type, and three types.
//!
//! | piece | what it is |
//! |---|---|
//! | [`parse`] | a zone file, to checked records and their lines |
//! | [`record_sets`] | records, to sets of one owner and type |
//! | [`parse_name`], [`parse_type`], [`parse_rdata`] | the parts of a record by themselves |
//! | [`type_text`], [`rdata_text`] | back to what an operator reads |

mod codec;
mod entries;
mod name;
mod rdata;
mod scanner;
mod zone_file;

pub use name::{NameError, parse_name, parse_type, type_text};
pub use rdata::{RdataError, is_rdata, parse_rdata, rdata_text};
pub use zone_file::{LineError, parse, record_sets};
