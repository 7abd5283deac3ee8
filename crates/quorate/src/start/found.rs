//! `quorate init --found`: prepares an empty data directory for the first node of a new cluster.
//! Each step leaves files from which the next step follows, so a rerun continues an interrupted command.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{anyhow, ensure};
use quorate_peer::{JoinToken, NodeId};
use quorate_raft::{KnownMembers, is_dialable};
use quorate_state::{ClusterId, InviteId, LogIndex, UnixMillis};

use super::{
    cluster_file::{ClusterFile, Stage},
    data_dir::DataDir,
    state::{BootState, StartError},
    token_file,
};
use crate::{advertised::advertised, config::ConfigV1};

/// The validity of the first token: machines that are installed together start within a day.
const TOKEN_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// Prepares the data directory to found a cluster that needs `voters` voters, unless it contains a node.
/// With `once`, founds only if that file is absent, and writes the token for others into it. Returns
/// whether anything was done.
pub(crate) fn found(config: &ConfigV1, once: Option<&Path>, voters: u32) -> anyhow::Result<bool> {
    let dir = &config.data_dir;
    // If a volume is lost, write nothing, not even a lock.
    if Step::next(dir, once)? == Step::Done {
        return Ok(false);
    }
    let data_dir = DataDir::open(dir)?;
    while Step::next(dir, once)?.run(&data_dir, config, voters)? {}
    Ok(true)
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// Create the key, and record the founding in the directory.
    Prepare {
        shares: bool,
    },
    /// Write the token for others.
    Share(&'a Path, JoinToken),
    /// Allow `serve` to found.
    Permit(ClusterFile),
    /// Remove what was prepared: another node was faster.
    Withdraw(&'a Path, ClusterFile),
    Done,
}

impl<'a> Step<'a> {
    fn next(dir: &Path, once: Option<&'a Path>) -> anyhow::Result<Self> {
        let shared = once.map(token_file::read).transpose()?.flatten();
        let shared = shared.map(|token| token.cluster);
        Ok(Self::after(BootState::of(dir)?, dir, once, shared)?)
    }

    /// The step for the state of the directory and the cluster of the token in the file.
    fn after(
        state: BootState,
        dir: &Path,
        once: Option<&'a Path>,
        shared: Option<ClusterId>,
    ) -> Result<Self, StartError> {
        let shares = once.is_some();
        match (state, once, shared) {
            (BootState::Empty, Some(file), Some(_)) => Err(StartError::Founded {
                file: file.to_owned(),
                dir: dir.to_owned(),
            }),
            (BootState::Empty, ..) => Ok(Self::Prepare { shares }),
            (BootState::Preparing(cluster), Some(file), Some(id)) => Ok(match id == cluster.id {
                true => Self::Permit(cluster),
                false => Self::Withdraw(file, cluster),
            }),
            (BootState::Preparing(cluster), Some(file), None) => {
                let token = cluster.token.map(|(token, _)| token);
                let token = token.expect("a file at this stage is not read without a token");
                Ok(Self::Share(file, token))
            }
            (state, ..) => state.cluster(dir, false).map(|_| Self::Done),
        }
    }

    /// Runs the step. Returns whether there may be another one.
    fn run(self, data_dir: &DataDir, config: &ConfigV1, voters: u32) -> anyhow::Result<bool> {
        match self {
            Self::Prepare { shares } => prepare(data_dir, config, shares, voters)?,
            Self::Share(file, token) => token_file::share(file, &token)?,
            Self::Permit(mut cluster) => {
                cluster.stage = Stage::Founding;
                data_dir.set_cluster(&cluster)?;
            }
            Self::Withdraw(file, cluster) => {
                data_dir.withdraw(&cluster)?;
                return Err(StartError::OtherFounder(file.to_owned()).into());
            }
            Self::Done => return Ok(false),
        }
        Ok(true)
    }
}

fn prepare(data_dir: &DataDir, config: &ConfigV1, shares: bool, voters: u32) -> anyhow::Result<()> {
    let address = advertised(&config.peer.advertise, config.peer.listen[0])?;
    ensure!(
        !shares || is_dialable(&address),
        "other nodes cannot reach {address}, so a token cannot name this node: set peer.advertise"
    );
    let (identity, has_made_key) = data_dir.identity()?;
    let (id, index) = (ClusterId(random()?), LogIndex::default());
    let members = BTreeMap::from([(NodeId(identity.public_key()), address)]);
    let (invite, seed) = (InviteId(random()?), random()?);
    let token = JoinToken::new(id, invite, seed, members.clone());
    let expires = SystemTime::UNIX_EPOCH.elapsed()? + TOKEN_VALID;
    let expires = UnixMillis(u64::try_from(expires.as_millis())?);
    let (stage, token) = match shares {
        true => (Stage::Preparing, Some((token, expires))),
        false => (Stage::Founding, None),
    };
    let known = KnownMembers {
        index,
        members,
        ..KnownMembers::default()
    };
    data_dir.set_cluster(&ClusterFile {
        voters,
        token,
        has_made_key,
        ..ClusterFile::new(stage, id, known)
    })
}

pub(super) fn random<const SIZE: usize>() -> anyhow::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| anyhow!("the system returned no random bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "found_tests.rs"]
mod tests;
