//! The directory of the log, and the sizes of its parts.

use std::{fmt, path::PathBuf, sync::Arc};

use quorate_disk::Disk;

use crate::{
    group::{GROUP_ALIGNMENT, GROUP_HEADER_SIZE, GROUP_SIZE_MAX},
    injected_fault::InjectedFault,
    item::{BOUNDS_SIZE, ENTRY_OVERHEAD},
    segment::SEGMENT_HEADER_SIZE,
};

/// The directory of the log, in the data directory of a node.
pub const LOG_DIR: &str = "log";

/// The smallest segment size: a few small groups fit.
const SEGMENT_SIZE_MIN: u64 = 4 * 1024;

/// The most purged segments that are kept, even if they are small.
const SPARE_COUNT_MAX: u64 = 16;

/// The largest segment size: an offset in a segment has 32 bits.
const SEGMENT_SIZE_MAX: u64 = 1024 * 1024 * 1024;

/// The default segment size. Small enough for the first start of a node, which fills two segments
/// with zeros; large enough that at full load a segment lasts for more than a second.
const SEGMENT_SIZE: u64 = 4 * 1024 * 1024;

/// The most bytes of purged segments that are kept for reuse. That is about what is written between
/// two checkpoints; each checkpoint purges the log, so at full load no new segment is needed.
const SPARE_SIZE_MAX: u64 = 64 * 1024 * 1024;

/// The default size of the cache of entries: enough for a follower that is a second behind at full
/// load. One that is further behind is served from files, which are still in the page cache.
const CACHE_SIZE_MAX: usize = 8 * 1024 * 1024;

/// The directory of the log, and the sizes of its parts.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub disk: Arc<dyn Disk>,
    /// The directory, created if absent. One process at a time can use it.
    pub dir: PathBuf,
    /// The size of new segments, in bytes, from 4 KiB to 1 GiB. Purging frees only complete
    /// segments. One further segment is allocated in advance. No entry can be larger than a
    /// segment.
    pub segment_size: u64,
    /// The most bytes of entries kept in memory for followers, in addition to those not yet on
    /// disk.
    pub cache_size_max: usize,
    /// Is notified when a write starts and ends.
    pub sync_observer: Option<Arc<dyn SyncObserver>>,
    #[doc(hidden)]
    #[cfg(any(test, feature = "injected-faults"))]
    pub injected_fault: Option<InjectedFault>,
}

/// Is notified of each write, to measure the disk. Called on the thread that writes: must not
/// block.
pub trait SyncObserver: fmt::Debug + Send + Sync {
    /// A group or a vote is about to be written and synced.
    fn write_started(&self);

    /// The write is on disk, or has failed.
    fn write_finished(&self);
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
            #[cfg(any(test, feature = "injected-faults"))]
            injected_fault: None,
        }
    }

    /// The size of new segments, within its limits and rounded down to the alignment of groups.
    pub(crate) fn segment_size(&self) -> u64 {
        let size = self.segment_size.clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
        size - size % GROUP_ALIGNMENT as u64
    }

    /// How many purged segments are kept for reuse.
    pub(crate) fn spare_count_max(&self) -> usize {
        (SPARE_SIZE_MAX / self.segment_size()).clamp(1, SPARE_COUNT_MAX) as usize
    }

    /// The most bytes of items in one group: together with the bounds they fit into an empty
    /// segment.
    pub(crate) fn items_size_max(&self) -> usize {
        let group_size = (self.segment_size() - SEGMENT_HEADER_SIZE).min(GROUP_SIZE_MAX as u64);
        group_size as usize - GROUP_HEADER_SIZE - BOUNDS_SIZE
    }

    /// The largest payload of an entry, in bytes.
    pub(crate) fn payload_size_max(&self) -> usize {
        self.items_size_max() - ENTRY_OVERHEAD
    }

    /// Whether a test has injected this fault.
    pub(crate) fn has(&self, injected_fault: InjectedFault) -> bool {
        #[cfg(any(test, feature = "injected-faults"))]
        return self.injected_fault == Some(injected_fault);
        #[cfg(not(any(test, feature = "injected-faults")))]
        {
            let _ = injected_fault;
            false
        }
    }
}
