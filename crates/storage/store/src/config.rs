//! Where a store is.

use std::{path::PathBuf, sync::Arc};

use quorate_disk::Disk;

#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub disk: Arc<dyn Disk>,
    /// The file. Those that are being built stand beside it. The directory must be there.
    pub path: PathBuf,
    /// Memory for the pages that checkpoints and snapshots work on, in bytes. A file that is being
    /// received takes as much again.
    pub cache_size: usize,
}
