//! Fuzz targets: one function for each place where the server reads bytes from unknown clients, and one for
//! files that operators read.
//!
//! The fuzzers themselves, a few lines each, are in `tests/fuzz`. That is a separate workspace,
//! because they need a nightly compiler (`make fuzz`). The same functions run in `make test`, on
//! randomly changed seeds.
//!
//! A target panics if a check fails. It checks that nothing panics, which a responder would hide
//! behind SERVFAIL. It also checks every response: hickory-proto can read it; it has the id, opcode
//! and RD of its query; it has QR set, but neither RA nor AD; it repeats the question exactly or
//! omits it; it has one OPT record if the query had a readable one; and it is not longer than its
//! transport allows.
//!
//! | target | input bytes |
//! |---|---|
//! | [`datagram`] | a message over UDP |
//! | [`query`] | choices from which a well-formed query is built |
//! | [`packet`] | the DNS message that a key publishes; each of its records is queried |
//! | [`answer`] | such a message, and a query |
//! | [`doh`] | an HTTP request |
//! | [`backup()`] | a backup, or the contents of its chunks |

mod backup;
mod choices;
mod fixture;
mod response;
mod targets;

pub use backup::backup;
pub use targets::{answer, datagram, doh, packet, query};

pub type Target = fn(&[u8]);

/// All targets with their names.
pub const TARGETS: [(&str, Target); 6] = [
    ("answer", answer),
    ("backup", backup),
    ("datagram", datagram),
    ("doh", doh),
    ("packet", packet),
    ("query", query),
];
