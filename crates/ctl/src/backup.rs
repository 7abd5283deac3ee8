//! Backups: `quorate backup`.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use indicatif::ProgressBar;
use quorate_api::{cluster_name, path};
use quorate_backup::{BackupHeader, BackupReader, Contents, Report};
use serde_json::json;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::{
    admin::{AdminArgs, ApiCall, Session},
    console::Console,
    lower_priority,
    new_file::NewFile,
    progress_bar, span, table,
};

/// Makes, inspects and verifies backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Save everything that a node stores, as of one log entry, to a file
    #[command(after_help = "\
The file has packets, zones, publish policy, deletions and blocks, and no secret. Any node can make it, even
without a leader; the command prints how old it may be. `quorate restore` makes a new cluster from it.")]
    Save(SaveArgs),
    /// Print what a backup contains, without reading its packets
    Inspect {
        /// The backup
        file: PathBuf,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every hash and every signature in a backup, on all cores
    Verify {
        /// The backup
        file: PathBuf,
        /// Write what is valid in a damaged backup to this new file
        #[arg(long, value_name = "OUT")]
        salvage: Option<PathBuf>,
    },
}

/// Which node saves a backup, and where.
#[derive(Debug, Args)]
pub struct SaveArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The file; by default quorate-CLUSTER-INDEX.backup in this directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl BackupCommand {
    /// Runs the command, in the session that `open` returns if it needs a node.
    pub(crate) async fn run(
        self,
        open: impl FnOnce(&AdminArgs) -> anyhow::Result<Session>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Save(args) => save(&args, &mut open(&args.admin)?).await,
            Self::Inspect { file, json } => inspect(&file, &mut Console::standard(json)),
            Self::Verify { file, salvage } => {
                verify(&file, salvage.as_deref(), &mut Console::standard(false))
            }
        }
    }
}

async fn save(args: &SaveArgs, session: &mut Session) -> anyhow::Result<()> {
    let mut unfinished = NewFile::create(args.output.as_deref(), args.force)?;
    let bytes = download(session).await?;
    let received = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let header = receive(bytes, unfinished.file()).context("the backup is not complete")?;
        Ok((header, unfinished))
    });
    let (header, unfinished) = received.await??;
    let file = args.output.clone().unwrap_or_else(|| default_name(&header));
    let size = unfinished.finish(&file)?;
    let shown = file.display();
    session.note(format_args!(
        "{shown}: {} packets in {size} bytes, {}",
        header.packet_count,
        age(&header)
    ));
    session
        .console
        .report(&json!({ "file": file, "size": size, "backup": header }))
}

/// Starts a backup at the node, and returns its bytes, to be read on a blocking thread.
pub(crate) async fn download(session: &mut Session) -> anyhow::Result<impl Read + Send + use<>> {
    let call = ApiCall::post(path::BACKUP, &json!({}));
    let response = session.download(&call).await?;
    let bytes = response.bytes_stream().map_err(io::Error::other);
    Ok(SyncIoBridge::new(StreamReader::new(bytes)))
}

/// Writes the backup to `out` while it is checked.
pub(crate) fn receive(bytes: impl Read, out: &mut File) -> anyhow::Result<BackupHeader> {
    lower_priority();
    let mut copied = BufWriter::new(out);
    let tee = Tee {
        from: bytes,
        to: &mut copied,
    };
    let reader = BackupReader::open(tee)?;
    let header = reader.header.clone();
    let bar = progress_bar(Some(header.packet_count), "packets");
    for stored in reader {
        stored?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    copied.flush().context("the file cannot be written")?;
    Ok(header)
}

/// Copies what is read.
struct Tee<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.from.read(buffer)?;
        self.to.write_all(&buffer[..size])?;
        Ok(size)
    }
}

fn default_name(header: &BackupHeader) -> PathBuf {
    let cluster = cluster_name(&header.cluster);
    let index = header.applied.map_or(0, |applied| applied.index.0);
    format!("quorate-{cluster}-{index}.backup").into()
}

/// How old the backup may be.
fn age(header: &BackupHeader) -> String {
    match header.staleness_ms {
        Some(1000) => "complete, but for what was committed in the last second".to_owned(),
        Some(ms) => format!(
            "perhaps without what was committed in the last {}: the node knew no leader, or was behind",
            span::shown(Duration::from_millis(ms))
        ),
        None => "perhaps without the latest packets: the cluster had no time".to_owned(),
    }
}

