//! The Raft log of a node that is stopped, or runs: `quorate log`.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Subcommand;
use quorate_disk::LinuxDisk;
use quorate_raft::LOG_DIR;

/// What can be done with a log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print what a node's log holds: votes, groups, entries, and what is damaged. Changes nothing,
    /// and shows no packet.
    Inspect {
        /// The data directory of the node.
        dir: PathBuf,
    },
}

/// Does it.
pub(crate) fn run(command: &LogCommand) -> anyhow::Result<()> {
    let LogCommand::Inspect { dir } = command;
    let mut out = BufWriter::new(io::stdout().lock());
    let inspected = quorate_log::inspect(&LinuxDisk, &dir.join(LOG_DIR), &mut out);
    inspected
        .with_context(|| format!("the log of the node in {} cannot be shown", dir.display()))?;
    out.flush().context("standard output cannot be written")
}
