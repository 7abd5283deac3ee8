//! Reading a checkpoint again to see whether it is still there.

use std::sync::Arc;

use crate::{
    Damage, Snapshot, StoreConfig, StoreError, StoreMetrics, file::CheckpointFile,
    reader::PacketReader,
};

/// How much of packets is read at once, in bytes: a millisecond or two of a slow disk.
const PIECE_SIZE: usize = 256 * 1024;

/// Reads the last checkpoint piece by piece.
///
/// The file is opened a second time, without a cache, so that each page comes from the disk, or from
/// the kernel's copy of it, as it would after a restart. Meanwhile a snapshot pins these pages: newer
/// checkpoints go to others, and the file grows if this lasts long.
pub struct StoreScrub {
    packets: PacketReader,
    is_ended: bool,
    metrics: StoreMetrics,
    pages: Snapshot,
}

impl StoreScrub {
    pub(crate) fn begin(
        config: &StoreConfig,
        pages: Snapshot,
        metrics: &StoreMetrics,
    ) -> Result<Self, StoreError> {
        let file = CheckpointFile::open_read_only(config)?;
        let (transaction, meta) = file.begin_read()?;
        if meta != *pages.meta() {
            let reason = "it shows another checkpoint than the last";
            return Err(Damage::new(&config.path, reason).into());
        }
        Ok(Self {
            packets: PacketReader::new(Arc::new(file), &transaction, meta)?,
            is_ended: false,
            metrics: metrics.clone(),
            pages,
        })
    }

    /// Verifies the next piece and says how many bytes of packets it had, or `None` behind the last.
    /// To be called where a thread may block; pauses between pieces are the caller's.
    ///
    /// [`StoreError::NoSpace`] says that the scrub was cut short by a checkpoint that met a full disk.
    /// [`StoreError::Damaged`] comes at the end with all that was found, or at once where reading on
    /// is impossible.
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
        // From then on nothing keeps the pages that are read here.
        self.pages.file.check_open()?;
        read.map_err(|error| self.packets.inspection.explain(error))?;
        match size {
            0 => self.packets.end().map(|()| None),
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
