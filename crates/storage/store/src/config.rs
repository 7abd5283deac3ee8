//! The configuration of a store.

use std::{path::PathBuf, sync::Arc};

use quorate_disk::Disk;

/// The file of the store, in the data directory of a node.
pub const STORE_FILE: &str = "records.redb";

#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub disk: Arc<dyn Disk>,
    /// The file. New files are built in the same directory, which must exist.
    pub path: PathBuf,
    /// The cache for the pages that checkpoints and snapshots use, in bytes. A snapshot that is
    /// being received uses a second cache of the same size.
    pub cache_size: usize,
}
