//! The database of pkarr-relay: LMDB with a table of packets by the SHA-1 of their keys.

use std::path::Path;

use heed::{Database, EnvFlags, EnvOpenOptions, types::Bytes};

use crate::{ForeignError, ForeignPacket, ForeignPackets};

const PROGRAM: &str = "pkarr-relay";

const PACKETS: &str = "pkarrcache:signed_packet";

/// How many tables the program makes.
const TABLE_COUNT: u32 = 3;

/// The file of the packets in the directory.
const DATA_FILE: &str = "data.mdb";

/// How many rows are read at a time.
const ROW_COUNT: usize = 1024;

/// Reads the database of a relay that is stopped. A relay that runs is not noticed, and its rows may be
/// unreadable.
pub fn pkarr_relay(dir: &Path) -> Result<ForeignPackets, ForeignError> {
    let data = dir.join(DATA_FILE);
    let metadata = std::fs::metadata(&data).map_err(|source| ForeignError::Io {
        path: data.clone(),
        source,
    })?;
    let size = metadata.len();
    let not_a_database = |error: heed::Error| ForeignError::NotADatabase {
        path: dir.to_owned(),
        program: PROGRAM,
        source: error.to_string().into(),
    };
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.max_dbs(TABLE_COUNT);
    // SAFETY: the documentation requires that no other process changes the file meanwhile and that the
    // environment is not opened twice. The operator stops the relay first; this opens it once, and writes
    // nothing, not even a lock.
    #[allow(unsafe_code)]
    let env = unsafe {
        options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
        options.open(dir)
    };
    let env = env.map_err(not_a_database)?;
    // LMDB maps the file, so a page that is missing would end the process.
    let needed = (env.info().last_page_number as u64 + 1) * u64::from(env.stat().page_size);
    if size < needed {
        return Err(ForeignError::NotADatabase {
            path: dir.to_owned(),
            program: PROGRAM,
            source: format!("it has {size} bytes, and states {needed}").into(),
        });
    }
    let transaction = env.read_txn().map_err(not_a_database)?;
    let table: Option<Database<Bytes, Bytes>> = env
        .open_database(&transaction, Some(PACKETS))
        .map_err(not_a_database)?;
    let table = table.ok_or_else(|| ForeignError::NotADatabase {
        path: dir.to_owned(),
        program: PROGRAM,
        source: format!("it has no table {PACKETS}").into(),
    })?;
    let count = table.len(&transaction).map_err(not_a_database)?;
    // Otherwise the table is closed again.
    transaction.commit().map_err(not_a_database)?;
    let (mut number, mut is_done) = (0, false);
    let mut last: Option<Vec<u8>> = None;
    let batches = std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let batch = (|| {
            let transaction = env.read_txn()?;
            let start = match &last {
                Some(last) => std::ops::Bound::Excluded(&last[..]),
                None => std::ops::Bound::Unbounded,
            };
            let range = (start, std::ops::Bound::Unbounded);
            let mut batch = Vec::new();
            for row in table.range(&transaction, &range)?.take(ROW_COUNT) {
                let (key, value) = row?;
                number += 1;
                let packet = ForeignPacket::parse(value, None);
                batch.push((key.to_vec(), packet.ok_or(ForeignError::Row(number))));
            }
            Ok(batch)
        })();
        let batch: Vec<(Vec<u8>, _)> = batch.unwrap_or_else(|error: heed::Error| {
            is_done = true;
            let damaged = ForeignError::Damaged {
                rows: number,
                source: error.to_string().into(),
            };
            vec![(Vec::new(), Err(damaged))]
        });
        last = batch.last().map(|(key, _)| key.clone());
        is_done |= batch.is_empty();
        Some(batch.into_iter().map(|(_, packet)| packet))
    });
    Ok(ForeignPackets {
        count,
        packets: Box::new(batches.flatten()),
    })
}
