//! Records as zone files write them (RFC 1035, section 5), and as DNS messages do.
//!
//! What operators write, into configuration, into a file or on the command line, becomes wire form here,
//! once, and is shown to them from that. The fields of records are parsed by hickory-proto; what stands
//! around them is parsed here, for that parser names no line, takes no quotes inside parentheses and no
//! `@` behind the type, counts `\DDD` in octal, passes over what follows the last field, and opens any
//! file that an `$INCLUDE` names.
//!
//! | piece | what it is |
//! |---|---|
//! | [`parse`] | a zone file, to [`ZoneRecord`]s |
//! | [`record_sets`] | records, to sets of one owner and type |
//! | [`record`] | a record as the codec has it |
//! | [`parse_name`], [`parse_type`], [`parse_rdata`] | the parts of a record by themselves |
//! | [`type_text`], [`rdata_text`] | back to what an operator reads |

mod entry;
mod name;
mod rdata;
mod record;
mod record_type;
mod zone_file;

pub use name::{NameError, parse_name};
pub use rdata::{RdataError, parse_rdata, rdata_text};
pub use record::{record, wire_name};
pub use record_type::{parse_type, type_text};
pub use zone_file::{LineError, ZoneRecord, parse, record_sets};
