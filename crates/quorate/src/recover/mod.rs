//! `quorate recover`: a new cluster from what is left of one that has lost its majority for ever.

mod report;

use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use quorate_api::cluster_name;
use quorate_ctl::out;
use quorate_disk::{Disk, DiskFile, LinuxDisk};
use quorate_recovery::{Assessment, Summary, Survivor, last_known, salvage};

use report::{recovered_text, report, salvaged_text, text_of};

use crate::start::{
    check_empty, config_with, lock_existing, new_cluster, next_steps, read_identity,
};

/// The largest summary that is read, in bytes: that of a cluster of a thousand members.
const SUMMARY_SIZE_MAX: u64 = 1024 * 1024;

/// Arguments of `quorate recover`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RecoverArgs {
    #[command(subcommand)]
    inspect: Option<RecoverCommand>,
    /// The data directory of a node of the old cluster; repeat for each one on this machine
    #[arg(long = "data-dir", value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// What `quorate recover inspect -o FILE` wrote on another machine; repeat for each
    #[arg(long = "summary", value_name = "FILE")]
    summaries: Vec<PathBuf>,
    /// The data directory of the first node of the new cluster. It must be empty or absent
    #[arg(long, value_name = "NEW", required = true)]
    into: Option<PathBuf>,
    /// The configuration of the new node: its address for others (peer.advertise)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many voters the new cluster needs before it accepts packets. It answers reads at once
    #[arg(long, value_name = "1|3|5|7", default_value = "1", value_parser = ["1", "3", "5", "7"])]
    voters: String,
    /// The name of the old cluster, which the command otherwise asks for
    #[arg(long, value_name = "NAME")]
    yes: Option<String>,
    /// Bring every packet that can be verified, from all directories, although they are damaged
    #[arg(long)]
    salvage: bool,
}

#[derive(Debug, Subcommand)]
enum RecoverCommand {
    /// Print what a stopped node has. Changes nothing
    Inspect {
        /// The data directory of the node
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Write a summary for `quorate recover --summary` on another machine
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs the command.
pub(crate) fn run(args: RecoverArgs) -> anyhow::Result<()> {
    match args.inspect {
        Some(RecoverCommand::Inspect { data_dir, output }) => inspect(&data_dir, output.as_deref()),
        None => recover(args),
    }
}

fn inspect(dir: &Path, output: Option<&Path>) -> anyhow::Result<()> {
    let found = OldNode::read(dir)?;
    if let Some(file) = output {
        let json = serde_json::to_string_pretty(&found.survivor.summary)?;
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).mode(0o600).open(file);
        let written = created.and_then(|mut file| file.write_all(format!("{json}\n").as_bytes()));
        written.with_context(|| format!("{} cannot be written", file.display()))?;
    }
    out!("{}", text_of(&found.survivor.summary))
}

/// A node of the old cluster on this machine. It cannot be started while this exists.
struct OldNode {
    survivor: Survivor,
    _lock: Option<Arc<dyn DiskFile>>,
}

impl OldNode {
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let shown = dir.display();
        ensure!(
            dir.is_dir(),
            "{shown} is not a directory: name the data directory of a node"
        );
        let lock = lock_existing(dir)?;
        let (node, cluster) = read_identity(dir);
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let survivor = Survivor::read(&disk, dir, node, cluster);
        let survivor =
            survivor.with_context(|| format!("the data directory {shown} cannot be read"))?;
        Ok(Self {
            survivor,
            _lock: lock,
        })
    }
}

