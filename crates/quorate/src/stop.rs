//! The ways in which a process is told to stop, and in which it ends.

use std::{
    future,
    time::{Duration, Instant},
};

use anyhow::Context;
use quorate_peer::JoinError;
use quorate_raft::{FatalError, OpenError, ShutdownError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::start::StartError;

/// How long after the first signal another one means "leave at once". `timeout` and some supervisors
/// send two together, to the process and to its group.
const SECOND_SIGNAL_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// When the first signal came.
    asked: Option<Instant>,
}

impl Stop {
    /// Takes the signals over from their default, which ends the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be handled");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            asked: None,
        })
    }

    /// Resolves when the process is asked to stop, or asked again a second or more later.
    pub(crate) async fn requested(&mut self) {
        loop {
            let received = tokio::select! {
                received = self.interrupt.recv() => received,
                received = self.terminate.recv() => received,
            };
            if received.is_none() {
                future::pending().await
            }
            if counts(&mut self.asked, Instant::now()) {
                return;
            }
        }
    }

    /// Ends the process before the node has started. It has acknowledged nothing, and its data are
    /// as after a crash.
    pub(crate) fn before_the_start(&self) -> ! {
        tracing::info!("stopped before it had started");
        std::process::exit(0)
    }

    /// Ends the process before everything was put in order. Nothing is closed: what the store would
    /// then make durable might be ahead of the log.
    pub(crate) fn in_disorder(&self) -> ! {
        tracing::warn!("stopped before everything was put in order");
        std::process::exit(EXIT_IN_DISORDER.into())
    }

    /// Ends the process that cannot go on, after a failed write above all. Nothing is closed or flushed: after a failed sync
    /// every further write could make a lie durable.
    pub(crate) fn at_once(&self, error: &FatalError) -> ! {
        tracing::error!(%error, "exiting");
        let code = match error {
            FatalError::Replication(_) => EXIT_FATAL,
            FatalError::DataLost(_) => EXIT_DATA,
        };
        std::process::exit(code.into())
    }
}

/// Whether a signal that comes now is the first, or late enough to be a second one.
fn counts(first: &mut Option<Instant>, now: Instant) -> bool {
    match *first {
        Some(first) => now.duration_since(first) >= SECOND_SIGNAL_AFTER,
        None => {
            *first = Some(now);
            true
        }
    }
}

/// Anything that has no code of its own.
const EXIT_FAILURE: u8 = 1;

/// Log or store are damaged, incomplete or of another version: the node does not start from them,
/// and starting it again changes nothing (`EX_DATAERR` of sysexits.h).
const EXIT_DATA: u8 = 65;

/// There is nothing to start from: the data directory is empty, its volume is lost, or another node
/// has founded the cluster (`EX_CONFIG`).
const EXIT_NOTHING: u8 = 78;

/// The cluster does not let the node join: the token is used, has expired or is another cluster's
/// (`EX_NOPERM`). Starting it again with the same token changes nothing.
const EXIT_NOT_LET_IN: u8 = 77;

/// Log, store or consensus failed while the node ran (`EX_SOFTWARE`).
const EXIT_FATAL: u8 = 70;

/// The node was told to stop and could not put its data in order. They are as after a crash
/// (`EX_IOERR`).
const EXIT_UNCLEAN: u8 = 74;

/// The node was told to stop a second time and left at once. Its data are as after a crash
/// (`EX_TEMPFAIL`).
const EXIT_IN_DISORDER: u8 = 75;

/// The exit code of a command that failed.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<OpenError>() {
            return match error.is_of_data() {
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
                _ => EXIT_NOT_LET_IN,
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
    fn two_signals_at_once_are_one() {
        let (mut first, now) = (None, Instant::now());
        let after = |millis| now + Duration::from_millis(millis);
        let counted = [0, 0, 999, 1000].map(|millis| counts(&mut first, after(millis)));
        assert_eq!(counted, [true, false, false, true]);
    }

    #[test]
    fn supervisors_can_tell_what_another_start_does_not_mend() {
        let (dir, cluster) = (PathBuf::from("d"), String::new());
        let lost = StartError::DataLost { dir, cluster };
        assert_eq!(exit_code(&lost.into()), EXIT_DATA);
        let empty = anyhow::Error::new(StartError::Empty("d".into()));
        assert_eq!(exit_code(&empty.context("starting")), EXIT_NOTHING);
        assert_eq!(exit_code(&JoinError::DataLost.into()), EXIT_DATA);
        let unknown = anyhow::Error::new(JoinError::NotTaken(String::new()));
        assert_eq!(exit_code(&unknown.context("joining")), EXIT_NOT_LET_IN);
        assert_eq!(exit_code(&anyhow::anyhow!("a port is taken")), EXIT_FAILURE);
    }
}
