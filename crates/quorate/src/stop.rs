//! Logs, and the ways in which a process is told to stop.

use std::future;

use anyhow::Context;
use quorate_raft::{FatalError, OpenError, ShutdownError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What a node logs when `RUST_LOG` says nothing. The libraries below tell of every heartbeat that
/// fails; what matters of it, our own lines say.
pub(crate) const NODE_LOGS: &str = "info,openraft=off";

/// What a cluster to try things out logs, beside what it prints: that its nodes, started one by one,
/// do not find each other at once is no news.
pub(crate) const DEV_LOGS: &str = "warn,quorate_peer=error,openraft=off";

/// Writes structured logs to standard error: what `RUST_LOG` asks for, else `filter`.
pub(crate) fn start_logs(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter.into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}

/// SIGINT and SIGTERM.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Takes the signals over from their default, which ends the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be handled");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Resolves when the process is asked to stop, or asked again while it stops.
    pub(crate) async fn requested(&mut self) {
        let received = tokio::select! {
            received = self.interrupt.recv() => received,
            received = self.terminate.recv() => received,
        };
        if received.is_none() {
            future::pending().await
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

    /// Ends the process after a failed write. Nothing is closed or flushed: after a failed sync
    /// every further write could make a lie durable.
    pub(crate) fn at_once(&self, error: &FatalError) -> ! {
        tracing::error!(%error, "exiting");
        std::process::exit(EXIT_FATAL.into())
    }
}

/// Anything that has no code of its own.
const EXIT_FAILURE: u8 = 1;

/// Log or store are damaged, incomplete or of another version: the node does not start from them,
/// and starting it again changes nothing (`EX_DATAERR` of sysexits.h).
const EXIT_DATA: u8 = 65;

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
        if let Some(error) = cause.downcast_ref::<ShutdownError>() {
            return match error {
                ShutdownError::Consensus(_) => EXIT_FATAL,
                ShutdownError::Checkpoint(_) => EXIT_UNCLEAN,
            };
        }
    }
    EXIT_FAILURE
}
