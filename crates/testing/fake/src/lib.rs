//! An in-memory replica for the tests of the DNS and HTTP servers. Tests can make it fail.
//!
//! A dev-dependency only. It is the only node of its cluster and behaves like a real one: reads
//! return what was PUT, newer packets supersede older ones, and the digest covers all packets. A
//! test can also store anything in it, delay its answers, and turn each of them into an error.
//!
//! | piece | what it is |
//! |---|---|
//! | [`FakeReplica`] | `Reader`, `Observer`, `Replica`, `Operator` and `SecretStore` in one |
//! | [`FakeCertificate`] | the state of a certificate |
//! | [`FakeDht`] | a bridge to a DHT |
//! | [`Operators`] | the requests of operators, and their answers |
//! | [`Secrets`] | the replicated secrets |
//! | [`packet`] | a packet signed by the `pkarr` crate |
//! | [`received_now`], [`unverified`] | packets that a test can store in it |

mod answers;
mod certificate;
mod dht;
mod operator;
mod packet;
mod replica;
mod secret_store;
mod secrets;
mod state;

pub use certificate::FakeCertificate;
pub use dht::FakeDht;
pub use operator::Operators;
pub use packet::{packet, received_now, unverified};
pub use replica::FakeReplica;
pub use secrets::Secrets;
pub use state::READ_ERROR;
