//! What is in a log, as nodes tell each other.

use quorate_log::Log;
use quorate_peer::LogState;

/// What is in a log.
pub(crate) fn log_state(log: &Log) -> LogState {
    match log.state().last {
        None => LogState::Empty,
        Some(last) if last.index.0 == 0 => LogState::Founding,
        Some(_) => LogState::More,
    }
}
