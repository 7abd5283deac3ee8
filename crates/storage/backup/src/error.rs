//! Why a backup cannot be read.

use std::io;

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("this is not a backup of Quorate: it does not begin as one")]
    Magic,
    #[error("the backup has version {0:?}, which this program cannot read: use a newer one")]
    Version(char),
    /// A chunk is damaged, or the file ends early.
    #[error("chunk {number} at byte {offset} is damaged: {reason}")]
    Damaged {
        number: u32,
        /// Where the chunk starts in the file.
        offset: u64,
        reason: String,
    },
    #[error("the backup cannot be read")]
    Io(#[from] io::Error),
}
