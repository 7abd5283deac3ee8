//! The records inside a transaction, as the state machine sees them.

use quorate_packet::PublicKey;
use quorate_state::{Record, Records, UnixMillis};
use redb::{ReadableTable, Table};

use crate::{
    StoreError,
    schema::{Key, RetentionKey, retention_key},
};

/// The records of one transaction.
pub struct RecordsMut<'txn> {
    pub(crate) records: Table<'txn, &'static Key, &'static [u8]>,
    pub(crate) retention: Table<'txn, &'static RetentionKey, ()>,
    pub(crate) count: u64,
}

impl Records for RecordsMut<'_> {
    type Error = StoreError;

    fn record(&self, key: &PublicKey) -> Result<Option<Record>, StoreError> {
        find(&self.records, key)
    }

    fn put(&mut self, record: &Record, old: Option<&Record>) -> Result<(), StoreError> {
        let key = record.packet.key().as_bytes();
        self.records.insert(key, record.encode().as_slice())?;
        match old {
            Some(old) => {
                self.retention.remove(&retention_key(old.received, key))?;
            }
            None => self.count += 1,
        }
        self.retention
            .insert(&retention_key(record.received, key), ())?;
        Ok(())
    }

    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, StoreError> {
        let end = retention_key(cutoff, &Key::default());
        let mut removed = 0;
        while removed < count_max {
            let Some((oldest, ())) = self
                .retention
                .pop_first()?
                .map(|(k, v)| (*k.value(), v.value()))
            else {
                break;
            };
            if oldest >= end {
                self.retention.insert(&oldest, ())?;
                break;
            }
            let key = oldest
                .last_chunk()
                .expect("a retention key ends in a public key");
            self.records.remove(key)?;
            removed += 1;
        }
        self.count -= removed as u64;
        Ok(removed)
    }
}

/// The record of `key` in a table.
pub(crate) fn find(
    records: &impl ReadableTable<&'static Key, &'static [u8]>,
    key: &PublicKey,
) -> Result<Option<Record>, StoreError> {
    let Some(value) = records.get(key.as_bytes())? else {
        return Ok(None);
    };
    Record::decode(*key, value.value())
        .map(Some)
        .ok_or_else(|| StoreError::Damaged(format!("the record of {key} is cut short")))
}
