//! Reading a checkpoint in the background, to find damage.

use std::sync::Arc;

use crate::{
    Damage, Snapshot, StoreConfig, StoreError, StoreMetrics, file::CheckpointFile,
    reader::PacketReader,
};

/// How many bytes of packets are read at a time: a slow disk takes a millisecond or two.
const PIECE_SIZE: usize = 256 * 1024;

/// Reads the last checkpoint piece by piece.
///
/// The file is opened a second time, without a cache, so that each page is read from the disk or
/// the page cache, as after a restart. A snapshot pins these pages: newer checkpoints write to
/// other pages, and the file grows if the scrub takes long.
pub struct StoreScrub {
    packets: PacketReader,
    is_ended: bool,
    metrics: StoreMetrics,
    /// Pins the pages of the checkpoint.
    pinned: Snapshot,
}

impl StoreScrub {
    pub(crate) fn begin(
        config: &StoreConfig,
        pinned: Snapshot,
        metrics: &StoreMetrics,
    ) -> Result<Self, StoreError> {
        let file = CheckpointFile::open_read_only(config)?;
        let (transaction, meta) = file.begin_read()?;
        if meta != *pinned.meta() {
            let reason = "it does not contain the last checkpoint";
            return Err(Damage::new(&config.path, reason).into());
        }
        Ok(Self {
            packets: PacketReader::new(Arc::new(file), &transaction, meta)?,
            is_ended: false,
            metrics: metrics.clone(),
            pinned,
        })
    }

    /// Verifies the next piece and returns its size in bytes, or `None` after the last one. Blocks
    /// the thread. The caller makes pauses between pieces.
    ///
    /// Fails with [`StoreError::NoSpace`] when a checkpoint found the disk full, which ends the
    /// scrub. Fails with [`StoreError::Damaged`] after the last piece, with everything that was
    /// found, or immediately when it is impossible to read further.
    pub fn next_piece(&mut self) -> Result<Option<usize>, StoreError> {
        if self.is_ended {
            return Ok(None);
        }
        let piece = self.read_piece();
        self.is_ended = !matches!(piece, Ok(Some(_)));
        match &piece {
            Ok(Some(_)) => {}
            Ok(None) => self.metrics.damaged_packets.set(0),
            Err(StoreError::NoSpace { .. }) => {}
            Err(error) => self.metrics.damaged_packets.set(damaged_count(error)),
        }
        piece
    }

    fn read_piece(&mut self) -> Result<Option<usize>, StoreError> {
        let mut size = 0;
        let read = self.packets.read(|_, _, packet_size| {
            size += packet_size;
            size >= PIECE_SIZE
        });
        // If the file was closed, nothing pins the pages that are read here any more.
        self.pinned.file.check_open()?;
        read.map_err(|error| self.packets.inspection.explain(error))?;
        match size {
            0 => self.packets.finish().map(|()| None),
            size => Ok(Some(size)),
        }
    }
}

fn damaged_count(error: &StoreError) -> i64 {
    match error {
        StoreError::Damaged(damage) => damage.packet_count().clamp(1, i64::MAX as u64) as i64,
        _ => 1,
    }
}
