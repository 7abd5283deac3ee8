//! What fuzzers run: a function of any bytes for each place where bytes of strangers come in.
//!
//! The fuzzers themselves, a few lines each, stand in `tests/fuzz`, which is a workspace of its own
//! since they need a nightly compiler (`make fuzz`). The same functions run in `make test`, over
//! seeds that are changed at random.
//!
//! A target panics if something does not hold. Besides that nothing panics, which a responder hides
//! behind SERVFAIL, these hold of every response: it is read by hickory-proto, has the id, opcode and
//! RD of its query, QR and neither RA nor AD, repeats the question to the letter or leaves it out, has
//! one OPT record if the query had one that can be read, and is not longer than its transport takes.
//!
//! | target | the bytes are |
//! |---|---|
//! | [`datagram`] | a message that comes over UDP |
//! | [`query`] | choices from which a well-formed query is made |
//! | [`packet`] | the DNS message that a key publishes, whose every record is then asked for |
//! | [`answer`] | such a message, and a query |
//! | [`doh`] | an HTTP request |

mod choices;
mod fixture;
mod response;
mod targets;

pub use targets::{answer, datagram, doh, packet, query};

pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 5] = [
    ("answer", answer),
    ("datagram", datagram),
    ("doh", doh),
    ("packet", packet),
    ("query", query),
];
