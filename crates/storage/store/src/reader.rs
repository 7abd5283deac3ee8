//! Reading the packets of a checkpoint in the order of their keys.

use std::{ops::Bound, sync::Arc};

use quorate_state::StoredPacket;
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    Meta, StoreError,
    file::CheckpointFile,
    inspection::Inspection,
    schema::{Key, PACKETS},
};

/// Reads the packets of a checkpoint, and checks each of them.
pub(crate) struct PacketReader {
    packets: ReadOnlyTable<&'static Key, &'static [u8]>,
    file: Arc<CheckpointFile>,
    pub(crate) meta: Meta,
    pub(crate) inspection: Inspection,
}

impl PacketReader {
    pub(crate) fn new(
        file: Arc<CheckpointFile>,
        transaction: &ReadTransaction,
        meta: Meta,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            packets: file.reading(|| Ok(transaction.open_table(PACKETS)?))?,
            inspection: Inspection::new(file.path.clone()),
            file,
            meta,
        })
    }

    /// Continues to read until `visit` returns true. It gets each key, the packet if it is
    /// undamaged, and the size of both in the file, in bytes.
    pub(crate) fn read(
        &mut self,
        mut visit: impl FnMut(&Key, Option<StoredPacket>, usize) -> bool,
    ) -> Result<(), StoreError> {
        let Self {
            packets,
            file,
            inspection,
            ..
        } = self;
        file.reading(|| {
            let start = inspection.last_key;
            let start = start.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            for entry in packets.range::<&Key>((start, Bound::Unbounded))? {
                let (key, value) = entry?;
                let (key, value) = (key.value(), value.value());
                let stored = inspection.check(key, value)?;
                if visit(key, stored, key.len() + value.len()) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The error for the packet that was read last.
    pub(crate) fn damaged_packet(&self) -> StoreError {
        let reason = "a packet has a wrong checksum";
        self.inspection.damage(reason).into()
    }

    /// Compares the packets with the summary of the checkpoint, after all were read.
    pub(crate) fn finish(&self) -> Result<(), StoreError> {
        self.inspection.finish(&self.meta)
    }
}