fn open(file: &Path) -> anyhow::Result<File> {
    File::open(file).with_context(|| format!("{} cannot be opened", file.display()))
}

fn inspect(file: &Path, console: &mut Console) -> anyhow::Result<()> {
    let reader = BackupReader::open(BufReader::new(open(file)?));
    let reader = reader.with_context(|| file.display().to_string())?;
    let contents = Contents::of(&reader.state);
    let json = json!({ "backup": reader.header, "contents": contents });
    console.print(&json, |_| backup_text(&reader.header, &contents))
}

/// What a backup contains, for people.
pub fn backup_text(header: &BackupHeader, contents: &Contents) -> String {
    let or_unknown = |text: &str| match text.is_empty() {
        true => "unknown".to_owned(),
        false => text.to_owned(),
    };
    let applied = header.applied;
    let mut lines = vec![
        ("cluster", or_unknown(&header.cluster)),
        ("node", or_unknown(&header.node)),
        ("program", or_unknown(&header.program)),
        (
            "entry",
            applied.map_or("unknown".to_owned(), |at| {
                format!("{}-{}", at.term, at.index)
            }),
        ),
        (
            "time",
            header
                .cluster_time_ms
                .map_or("unknown".to_owned(), span::date),
        ),
        ("state", age(header)),
        (
            "packets",
            format!("{}; {} bytes", header.packet_count, header.packets_size),
        ),
        (
            "zones",
            format!("{} with {} records", contents.zones, contents.records),
        ),
        (
            "policy",
            format!(
                "{}; {} allowed keys, {} denied keys, {} publish tokens",
                contents.publish_mode,
                contents.allowed_keys,
                contents.denied_keys,
                contents.publish_tokens
            ),
        ),
        (
            "deletions",
            format!(
                "{}, of which {} are blocks",
                contents.deletions, contents.blocks
            ),
        ),
    ];
    if let (Some(count), Some(size)) = (contents.packet_count_max, contents.packets_size_max) {
        lines.push(("capacity", format!("{count} packets; {size} bytes")));
    }
    if let Some(secs) = contents.retention_secs {
        lines.push(("retention", span::shown(Duration::from_secs(secs))));
    }
    for member in &header.members {
        let role = if member.is_voter { "voter" } else { "learner" };
        let text = format!("{} {} {} {role}", member.node, member.name, member.address);
        lines.push(("member", text));
    }
    table::lines(&lines)
}

fn verify(file: &Path, salvage: Option<&Path>, console: &mut Console) -> anyhow::Result<()> {
    let shown = file.display();
    let bytes = BufReader::new(open(file)?);
    let bar = progress_bar(Some(bytes.get_ref().metadata()?.len()), "bytes");
    let report = match salvage {
        Some(out) => salvage_to(bytes, out, &bar),
        None => quorate_backup::verify(bytes, |_, offset, _| {
            bar.set_position(offset);
            Ok(())
        })
        .map_err(Into::into),
    };
    bar.finish_and_clear();
    let report = report.with_context(|| shown.to_string())?;
    for damage in &report.damage {
        console.note(damage);
    }
    let count = report.valid_count;
    if report.is_valid() {
        return console.write(format!("{shown}: OK, {count} packets\n").as_bytes());
    }
    let unlisted = report.damage_count - report.damage.len() as u64;
    if unlisted > 0 {
        console.note(format_args!("and {unlisted} more"));
    }
    match salvage {
        Some(out) => bail!(
            "{shown} is damaged; {} has its {count} valid packets",
            out.display()
        ),
        None => {
            bail!("{shown} is damaged; {count} packets are valid: save them with --salvage OUT")
        }
    }
}

fn salvage_to(bytes: BufReader<File>, out: &Path, bar: &ProgressBar) -> anyhow::Result<Report> {
    let mut unfinished = NewFile::create(Some(out), false)?;
    let report = quorate_backup::salvage(bytes, BufWriter::new(unfinished.file()), |at| {
        bar.set_position(at);
    })?;
    unfinished.finish(out)?;
    Ok(report)
}
