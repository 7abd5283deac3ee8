//! What a loss of power may leave of a log, and of a log with its store: image after image, each
//! opened and held against what was acknowledged.
//!
//! `QUORATE_CRASH_IMAGES` says how many at least; `make crash-images` opens very many.
//!
//! | module | what is in it |
//! |---|---|
//! | `history` | what a log was told and what it acknowledged, and whether a log found agrees |
//! | `log_node`, `gate`, `answer` | a log at work, as its node makes it |
//! | `world` | opens images of each boundary, and crashes the recoveries too |
//! | `log_world` | a log alone on its disk |
//! | `store_node`, `store_epoch`, `packets`, `snapshot`, `store_world` | a log and a store on one disk |
//! | `losses_of_power`, `failed_calls`, `damage`, `planted_bugs` | the tests |
//!
//! Whatever else lives on such a disk is one more `World`.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]
#![allow(
    clippy::print_stdout,
    reason = "how many images there were is a result"
)]

mod answer;
mod budget;
mod damage;
mod failed_calls;
mod gate;
mod history;
mod log_node;
mod log_world;
mod losses_of_power;
mod packets;
mod planted_bugs;
mod snapshot;
mod store_epoch;
mod store_node;
mod store_world;
mod world;
