//! A disk in memory that records, fails and loses power as told.
//!
//! [`SimDisk`] keeps the promises of [`quorate_disk`] and no others. It notes every operation; the
//! number of those is a *boundary*, and [`SimDisk::image`] is what a loss of power right after one
//! would leave. Whatever keeps its word on every image of every boundary keeps it on a real disk
//! that keeps its own.
//!
//! | what is modelled | how |
//! |---|---|
//! | content that is not synced | each sector is as it was after some write since the last sync |
//! | sizes that are not synced | those of a file survive up to one of them, in order |
//! | names that are not synced | those of a directory survive up to one of them, in order |
//! | space | each sector that was written or reserved takes its own; a hole, and a name, none |
//! | a sync that fails | shown as before, not on the medium, and no later sync brings it there |
//! | the death of the process | [`SimDisk::kill`]: what was written is shown, what was synced is durable |
//! | damage | [`SimDisk::flip_bit`] and the like: on the medium and as shown |
//!
//! Equal calls and seeds give equal images: nothing here asks a clock or the system for randomness.

mod content;
mod damage;
mod disk;
mod fault;
mod file;
mod image;
mod loss;
mod names;
mod replay;
mod shared;
mod space;
mod state;
mod survival;
mod trace;

pub use disk::SimDisk;
pub use fault::Call;
pub use loss::Loss;
