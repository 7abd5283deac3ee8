//! Where the log lives and how large its parts are.

use std::{fmt, path::PathBuf, sync::Arc};

use quorate_disk::Disk;

use crate::{
    group::{GROUP_ALIGNMENT, GROUP_HEADER_SIZE, GROUP_SIZE_MAX},
    injected_fault::InjectedFault,
    item::{BASE_SIZE, ENTRY_OVERHEAD},
    segment::SEGMENT_HEADER_SIZE,
};

/// The smallest segment: a few small groups.
const SEGMENT_SIZE_MIN: u64 = 4 * 1024;

/// The most purged segments that are kept, however small they are.
const SPARE_COUNT_MAX: u64 = 16;

/// The largest segment: offsets in it are held in 32 bits.
const SEGMENT_SIZE_MAX: u64 = 1024 * 1024 * 1024;

/// The size of a segment by default: two are written full of zeros when a node starts for the first
/// time, and at full load one lasts for more than a second.
const SEGMENT_SIZE: u64 = 4 * 1024 * 1024;

/// The most bytes of purged segments that are kept to be used again: about what is written between
/// two checkpoints, behind which the log is purged, so that at full load none need be made.
const SPARE_SIZE_MAX: u64 = 64 * 1024 * 1024;

/// The most bytes of entries kept in memory by default: what a follower lacks that is a second behind at
/// full load. One that lacks more gets it from files that the system still has in memory.
const CACHE_SIZE_MAX: usize = 8 * 1024 * 1024;

/// Where the log lives and how large its parts are.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub disk: Arc<dyn Disk>,
    /// The directory, created if absent. One process at a time holds it.
    pub dir: PathBuf,
    /// The size of new segments, in bytes, from 4 KiB to 1 GiB. Purging frees whole segments, one
    /// is ready beside those in use, and no entry can be larger.
    pub segment_size: u64,
    /// The most bytes of entries kept in memory for followers, beside those not yet on disk.
    pub cache_size_max: usize,
    /// Who hears how long the disk takes, if anybody.
    pub sync_observer: Option<Arc<dyn SyncObserver>>,
    #[doc(hidden)]
    #[cfg(any(test, feature = "flaws"))]
    pub injected_fault: Option<InjectedFault>,
}

/// Hears of the work of the thread that writes, on that thread: it must not wait.
pub trait SyncObserver: fmt::Debug + Send + Sync {
    /// A group or a vote is about to be written and synced.
    fn begun(&self);

    /// It is on disk, or has failed.
    fn ended(&self);
}

impl LogConfig {
    /// The defaults for a log in `dir`.
    pub fn new(disk: Arc<dyn Disk>, dir: impl Into<PathBuf>) -> Self {
        Self {
            disk,
            dir: dir.into(),
            segment_size: SEGMENT_SIZE,
            cache_size_max: CACHE_SIZE_MAX,
            sync_observer: None,
            #[cfg(any(test, feature = "flaws"))]
            injected_fault: None,
        }
    }

    /// The size of new segments, within its bounds and on a boundary of groups.
    pub(crate) fn segment_size(&self) -> u64 {
        let size = self.segment_size.clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
        size - size % GROUP_ALIGNMENT as u64
    }

    /// How many purged segments are kept to be used again.
    pub(crate) fn spare_count_max(&self) -> usize {
        (SPARE_SIZE_MAX / self.segment_size()).clamp(1, SPARE_COUNT_MAX) as usize
    }

    /// The most bytes of items in one group: with a base they fit into an empty segment.
    pub(crate) fn items_size_max(&self) -> usize {
        let group_size = (self.segment_size() - SEGMENT_HEADER_SIZE).min(GROUP_SIZE_MAX as u64);
        group_size as usize - GROUP_HEADER_SIZE - BASE_SIZE
    }

    /// The largest payload of an entry, in bytes.
    pub(crate) fn payload_size_max(&self) -> usize {
        self.items_size_max() - ENTRY_OVERHEAD
    }

    /// Whether this bug is planted.
    pub(crate) fn has(&self, injected_fault: InjectedFault) -> bool {
        #[cfg(any(test, feature = "flaws"))]
        return self.injected_fault == Some(injected_fault);
        #[cfg(not(any(test, feature = "flaws")))]
        {
            let _ = injected_fault;
            false
        }
    }
}
