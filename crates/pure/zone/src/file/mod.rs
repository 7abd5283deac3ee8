//! Converts records between the text of zone files (RFC 1035, section 5) and wire form.
//!
//! What operators write, into configuration, into a file or on the command line, is converted to
//! wire form here, once, and shown to them from that. The scanner of `domain` reads it, one entry
//! at a time. What it does not know is changed before or after: TTLs such as `1h`, `@` after a
//! type, three types.
//!
//! | piece | what it is |
//! |---|---|
//! | [`parse`] | parses a zone file into checked records and their lines |
//! | [`record_sets`] | groups records into sets of one owner and type |
//! | [`parse_name`], [`parse_type`], [`parse_rdata`] | parse the parts of a record |
//! | [`type_text`], [`rdata_text`] | format the parts of a record for operators |

mod codec;
mod entries;
mod name;
mod rdata;
mod scanner;
mod zone_file;

pub use name::{NameError, parse_name, parse_type, type_text};
pub use rdata::{RdataError, is_rdata, parse_rdata, rdata_text};
pub use zone_file::{LineError, parse, record_sets};
