//! The database of iroh-dns-server: redb with a table of packets by key.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTableMetadata,
    TableDefinition,
};

use crate::{ForeignError, ForeignPacket, ForeignPackets, row::KEY_SIZE};

const PROGRAM: &str = "iroh-dns-server";

const PACKETS: TableDefinition<&[u8; KEY_SIZE], &[u8]> = TableDefinition::new("signed-packets-1");

/// Reads the database of a server that is stopped. If the server was killed, a copy of the file in the directory
/// for temporary files is repaired.
pub fn iroh_dns_server(file: &Path) -> Result<ForeignPackets, ForeignError> {
    guarded(|| open(file)).unwrap_or_else(|panic| Err(not_a_database(file, panic)))
}

/// redb panics at some damage.
#[derive(Debug, thiserror::Error)]
#[error("redb failed on damaged data")]
struct Panicked;

fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

fn open(file: &Path) -> Result<ForeignPackets, ForeignError> {
    let database = match ReadOnlyDatabase::open(file) {
        Ok(database) => Opened::AsIs(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            return Err(ForeignError::InUse(file.to_owned()));
        }
        Err(DatabaseError::RepairAborted) => Opened::repaired(file)?,
        Err(error) => return Err(not_a_database(file, error)),
    };
    let transaction = database.begin_read();
    let transaction = transaction.map_err(|error| not_a_database(file, error))?;
    let table = transaction.open_table(PACKETS);
    let table = table.map_err(|error| not_a_database(file, error))?;
    let count = table.len().map_err(|error| not_a_database(file, error))?;
    let rows = table.range::<&[u8; KEY_SIZE]>(..);
    let mut rows = rows.map_err(|error| not_a_database(file, error))?;
    let (mut number, mut has_failed) = (0, false);
    let packets = std::iter::from_fn(move || {
        // Until the last row is read.
        let _open = &database;
        if has_failed {
            return None;
        }
        let row = guarded(|| {
            let row = rows.next()?;
            Some(row.map(|(key, value)| ForeignPacket::parse(value.value(), Some(key.value()))))
        });
        let damaged = |source: Box<dyn std::error::Error + Send + Sync>| ForeignError::Damaged {
            rows: number,
            source,
        };
        let row = match row.map_err(|panic| damaged(panic.into())) {
            Ok(None) => return None,
            Ok(Some(row)) => row.map_err(|error| damaged(error.into())),
            Err(error) => Err(error),
        };
        has_failed = row.is_err();
        number += 1;
        Some(row.and_then(|packet| packet.ok_or(ForeignError::Row(number))))
    });
    Ok(ForeignPackets {
        count,
        packets: Box::new(packets),
    })
}

enum Opened {
    AsIs(ReadOnlyDatabase),
    /// A repaired copy, which is removed when it is no longer used.
    Repaired(Database, #[expect(dead_code)] tempfile::TempDir),
}

impl Opened {
    fn repaired(file: &Path) -> Result<Self, ForeignError> {
        let dir = tempfile::tempdir();
        let copied = dir.and_then(|dir| {
            let copy = dir.path().join("copy.db");
            fs::copy(file, &copy)?;
            Ok((copy, dir))
        });
        let (copy, dir) = copied.map_err(|source| ForeignError::Io {
            path: file.to_owned(),
            source,
        })?;
        let database = Database::open(copy).map_err(|error| not_a_database(file, error))?;
        Ok(Self::Repaired(database, dir))
    }

    fn begin_read(&self) -> Result<redb::ReadTransaction, redb::TransactionError> {
        match self {
            Self::AsIs(database) => database.begin_read(),
            Self::Repaired(database, _) => database.begin_read(),
        }
    }
}

fn not_a_database(
    path: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ForeignError {
    ForeignError::NotADatabase {
        path: path.to_owned(),
        program: PROGRAM,
        source: Box::new(source),
    }
}
