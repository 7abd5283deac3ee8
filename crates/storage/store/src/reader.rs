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

/// The packets of a checkpoint, each checked when it is read.
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

    /// Reads on until `take` has enough. It is given each key, the packet if that is undamaged, and
    /// the bytes that both take in the file.
    pub(crate) fn read(
        &mut self,
        mut take: impl FnMut(&Key, Option<StoredPacket>, usize) -> bool,
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
                if take(key, stored, key.len() + value.len()) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Compares what was read, which is all, with what the checkpoint says of itself.
    pub(crate) fn end(&self) -> Result<(), StoreError> {
        self.inspection.end(&self.meta)
    }
}