fn recover(args: RecoverArgs) -> anyhow::Result<()> {
    let into = args.into.context("--into is missing")?;
    ensure!(
        !args.dirs.is_empty(),
        "name the data directory of a survivor with --data-dir"
    );
    for (place, dir) in args.dirs.iter().enumerate() {
        let is_again = args.dirs[..place].contains(dir);
        ensure!(!is_again, "{} is named twice", dir.display());
    }
    let config = config_with(args.config, Some(&into))?;
    check_empty(&into)?;
    check_outside(&config.data_dir, &args.dirs)?;
    let old: Vec<_> = args
        .dirs
        .iter()
        .map(|dir| OldNode::read(dir))
        .collect::<Result<_, _>>()?;
    let read: Vec<_> = args
        .summaries
        .iter()
        .map(|file| read_summary(file))
        .collect::<Result<_, _>>()?;
    let here = old.iter().map(|node| &node.survivor.summary);
    let all: Vec<&Summary> = here.chain(&read).collect();
    let cluster = one_cluster(&all)?;
    let assessment = Assessment::of(&all);
    let text = report(&all, assessment.as_ref(), args.salvage);
    out!("{text}")?;
    let best = assessment.as_ref().map_or(0, |assessment| assessment.best);
    let survivor = match (args.salvage, old.get(best)) {
        (false, None) => bail!(
            "the best survivor is {} on another machine: run this there, or copy that directory to this machine",
            all[best].dir
        ),
        (_, survivor) => survivor,
    };
    if !args.salvage && assessment.is_none() {
        bail!("none of the directories has an entry or a packet that can be read: try --salvage");
    }
    confirm(&cluster, args.yes.as_deref())?;
    let voters = args.voters.parse().context("--voters")?;
    let last = last_known(&all);
    let (id, (done, state)) = new_cluster(&config, voters, |new| match survivor {
        Some(node) if !args.salvage => {
            let recovered = quorate_recovery::recover(&node.survivor, new, last)?;
            Ok((recovered_text(&recovered), recovered.state))
        }
        _ => {
            let survivors: Vec<_> = old.iter().map(|node| &node.survivor).collect();
            let salvaged = salvage(&survivors, &all, new, last)?;
            Ok((salvaged_text(&salvaged), salvaged.state))
        }
    })?;
    let steps = next_steps(&config, &id, &state);
    out!("{done}\n{steps}")
}

/// Fails if the new directory is in an old one, which must stay as it is.
fn check_outside(into: &Path, old: &[PathBuf]) -> anyhow::Result<()> {
    for dir in old {
        let shown = dir.display();
        let dir = fs::canonicalize(dir).with_context(|| format!("{shown} cannot be read"))?;
        // Of what is absent, the part that exists.
        let mut ancestors = into.ancestors();
        let existing = ancestors.find_map(|ancestor| fs::canonicalize(ancestor).ok());
        ensure!(
            existing.is_none_or(|existing| !existing.starts_with(&dir)),
            "{} is inside the old directory {shown}, which stays as it is: name another one with --into",
            into.display()
        );
    }
    Ok(())
}

fn read_summary(file: &Path) -> anyhow::Result<Summary> {
    let shown = file.display();
    let size = fs::metadata(file)
        .with_context(|| format!("{shown} cannot be read"))?
        .len();
    ensure!(
        size <= SUMMARY_SIZE_MAX,
        "{shown} has {size} bytes, so it is not a summary of a node"
    );
    let text = fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
    let summary: Summary = serde_json::from_slice(&text).with_context(|| {
        format!("{shown} is not a summary that `quorate recover inspect -o` wrote")
    })?;
    ensure!(
        summary.version == Summary::VERSION,
        "{shown} has version {}, and this program reads {}: write it again with this program",
        summary.version,
        Summary::VERSION
    );
    Ok(summary)
}

/// The id of the cluster. Fails if the survivors are of different ones, or one is named twice.
fn one_cluster(all: &[&Summary]) -> anyhow::Result<String> {
    for (place, summary) in all.iter().enumerate() {
        for other in &all[..place] {
            let is_known = !summary.cluster.is_empty() && !other.cluster.is_empty();
            ensure!(
                !is_known || summary.cluster == other.cluster,
                "{} and {} are of different clusters: name the nodes of one",
                other.dir,
                summary.dir
            );
            ensure!(
                summary.node.is_none() || summary.node != other.node,
                "{} and {} are of the same node: name the one that ran last",
                other.dir,
                summary.dir
            );
        }
    }
    let mut known = all.iter().map(|summary| &summary.cluster);
    Ok(known.find(|id| !id.is_empty()).cloned().unwrap_or_default())
}

/// Fails unless the operator names the cluster.
fn confirm(cluster: &str, yes: Option<&str>) -> anyhow::Result<()> {
    let name = match cluster {
        "" => "unknown",
        id => cluster_name(id),
    };
    let typed = match yes {
        Some(typed) => typed.to_owned(),
        None => {
            ensure!(
                io::stdin().is_terminal(),
                "this makes a new cluster and gives up the old one: confirm it with --yes {name}"
            );
            out!("Type the name of the old cluster, {name}, to make the new one: ")?;
            let mut line = String::new();
            io::stdin()
                .read_line(&mut line)
                .context("standard input cannot be read")?;
            line.trim().to_owned()
        }
    };
    ensure!(
        typed == name || typed == cluster && !cluster.is_empty(),
        "{typed:?} is not the name of the old cluster, which is {name}: nothing was done"
    );
    Ok(())
}
