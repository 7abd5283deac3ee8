//! `quorate restore`: a new cluster from a backup.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use quorate_backup::{BackupReader, Contents};
use quorate_ctl::{backup_text, out, progress_bar};
use quorate_state::{LEVEL_MAX, LogPosition};

use crate::start::{check_empty, config_with, new_cluster, next_steps};

/// Arguments of `quorate restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `quorate backup save` wrote
    file: PathBuf,
    /// The configuration of the new node: its data directory, and its address for others (peer.advertise)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of the new node (data_dir). It must be empty or absent
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many voters the new cluster needs before it accepts packets. It answers reads at once
    #[arg(long, value_name = "1|3|5|7", default_value = "1", value_parser = ["1", "3", "5", "7"])]
    voters: String,
    /// Print what would be restored, verify all of it, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let config = config_with(args.config, args.data_dir.as_deref())?;
    if !args.dry_run {
        check_empty(&config.data_dir)?;
    }
    let voters = args.voters.parse().context("--voters")?;
    let file = args.file.display();
    let text = verified(&args.file)?;
    out!("{text}")?;
    if args.dry_run {
        return out!("{file} is valid. Nothing was written.\n");
    }
    let reader = open(&args.file)?;
    let level = reader.state.level;
    level.check(LEVEL_MAX).with_context(|| file.to_string())?;
    let header = reader.header.clone();
    let state = reader.state.clone();
    let last = header.applied.unwrap_or(LogPosition::new(0, 0));
    let bar = progress_bar(Some(header.packet_count), "packets");
    let (id, packets) = new_cluster(&config, voters, |new| {
        let progress = |count| bar.set_position(count);
        let packets = quorate_recovery::restore(new, last, &state, reader, progress)?;
        let hash = format!("{:032x}", packets.hash);
        let is_same = header.packets_hash.is_empty() || header.packets_hash == hash;
        if packets.usage.count != header.packet_count || !is_same {
            bail!("{file} states other packets than it contains: nothing was restored");
        }
        Ok(packets)
    })?;
    bar.finish_and_clear();
    let steps = next_steps(&config, &id, &state);
    out!("{} packets\n{steps}", packets.usage.count)
}

/// Verifies all of a backup. Returns what it contains, for people.
fn verified(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let opened = open(file)?;
    let text = backup_text(&opened.header, &Contents::of(&opened.state));
    let bytes = File::open(file).with_context(|| format!("{shown} cannot be opened"))?;
    let bar = progress_bar(Some(bytes.metadata()?.len()), "bytes");
    let report = quorate_backup::verify(BufReader::new(bytes), |_, offset, _| {
        bar.set_position(offset);
        Ok(())
    });
    bar.finish_and_clear();
    let report = report.with_context(|| shown.to_string())?;
    match report.damage.first() {
        None => Ok(text),
        Some(damage) => bail!(
            "{shown} is damaged, and nothing was restored: {damage}; `quorate backup verify {shown} --salvage OUT` \
             lists all damage and saves the rest"
        ),
    }
}

fn open(file: &Path) -> anyhow::Result<BackupReader<BufReader<File>>> {
    let shown = file.display();
    let bytes = File::open(file).with_context(|| format!("{shown} cannot be opened"))?;
    BackupReader::open(BufReader::new(bytes)).with_context(|| {
        format!("{shown} cannot be restored; see `quorate backup verify {shown} --salvage OUT`")
    })
}
