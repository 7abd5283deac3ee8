//! Signals and exit codes.

use std::{
    future,
    time::{Duration, Instant},
};

use anyhow::Context;
use quorate_peer::JoinError;
use quorate_raft::{FatalError, OpenError, ShutdownError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::start::StartError;

/// How long after the first signal another one means "exit immediately". `timeout` and some supervisors
/// send two together, to the process and to its group.
const SECOND_SIGNAL_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// When the first signal came.
    stop_requested: Option<Instant>,
}

impl StopSignals {
    /// Replaces the default action of the signals, which ends the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be handled");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            stop_requested: None,
        })
    }

    /// Resolves at the first signal to stop, and then at another one a second or more later.
    pub(crate) async fn requested(&mut self) {
        loop {
            let received = tokio::select! {
                received = self.interrupt.recv() => received,
                received = self.terminate.recv() => received,
            };
            if received.is_none() {
                future::pending().await
            }
            if counts(&mut self.stop_requested, Instant::now()) {
                return;
            }
        }
    }

    /// Ends the process before the node has started. It has acknowledged nothing; its data is as after a
    /// crash.
    pub(crate) fn exit_before_start(&self) -> ! {
        tracing::info!("stopped during the start");
        std::process::exit(0)
    }

    /// Ends the process before the stop is complete. Closes nothing: the store might make something durable
    /// that is ahead of the log.
    pub(crate) fn exit_unclean(&self) -> ! {
        tracing::warn!("stopped before the shutdown was complete");
        std::process::exit(EXIT_SECOND_SIGNAL.into())
    }

    /// Ends the process after a fatal error, such as a failed write. Closes and flushes nothing: after a
    /// failed sync every further write could make a wrong state durable.
    pub(crate) fn exit_fatal(&self, error: &FatalError) -> ! {
        tracing::error!(%error, "exiting");
        let code = match error {
            FatalError::Replication(_) => EXIT_FATAL,
            FatalError::DataLost(_) => EXIT_DATA,
        };
        std::process::exit(code.into())
    }
}

/// Whether this signal is the first, or late enough to be a second one.
fn counts(first: &mut Option<Instant>, now: Instant) -> bool {
    match *first {
        Some(first) => now.duration_since(first) >= SECOND_SIGNAL_AFTER,
        None => {
            *first = Some(now);
            true
        }
    }
}

/// Every error without its own code.
const EXIT_FAILURE: u8 = 1;

/// Log or store are damaged, incomplete or of another version. A restart changes nothing (`EX_DATAERR` of
/// sysexits.h).
const EXIT_DATA: u8 = 65;

/// The data directory is empty, its volume is lost, or another node has founded the cluster
/// (`EX_CONFIG`).
const EXIT_NOTHING: u8 = 78;

/// The cluster rejected the node: the token is used, expired or of another cluster (`EX_NOPERM`). A retry
/// with the same token changes nothing.
const EXIT_NOT_ACCEPTED: u8 = 77;

/// Log, store or consensus failed while the node ran (`EX_SOFTWARE`).
const EXIT_FATAL: u8 = 70;

/// The node was stopped and could not complete the shutdown. Its data is as after a crash (`EX_IOERR`).
const EXIT_UNCLEAN: u8 = 74;

/// A second signal ended the node immediately. Its data is as after a crash (`EX_TEMPFAIL`).
const EXIT_SECOND_SIGNAL: u8 = 75;

/// The exit code of a command that failed.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<OpenError>() {
            return match error.is_data_error() {
                true => EXIT_DATA,
                false => EXIT_FAILURE,
            };
        }
        if let Some(error) = cause.downcast_ref::<StartError>() {
            return match error {
                StartError::Damaged { .. } | StartError::DataLost { .. } => EXIT_DATA,
                _ => EXIT_NOTHING,
            };
        }
        if let Some(error) = cause.downcast_ref::<JoinError>() {
            return match error {
                JoinError::DataLost => EXIT_DATA,
                _ => EXIT_NOT_ACCEPTED,
            };
        }
        if let Some(error) = cause.downcast_ref::<ShutdownError>() {
            return match error {
                ShutdownError::Consensus(_) => EXIT_FATAL,
                ShutdownError::Checkpoint(_) => EXIT_UNCLEAN,
            };
        }
    }
    EXIT_FAILURE
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    #[test]
    fn two_simultaneous_signals_count_as_one() {
        let (mut first, now) = (None, Instant::now());
        let after = |millis| now + Duration::from_millis(millis);
        let counted = [0, 0, 999, 1000].map(|millis| counts(&mut first, after(millis)));
        assert_eq!(counted, [true, false, false, true]);
    }

    #[test]
    fn errors_that_a_restart_cannot_fix_have_exit_codes() {
        let (dir, cluster) = (PathBuf::from("d"), String::new());
        let lost = StartError::DataLost { dir, cluster };
        assert_eq!(exit_code(&lost.into()), EXIT_DATA);
        let empty = anyhow::Error::new(StartError::Empty("d".into()));
        assert_eq!(exit_code(&empty.context("starting")), EXIT_NOTHING);
        assert_eq!(exit_code(&JoinError::DataLost.into()), EXIT_DATA);
        let unknown = anyhow::Error::new(JoinError::NotTaken(String::new()));
        assert_eq!(exit_code(&unknown.context("joining")), EXIT_NOT_ACCEPTED);
        assert_eq!(exit_code(&anyhow::anyhow!("a port is taken")), EXIT_FAILURE);
    }
}
