//! Certificates by ACME (RFC 8555): a certificate authority is asked for a certificate of the zones' names, and
//! asked again before it expires.
//!
//! It runs on every node, and only the leader orders. The authority verifies that the names are ours by a TXT
//! record (challenge `dns-01`), which the leader sets in the replicated zone and removes afterwards. All that an
//! order needs is stored as replicated secrets before it is used. So the next leader goes on with the order
//! of the one before it, with the same account, and never starts a second one beside it.
//!
//! ```text
//! due ─▶ account ─▶ order ─▶ records set ─▶ served by all ─▶ challenges ready ─▶ finalized ─▶ checked ─▶ stored
//! ```
//!
//! | secret | what it has |
//! |---|---|
//! | `acme_account` | the key of the account, and where the account is |
//! | `acme_order` | the pending order with the key of its certificate, the records that it has set, what was tried and when to try again, and certificates to revoke |
//! | `certificate` | the chain and its key, and when to renew it |
//!
//! The authority is not trusted: each request has a timeout and each response a size limit, its `Retry-After` is
//! bounded, and a certificate is stored only if it is for our key and all of our names, and has not expired. Each
//! failure is counted, logged and stored with the time of the next attempt, so that neither a restart nor
//! a change of the leader makes the attempts more frequent.
//!
//! | piece | what it is |
//! |---|---|
//! | [`AcmeConfig`], [`KeyType`], [`Delegated`] | the settings |
//! | [`Acme`] | the running task, and its state for operators |
//! | [`watch_certificate`], [`CertificatePem`] | the stored certificate, for the listeners |
//! | [`AcmeMetrics`] | the metrics |
//!
//! One window is left: an order whose creation was not stored, because the leader stopped between the response of
//! the authority and the log, is forgotten. It expires at the authority.
//!
//! Sources: RFC 8555 (ACME), 9773 (renewal information).

mod account;
mod acme;
mod attempt;
mod backoff;
mod certificate_check;
mod certificate_key;
mod challenge;
mod challenge_records;
mod clock;
mod config;
mod context;
mod delegated;
mod documents;
mod due;
mod failure;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod fixture;
mod http_client;
mod metrics;
mod names;
mod order;
mod order_state;
#[cfg(test)]
mod pebble_tests;
mod renewal;
mod revocation;
mod status;
mod stored;
mod watch;

pub use acme::Acme;
pub use config::{AcmeConfig, KeyType};
pub use delegated::Delegated;
pub use metrics::AcmeMetrics;
pub use watch::{CertificatePem, watch_certificate};
