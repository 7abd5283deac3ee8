//! The data directory of the first node of a new cluster that begins with packets: for `quorate restore`
//! and `quorate recover`. It ends in the same state as `quorate init --found`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use quorate_api::cluster_name;
use quorate_disk::LinuxDisk;
use quorate_peer::NodeId;
use quorate_raft::{KnownMembers, LOG_DIR, STORE_FILE};
use quorate_recovery::NewNode;
use quorate_state::{ClusterId, ClusterState, LogIndex};

use super::{
    cluster_file::{ClusterFile, Stage},
    data_dir::DataDir,
    found::random,
    state::BootState,
};
use crate::{
    advertised::advertised,
    config::{self, ConfigV1, Sources},
};

/// The configuration in `file`, with this data directory if there is one.
pub(crate) fn config_with(file: Option<PathBuf>, dir: Option<&Path>) -> anyhow::Result<ConfigV1> {
    let mut sources = Sources::new(file);
    if let Some(dir) = dir {
        // The node is started in another working directory.
        let dir = std::path::absolute(dir)?;
        let dir = dir
            .to_str()
            .context("the path of the data directory is not Unicode, but TOML requires it")?;
        sources.flags.push(("data_dir", dir.to_owned().into()));
    }
    Ok(config::load(sources)?.config)
}

/// What to do once the first node of this new cluster is prepared, which begins with this state.
pub(crate) fn next_steps(config: &ConfigV1, cluster: &ClusterId, state: &ClusterState) -> String {
    let dir = config.data_dir.display();
    let retention = Duration::from_secs(config.packets.retention_secs);
    let retention = state.retention().unwrap_or(retention);
    let age = state.time.last_in_log().map(|last| {
        let last = SystemTime::UNIX_EPOCH + Duration::from_millis(last.0);
        last.elapsed().unwrap_or_default()
    });
    let trust = match age.is_some_and(|age| age >= retention) {
        true => {
            "The packets are older than packets.retention_secs, so the node does not trust its clock while it is \
                 alone: if the clock is right, add --trust-clock at this first start. "
        }
        false => "",
    };
    format!(
        "{dir} is ready to found the new cluster {}. Next:\n\
         1. Keep all nodes of the old cluster stopped. Clients that still reach one would get old packets, and \
         no node of the old cluster can join the new one.\n\
         2. Set data_dir = \"{dir}\" and start `quorate serve`. It answers reads at once. {trust}\n\
         3. Run `quorate member add` for each further node, with an empty data directory each.\n\
         The new cluster makes its own secrets: the cluster key, those of DNS cookies, and with tls.acme.directory \
         also the account at the authority and the certificate.\n",
        cluster_name(&cluster.to_string())
    )
}

/// Fails unless the data directory is empty or absent. Writes nothing.
pub(crate) fn check_empty(dir: &Path) -> anyhow::Result<()> {
    ensure!(
        BootState::of(dir)? == BootState::Empty,
        "{} is not empty, and a new cluster is only made in an empty directory: name another one, or remove what \
         is in it if you do not need it",
        dir.display()
    );
    Ok(())
}

/// Prepares the empty data directory for the first node of a new cluster of `voters` voters. `fill` writes log
/// and store. Returns the id of the cluster and what `fill` returns.
///
/// If anything fails, the directory is empty again, except for a key that was there before.
pub(crate) fn new_cluster<T>(
    config: &ConfigV1,
    voters: u32,
    fill: impl FnOnce(&NewNode) -> anyhow::Result<T>,
) -> anyhow::Result<(ClusterId, T)> {
    let dir = &config.data_dir;
    let address = advertised(&config.peer.advertise, config.peer.listen[0])?;
    let data_dir = DataDir::open(dir)?;
    // Now that no other process can write there.
    check_empty(dir)?;
    let (identity, has_made_key) = data_dir.identity()?;
    let node = NodeId(identity.public_key());
    let new = NewNode {
        disk: Arc::new(LinuxDisk),
        dir: dir.clone(),
        node,
        address: address.clone(),
    };
    let known = KnownMembers {
        index: LogIndex::default(),
        members: [(node, address)].into(),
        ..KnownMembers::default()
    };
    let cluster = ClusterFile {
        voters,
        has_made_key,
        brings_packets: true,
        ..ClusterFile::new(Stage::Founding, ClusterId(random()?), known)
    };
    let filled = fill(&new).and_then(|filled| {
        data_dir.set_cluster(&cluster)?;
        Ok(filled)
    });
    let filled = filled.inspect_err(|_| {
        // The error is reported; a rerun names what could not be removed.
        let _ = fs::remove_dir_all(dir.join(LOG_DIR));
        let _ = fs::remove_file(dir.join(STORE_FILE));
        let _ = data_dir.withdraw(&cluster);
    })?;
    Ok((cluster.id, filled))
}
