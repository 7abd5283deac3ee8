//! Tests of a log, and of a log with its store, after a power loss. Each test opens many images of
//! a disk, and compares each with what was acknowledged.
//!
//! `QUORATE_CRASH_IMAGES` sets the minimum number of images; `make crash-images` opens very many.
//!
//! A *world* is a disk with everything that happened on it, determined by a seed.
//!
//! | module | content |
//! |---|---|
//! | `history` | what was requested from a log and what it acknowledged; checks an opened log against it |
//! | `log_node`, `gate`, `result_sender` | does random steps on a log, as a node would |
//! | `world` | opens images of each boundary, and crashes the recoveries too |
//! | `log_world` | a world with a log |
//! | `store_node`, `store_epoch`, `packets`, `snapshot`, `store_world` | a world with a log and a store |
//! | `power_loss`, `failed_calls`, `damage`, `injected_faults` | the tests |
//!
//! To test something else on such a disk, implement `World` for it.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]
#![allow(
    clippy::print_stdout,
    reason = "the tests print how many images they opened"
)]

mod budget;
mod damage;
mod failed_calls;
mod gate;
mod history;
mod injected_faults;
mod log_node;
mod log_world;
mod packets;
mod power_loss;
mod result_sender;
mod snapshot;
mod store_epoch;
mod store_node;
mod store_world;
mod world;
