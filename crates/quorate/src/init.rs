//! The identity of a node: `quorate init`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use quorate_ctl::outln;
use quorate_disk::{Disk, LinuxDisk, OpenMode, replace};
use quorate_peer::LinkServerConfig;
use quorate_peer::{Identity, IdentityError};

use crate::{config, data_dir::DataDir};

/// The name of the file with the secret key, in the data directory.
pub(crate) const KEY_FILE: &str = "node.key";

/// Arguments of `quorate init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one line, KEY@HOST:PORT, for `nodes` in [cluster] of the file of every node that founds a
cluster with others. A node that founds one alone, or joins one, needs no line and makes its identity
when it starts. Run again it prints the same identity and changes nothing.

Example:
  quorate init --data-dir /var/lib/quorate --address ns1.example.org:7700")]
pub(crate) struct InitArgs {
    /// Where the node keeps its data (data_dir in its file); made if there is none.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Where other nodes reach this one.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    address: Option<String>,
}

fn parse_address(text: &str) -> Result<String, String> {
    config::check_address(text).map_err(|error| error.to_string())?;
    Ok(text.to_ascii_lowercase())
}

/// Makes the identity if there is none, and prints it.
pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    let identity = open_or_make(&args.data_dir)?;
    let address = args.address.clone().unwrap_or_else(|| {
        eprintln!("quorate: without --address this line is good for this machine alone");
        format!("127.0.0.1:{}", LinkServerConfig::default().listen.port())
    });
    outln!("{}@{address}", identity.public_key())
}

/// The identity in `data_dir`, made with the directory if there is none. Data without its identity
/// gets no new one: it would be the data of another node.
pub(crate) fn open_or_make(data_dir: &Path) -> anyhow::Result<Identity> {
    let path = data_dir.join(KEY_FILE);
    if path.exists() {
        return Ok(Identity::load(&LinuxDisk, &path)?);
    }
    check_not_lost(data_dir)?;
    LinuxDisk
        .create_dir(data_dir)
        .with_context(|| format!("the directory {} cannot be made", data_dir.display()))?;
    let identity = Identity::generate()?;
    match identity.save(&LinuxDisk, &path) {
        // Another process was faster: its identity is the node's.
        Err(IdentityError::Exists(_)) => Ok(Identity::load(&LinuxDisk, &path)?),
        saved => Ok(saved.map(|()| identity)?),
    }
}

/// What the key file says, in a comment, once the node has had a part in a cluster.
const USED: &str = "# It has been a member of the cluster ";

/// Notes in the key file that the identity has had a part in this cluster, so that it does not begin
/// anew should all the rest be lost.
pub(crate) fn mark_used(data_dir: &Path, cluster: &str) -> anyhow::Result<()> {
    let path = data_dir.join(KEY_FILE);
    let text = key_text(&path)?;
    if text.contains(USED) {
        return Ok(());
    }
    let marked = format!("{USED}{cluster}.\n{text}");
    replace(&LinuxDisk, &path, marked.as_bytes(), OpenMode::CreateSecret)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Fails if the identity has had a part in a cluster, for a node without data that would found
/// another one.
pub(crate) fn check_unused(data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(KEY_FILE);
    if !path.exists() {
        return Ok(());
    }
    match key_text(&path)?
        .lines()
        .find_map(|line| line.strip_prefix(USED))
    {
        None => Ok(()),
        Some(cluster) => Err(LostDataError {
            dir: data_dir.to_owned(),
            cluster: cluster.trim_end_matches('.').to_owned(),
        }
        .into()),
    }
}

fn key_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Nothing but the key is left of a node.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} has the key of a member of cluster {cluster} that has lost its data: it has forgotten what it \
     promised, and must neither vote under its old identity nor found another cluster. Restore the \
     directory as a whole, or let a new node replace it: empty the directory, key and all, run \
     `quorate member add` on a member that lives, `quorate serve --join TOKEN` here, and then \
     `quorate member replace OLD NEW`",
    dir.display()
)]
pub(crate) struct LostDataError {
    dir: PathBuf,
    cluster: String,
}

/// Fails if `data_dir` holds data and the key to it is gone.
pub(crate) fn check_not_lost(data_dir: &Path) -> anyhow::Result<()> {
    ensure!(
        data_dir.join(KEY_FILE).exists() || !DataDir::holds_data(data_dir),
        "{} holds data but no {KEY_FILE}: restore the key or choose another data_dir",
        data_dir.display()
    );
    Ok(())
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
