//! Reads the databases of other pkarr servers. It never writes to them, and verifies nothing: what it returns
//! are bytes of a stranger.
//!
//! | piece | what it reads |
//! |---|---|
//! | [`iroh_dns_server`] | `signed-packets-1.db` of iroh-dns-server 0.35 to 1.4 |
//! | [`pkarr_relay`] | the LMDB directory of pkarr-relay 1 and 2 |
//!
//! Both store a packet as the time at which it was last seen (u64, big-endian, microseconds), the key, and the
//! payload. Older versions of iroh-dns-server did not store the time.

mod iroh_dns_server;
mod pkarr_relay;
mod row;

use std::{io, path::PathBuf};

pub use iroh_dns_server::iroh_dns_server;
pub use pkarr_relay::pkarr_relay;
pub use row::ForeignPacket;

/// The rows of a database, with their number.
pub struct ForeignPackets {
    /// How many there are.
    pub count: u64,
    /// The packets, in the order of the database. An error is a row that cannot be read.
    pub packets: Box<dyn Iterator<Item = Result<ForeignPacket, ForeignError>>>,
}

/// Why a database of another server cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error(
        "{0} is in use: stop the server, or copy the file while it is stopped and import the copy"
    )]
    InUse(PathBuf),
    #[error("{path} cannot be read")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not a database of {program}")]
    NotADatabase {
        path: PathBuf,
        program: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database is damaged after this many rows.
    #[error("the database cannot be read after {rows} rows")]
    Damaged {
        rows: u64,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One row is not a packet.
    #[error("row {0} is not a packet")]
    Row(u64),
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
