//! The Raft log of a node, stopped or running: `quorate log`.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Subcommand;
use quorate_disk::LinuxDisk;
use quorate_raft::LOG_DIR;

/// Commands for the Raft log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print the contents of a node's log: votes, groups, entries and damage. Changes nothing, and prints no
    /// packets
    Inspect {
        /// The data directory of the node
        dir: PathBuf,
    },
}

/// Runs the command.
pub(crate) fn run(command: &LogCommand) -> anyhow::Result<()> {
    let LogCommand::Inspect { dir } = command;
    let mut out = BufWriter::new(io::stdout().lock());
    let inspected = quorate_log::inspect(&LinuxDisk, &dir.join(LOG_DIR), &mut out);
    inspected
        .with_context(|| format!("the log of the node in {} cannot be read", dir.display()))?;
    out.flush().context("standard output cannot be written")
}
