//! The meta row of a store: the last entry applied, the cluster state and the summary of the
//! packets.

use std::path::Path;

use bytes::Bytes;
use quorate_state::{ClusterState, LogIndex, LogPosition, Usage};
use redb::{ReadableTable, Table};

use crate::{
    Damage, PacketsSummary, StoreError,
    schema::{checksum, verify_checksum},
};

/// The start of the row: the magic and the version of the file's format.
const FORMAT: [u8; 4] = *b"Qst\x01";

/// The key of the row. Stores older than this magic have the row too, with another start.
const ROW: &str = "format";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The last entry applied.
    pub applied: Option<LogPosition>,
    /// The membership as of that entry, opaque here.
    pub membership: Bytes,
    /// The cluster state as of that entry. A received snapshot contains its own.
    pub cluster: ClusterState,
    /// The summary of the packets. The store updates it. Nodes that applied the same entries have
    /// the same summary.
    pub packets: PacketsSummary,
}

impl Meta {
    /// The index of the last entry applied, 0 for none.
    pub fn applied_index(&self) -> LogIndex {
        self.applied.map_or(LogIndex(0), |position| position.index)
    }

    /// Reads the row. Fails when it is damaged or has another format. `path` is for the error.
    pub(crate) fn read(
        table: &impl ReadableTable<&'static str, &'static [u8]>,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let row = table.get(ROW)?;
        let row = row.as_ref().map_or([].as_slice(), |row| row.value());
        let damaged = || Damage::new(path, "its meta row cannot be read");
        let row = verify_checksum(row).ok_or_else(damaged)?;
        match row.split_first_chunk() {
            Some((&FORMAT, body)) => Ok(Self::decode(body).ok_or_else(damaged)?),
            Some((&found, _)) => Err(StoreError::Format {
                path: path.to_owned(),
                found,
                supported: FORMAT,
            }),
            None => Err(damaged().into()),
        }
    }

    pub(crate) fn write(
        &self,
        table: &mut Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), StoreError> {
        table.insert(ROW, self.encode().as_slice())?;
        Ok(())
    }

    /// Format, whether an entry was applied, its term and index, the cluster state, count, size and
    /// hash of the packets, membership, checksum.
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
