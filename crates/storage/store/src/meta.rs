//! What a store says of itself.

use std::path::Path;

use bytes::Bytes;
use quorate_state::{ClusterState, LogIndex, LogPosition, Usage};
use redb::{ReadableTable, Table};

use crate::{
    Damage, PacketsSummary, StoreError,
    schema::{checked, checksum},
};

/// How the row begins: the magic and the version of the format of the file.
const FORMAT: [u8; 4] = *b"Qst\x01";

/// The row. Stores of before this magic have it too, and begin otherwise.
const ROW: &str = "format";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The last entry applied.
    pub applied: Option<LogPosition>,
    /// The membership as of that entry, opaque here.
    pub membership: Bytes,
    /// What the cluster had agreed on as of that entry. A received snapshot brings its own.
    pub cluster: ClusterState,
    /// What the packets are together. Kept by the store: nodes that applied the same entries have
    /// the same.
    pub packets: PacketsSummary,
}

impl Meta {
    /// The index of the last entry applied, 0 for none.
    pub fn applied_index(&self) -> LogIndex {
        self.applied.map_or(LogIndex(0), |position| position.index)
    }

    /// Reads it from the file at `path`.
    pub(crate) fn read(
        table: &impl ReadableTable<&'static str, &'static [u8]>,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let row = table.get(ROW)?;
        let row = row.as_ref().map_or([].as_slice(), |row| row.value());
        let unreadable = || Damage::new(path, "what it says of itself is unreadable");
        let whole = checked(row).ok_or_else(unreadable)?;
        match whole.split_first_chunk() {
            Some((&FORMAT, body)) => Ok(Self::decode(body).ok_or_else(unreadable)?),
            Some((&found, _)) => Err(StoreError::Format {
                path: path.to_owned(),
                found,
                supported: FORMAT,
            }),
            None => Err(unreadable().into()),
        }
    }

    pub(crate) fn write(
        &self,
        table: &mut Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), StoreError> {
        table.insert(ROW, self.encode().as_slice())?;
        Ok(())
    }

    /// Format, whether an entry was applied, its term and index, what the cluster has agreed on,
    /// count, size and hash of the packets, membership, checksum.
    fn encode(&self) -> Vec<u8> {
        let LogPosition { term, index } = self.applied.unwrap_or(LogPosition::new(0, 0));
        let mut bytes = FORMAT.to_vec();
        bytes.push(self.applied.is_some().into());
        bytes.extend_from_slice(&term.0.to_be_bytes());
        bytes.extend_from_slice(&index.0.to_be_bytes());
        bytes.extend_from_slice(&self.cluster.encode());
        bytes.extend_from_slice(&self.packets.usage.count.to_be_bytes());
        bytes.extend_from_slice(&self.packets.usage.size.to_be_bytes());
        bytes.extend_from_slice(&self.packets.hash.to_be_bytes());
        bytes.extend_from_slice(&self.membership);
        bytes.extend_from_slice(&checksum(&bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let ([is_applied], rest) = bytes.split_first_chunk()?;
        let (term, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (cluster, rest) = ClusterState::decode(rest).ok()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (hash, membership) = rest.split_first_chunk()?;
        let position = LogPosition::new(u64::from_be_bytes(*term), u64::from_be_bytes(*index));
        Some(Self {
            applied: (*is_applied != 0).then_some(position),
            membership: Bytes::copy_from_slice(membership),
            cluster,
            packets: PacketsSummary {
                usage: Usage {
                    count: u64::from_be_bytes(*count),
                    size: u64::from_be_bytes(*size),
                },
                hash: u128::from_be_bytes(*hash),
            },
        })
    }
}
