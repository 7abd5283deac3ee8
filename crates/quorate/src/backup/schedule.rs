//! Scheduled backups: made by one node at a time, read back, verified and recorded.

use std::{
    convert::identity,
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use prometheus::Registry;
use quorate_api::{ForwardedRequest, RecordBackup, cluster_name};
use quorate_backup::{
    BackupReader,
    schedule::Schedule,
    target::{NAME_PREFIX, NAME_SUFFIX, Target},
};
use quorate_disk::{Disk, LinuxDisk};
use quorate_raft::BackupView;
use quorate_replica::Operator;
use quorate_state::{BackupResult, SavedBackup, millis};
use tokio::time::{sleep, timeout};

use super::{
    BackupSettings,
    stream::{NodeBackups, background, write},
};
use crate::config::ConfigV1;

/// How often a node checks whether it has its turn.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the record of a result may take.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a backup may take: ten times as long as one of ten million packets over a slow line.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// How many characters of the id of its maker are in the name of a file.
const NODE_NAME_SIZE: usize = 8;

/// How much space must stay for checkpoints and the log meanwhile, in bytes.
const SPARE_SIZE: u64 = 64 << 20;

/// The files in the data directory: the backup before it is uploaded, and as it was read back.
const WRITTEN_FILE: &str = "backup.written";
const READ_BACK_FILE: &str = "backup.read";

quorate_metrics::metrics! {
    // Their results are metrics of the status.
    struct ScheduleMetrics in "quorate_backup" {
        /// The time from one scheduled backup to the next, in seconds; 0 if this node makes none
        interval_seconds: Gauge,
    }
}

/// The scheduled backups of a node.
pub(crate) struct ScheduledBackups {
    schedule: Schedule,
    settings: BackupSettings,
    /// The data directory of the node.
    dir: PathBuf,
    /// The free space below which the node only reads, in bytes.
    free_size_min: u64,
    backups: NodeBackups,
}

impl ScheduledBackups {
    /// `None` if no backups are scheduled.
    pub(crate) fn new(
        config: &ConfigV1,
        backups: NodeBackups,
        registry: &Registry,
    ) -> anyhow::Result<Option<Self>> {
        let metrics = ScheduleMetrics::register(registry)?;
        let settings = config.backup.clone();
        let Some(schedule) = settings.schedule() else {
            return Ok(None);
        };
        let secs = i64::try_from(settings.interval_secs)?;
        metrics.interval_seconds.set(secs);
        Ok(Some(Self {
            schedule,
            settings,
            dir: config.data_dir.clone(),
            free_size_min: config.store.free_size_min,
            backups,
        }))
    }

    /// Makes backups when this node has its turn. Never returns.
    pub(crate) async fn run(self) {
        self.remove_files();
        // A node serves without its target, which may appear later. The operator should know now.
        let reached = async { anyhow::Ok(self.settings.target()?.list().await?) };
        if let Err(error) = reached.await {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "the target of backups cannot be used: correct [backup]"
            );
        }
        loop {
            sleep(CHECK_INTERVAL).await;
            if let Some(view) = self.turn() {
                self.make(&view).await;
            }
        }
    }

    /// The state of the cluster, if this node should make a backup now.
    fn turn(&self) -> Option<BackupView> {
        let view = self.backups.node().backup_view()?;
        let turn = self
            .schedule
            .turn(&view.voters, view.leader, &view.last, view.now);
        (turn == Some(self.backups.node().id())).then_some(view)
    }

    /// Makes a backup and records the result. Then removes old ones.
    async fn make(&self, view: &BackupView) {
        let cluster = view.cluster.to_string();
        let prefix = format!("{NAME_PREFIX}{}-", cluster_name(&cluster));
        // In seconds, so that names are in the order of time. Another node may make one in the same second.
        let node = self.backups.node().id().to_string();
        let (secs, node) = (view.now.0 / 1000, &node[..NODE_NAME_SIZE]);
        let name = format!("{prefix}{secs:010}-{node}{NAME_SUFFIX}");
        let start = Instant::now();
        let saved = timeout(BACKUP_TIMEOUT, self.save(&name)).await;
        self.remove_files();
        let saved = saved
            .context("it took longer than six hours")
            .and_then(identity);
        let (target, result) = match saved {
            Ok((target, size, packet_count)) => {
                let duration = start.elapsed();
                tracing::info!(
                    name,
                    size,
                    packet_count,
                    ?duration,
                    "saved a backup and verified it"
                );
                let saved = BackupResult::Saved(SavedBackup {
                    name: name.clone(),
                    size,
                    packet_count,
                    duration_ms: millis(duration),
                });
                (Some(target), saved)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    name,
                    error,
                    "no backup was made: another node tries it next"
                );
                (None, BackupResult::failed(&error))
            }
        };
        let record = ForwardedRequest::new(RecordBackup { result }, RECORD_TIMEOUT);
        if let Err(problem) = self.backups.node().operate(record).await {
            tracing::warn!(%problem, "the result of the backup is not recorded: it is made again");
            sleep(self.schedule.patience(&view.last)).await;
        }
        // Also if it is not recorded: otherwise files would gather until it is.
        if let Some(target) = target {
            prune(&target, &prefix, &name, self.settings.kept_count).await;
        }
    }

    /// Saves a backup at the target, and reads it back. Returns the target, the size in bytes, and the number of
    /// packets. If it fails, no file of it stays at the target.
    async fn save(&self, name: &str) -> anyhow::Result<(Target, u64, u64)> {
        self.remove_files();
        let target = self.settings.target()?;
        let (written, read) = (self.dir.join(WRITTEN_FILE), self.dir.join(READ_BACK_FILE));
        let (source, turn) = self.backups.source().await?;
        self.check_space(source.meta.packets.usage.size)?;
        let path = written.clone();
        let size = background(move || -> io::Result<u64> {
            let _turn = turn;
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            write(source, &file)?;
            file.metadata().map(|metadata| metadata.len())
        });
        let size = size
            .await?
            .context("it cannot be written to the data directory")?;
        let upload = target.upload(name, &written).await;
        upload.context("it cannot be stored at the target")?;
        let checked = async {
            fs::remove_file(&written)?;
            let download = target.download(name, &read).await;
            download.context("it cannot be read back from the target")?;
            let count = background(move || verify(&read)).await?;
            count.context("it was read back with damage")
        };
        match checked.await {
            Ok(count) => Ok((target, size, count)),
            Err(error) => {
                if let Err(remaining) = target.remove(name).await {
                    let error = quorate_peer::chain(&remaining);
                    tracing::warn!(name, error, "a failed backup cannot be removed");
                }
                Err(error)
            }
        }
    }

    /// Fails if the files of a backup of so many bytes could take the space that the node needs.
    fn check_space(&self, packets_size: u64) -> anyhow::Result<()> {
        let free = LinuxDisk.free_space(&self.dir)?;
        // One in the data directory, and one at a target in the same file system.
        let needed = self.free_size_min + self.free_size_min / 4 + 2 * packets_size + SPARE_SIZE;
        ensure!(
            free >= needed,
            "{free} bytes are free in {}, and {needed} are needed: packets twice, and what the node needs",
            self.dir.display()
        );
        Ok(())
    }

    /// Removes what this or an interrupted run left in the data directory.
    fn remove_files(&self) {
        for name in [WRITTEN_FILE, READ_BACK_FILE] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(name, %error, "a file of a backup cannot be removed");
                }
                _ => {}
            }
        }
    }
}

/// Removes old backups after the newest was verified.
async fn prune(target: &Target, prefix: &str, newest: &str, count: usize) {
    match target.prune(prefix, newest, count).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(removed = removed.join(", "), "removed old backups"),
        Err(error) => {
            let error = quorate_peer::chain(&error);
            tracing::error!(error, "old backups cannot be removed: remove them by hand");
        }
    }
}

/// Checks every hash of a backup. Returns the number of packets. Their signatures were verified when they were
/// stored, and the hashes show that nothing has changed.
fn verify(file: &Path) -> anyhow::Result<u64> {
    let reader = BackupReader::open(BufReader::new(File::open(file)?))?;
    let expected = reader.header.packet_count;
    let mut count = 0;
    for stored in reader {
        stored?;
        count += 1;
    }
    ensure!(
        count == expected,
        "it has {count} packets and states {expected}"
    );
    Ok(count)
}
