//! Tables and the values in them.

use bytes::Bytes;
use quorate_packet::PUBLIC_KEY_SIZE;
use quorate_state::{LogIndex, LogPosition, UnixMillis};
use redb::{ReadableTable, TableDefinition};

use crate::StoreError;

/// The format of the file. Written when it is made, checked whenever it is opened.
pub(crate) const FORMAT: u8 = 1;

pub(crate) type Key = [u8; PUBLIC_KEY_SIZE];
pub(crate) type RetentionKey = [u8; 8 + PUBLIC_KEY_SIZE];

pub(crate) const PACKETS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("records");
pub(crate) const RETENTION: TableDefinition<'_, &RetentionKey, ()> =
    TableDefinition::new("retention");
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

pub(crate) const META_FORMAT: &str = "format";
const META_APPLIED: &str = "applied";
const META_MEMBERSHIP: &str = "membership";
const META_PACKET_COUNT: &str = "record_count";

/// What the file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The last entry applied.
    pub applied: Option<LogPosition>,
    /// The membership as of that entry, opaque here.
    pub membership: Bytes,
    /// The number of packets.
    pub packet_count: u64,
}

impl Meta {
    /// The index of the last entry applied, 0 for none.
    pub fn applied_index(&self) -> LogIndex {
        self.applied.map_or(LogIndex(0), |position| position.index)
    }

    pub(crate) fn read(
        table: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, StoreError> {
        let applied = match table.get(META_APPLIED)? {
            Some(bytes) => Some(decode_position(bytes.value())?),
            None => None,
        };
        let membership = table.get(META_MEMBERSHIP)?;
        let packet_count = match table.get(META_PACKET_COUNT)? {
            Some(bytes) => decode_u64(bytes.value())?,
            None => 0,
        };
        Ok(Self {
            applied,
            membership: membership
                .map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes.value())),
            packet_count,
        })
    }

    pub(crate) fn write(
        &self,
        table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), StoreError> {
        if let Some(LogPosition { term, index }) = self.applied {
            let bytes = [term.0.to_be_bytes(), index.0.to_be_bytes()].concat();
            table.insert(META_APPLIED, bytes.as_slice())?;
        }
        table.insert(META_MEMBERSHIP, self.membership.as_ref())?;
        table.insert(
            META_PACKET_COUNT,
            self.packet_count.to_be_bytes().as_slice(),
        )?;
        Ok(())
    }
}

pub(crate) fn retention_key(received: UnixMillis, key: &Key) -> RetentionKey {
    let mut bytes = [0; 8 + PUBLIC_KEY_SIZE];
    bytes[..8].copy_from_slice(&received.0.to_be_bytes());
    bytes[8..].copy_from_slice(key);
    bytes
}

/// The time in a retention key.
pub(crate) fn received(key: &RetentionKey) -> UnixMillis {
    let time = key
        .first_chunk()
        .expect("a retention key begins with a time");
    UnixMillis(u64::from_be_bytes(*time))
}

fn decode_position(bytes: &[u8]) -> Result<LogPosition, StoreError> {
    let (term, index) = bytes.split_at_checked(8).unwrap_or_default();
    Ok(LogPosition::new(decode_u64(term)?, decode_u64(index)?))
}

fn decode_u64(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| StoreError::Damaged("a number is cut short".into()))?;
    Ok(u64::from_be_bytes(bytes))
}
