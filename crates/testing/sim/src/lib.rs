//! A simulated disk in memory, for tests of I/O errors, full disks and power loss.
//!
//! [`SimDisk`] gives the guarantees of [`quorate_disk`] and no others. It records every operation.
//! The point between two operations is a *boundary*. [`SimDisk::image`] is the disk that a power
//! loss at a boundary would leave. Code that is correct on every image of every boundary is correct
//! on a real disk that gives the same guarantees.
//!
//! | what is modelled | how |
//! |---|---|
//! | unsynced content | each sector is as it was after some write since the last sync |
//! | unsynced sizes | the changes to the size of a file survive up to one of them, in order |
//! | unsynced names | the changes of names in a directory survive up to one of them, in order |
//! | space | each sector that was written or reserved uses space; holes and names use none |
//! | a failed sync | the process still reads the bytes, but they are not on the medium, and no later sync writes them |
//! | death of the process | [`SimDisk::kill`]: written bytes are readable, only synced ones are durable |
//! | damage | [`SimDisk::flip_bit`] and similar: on the medium and visible immediately |
//!
//! The same calls with the same seeds give the same images: nothing here reads a clock or asks the
//! system for randomness.

mod content;
mod damage;
mod disk;
mod fault;
mod file;
mod image;
mod names;
mod power_loss;
mod replay;
mod shared;
mod space;
mod state;
mod survival;
mod trace;

pub use disk::SimDisk;
pub use fault::Call;
pub use power_loss::PowerLoss;
