//! Who a node is, how two nodes make sure of each other, and by what clients know a server.
//!
//! A node *is* its Ed25519 key ([`Identity`]), made on first start and kept with its data. Two nodes
//! prove their keys to each other by TLS 1.3 with raw public keys (RFC 7250): there is no authority
//! to trust, no certificate to expire and no name to check. The one that connects knows beforehand
//! which key must answer; the one that listens admits the keys it is told to, and ends the
//! handshake with any other, so that a stranger gets no byte of what is spoken inside.
//!
//! Nothing is resumed and no data goes early: each connection proves both keys anew, and what was
//! sent once cannot be replayed. Only ring's algorithms are used, given explicitly, so that no other
//! part of the process can change them.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Identity`] | the secret key of a node, and its file |
//! | [`client_config`] | TLS to the one node that has the expected key |
//! | [`server_config`] | TLS for nodes whose keys are admitted |
//! | [`peer_key`] | who is at the other end of a connection |
//! | [`ServerCertificate`] | the certificate that clients see, of files that may change |
//! | [`KeyRejection`] | which end refused which key, when a handshake failed over one |

mod certificate;
mod config;
mod identity;
mod raw_key;

pub use certificate::{CertificateError, CertificateFiles, CertificatePair, ServerCertificate};
pub use config::{
    Admit, KeyRejection, PROTOCOL, client_config, peer_key, server_config, server_name,
};
pub use identity::{Identity, IdentityError};
