//! One node of a cluster.

use std::future;

use anyhow::Context;
use quorate_disk::LinuxDisk;
use quorate_peer::Identity;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Loaded,
    data_dir::DataDir,
    init::{self, KEY_FILE},
    logging::Logging,
    node::{ForThisStart, RunningNode},
    stop::Stop,
};

/// Runs a node until it is told to stop.
pub(crate) async fn run(loaded: Loaded, mut once: ForThisStart) -> anyhow::Result<()> {
    let logging = Logging::start(&loaded.config.logging.filter);
    let mut stop = Stop::listen()?;
    let mut hangups = signal(SignalKind::hangup()).context("signals cannot be handled")?;
    let identity = identity(&loaded, once.join.is_some())?;
    once.sources = Some(loaded.sources);
    let node = tokio::select! {
        node = RunningNode::start(&loaded.config, identity, once, &logging) => node?,
        () = stop.requested() => stop.before_the_start(),
    };
    let addresses = node.addresses();
    tracing::info!(
        http = %addresses.http, dns = %addresses.dns, peer = %addresses.peer,
        admin = %addresses.admin, "listening"
    );
    let tell_when_ready = async {
        node.node.ready().await;
        tracing::info!("ready");
        future::pending().await
    };
    let reload_when_told = async {
        while hangups.recv().await.is_some() {
            node.reload_by_signal().await;
        }
        future::pending().await
    };
    tokio::select! {
        () = tell_when_ready => {}
        () = reload_when_told => {}
        error = node.node.failed() => stop.at_once(&error),
        () = stop.requested() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        stopped = node.shutdown() => stopped?,
        () = stop.requested() => stop.in_disorder(),
    }
    tracing::info!("stopped");
    Ok(())
}

/// The identity of the node. One that founds a cluster alone, or joins one, makes its own; one that
/// founds a cluster with others must have been named in the files of all, so there has to be one
/// already.
fn identity(loaded: &Loaded, joins: bool) -> anyhow::Result<Identity> {
    let dir = &loaded.config.data_dir;
    let founds_with_others =
        !loaded.config.cluster.nodes.is_empty() && !joins && !DataDir::holds_data(dir);
    if !founds_with_others {
        drop(DataDir::open(dir)?);
        return init::open_or_make(dir);
    }
    let path = dir.join(KEY_FILE);
    let identity = Identity::load(&LinuxDisk, &path).with_context(|| {
        format!(
            "the node has no usable identity: run `quorate init --data-dir {}` and put what it \
             prints into cluster.nodes of every node",
            dir.display()
        )
    })?;
    loaded.check_identity(&identity.public_key())?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use quorate_peer::IdentityError;
    use quorate_raft::Known;

    use super::*;
    use crate::{
        cluster_file::{ClusterFile, Stage},
        config::{Sources, load},
    };

    fn loaded(dir: &std::path::Path, nodes: &str) -> Loaded {
        let environment = [
            ("QUORATE_DATA_DIR", dir.to_str().unwrap()),
            ("QUORATE_CLUSTER_NODES", nodes),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        load(Sources {
            environment: environment.map(owned).to_vec(),
            ..Sources::default()
        })
        .unwrap()
    }

    #[test]
    fn data_without_its_key_gets_no_new_one() {
        let member = "36hua9cfga3qfsky7dau4ukkrpy6xy5ob5enbtzhfd1581pg7b7o@a:1";
        for nodes in ["", member] {
            let dir = tempfile::tempdir().unwrap();
            let loaded = loaded(dir.path(), nodes);
            let made = init::open_or_make(dir.path()).unwrap().public_key();
            let data = DataDir::open(dir.path()).unwrap();
            let cluster = ClusterFile {
                stage: Stage::Member,
                name: Some("quorate".to_owned()),
                known: Known::default(),
            };
            data.set_cluster(&cluster).unwrap();
            drop(data);
            assert_eq!(identity(&loaded, false).unwrap().public_key(), made);

            std::fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
            let error = identity(&loaded, false).err().unwrap().to_string();
            let expected = format!(
                "{} holds data but no node.key: restore the key or choose another data_dir",
                dir.path().display()
            );
            assert_eq!(error, expected);
            let absent = Identity::load(&LinuxDisk, &dir.path().join(KEY_FILE));
            assert!(matches!(absent, Err(IdentityError::Read { .. })));
        }
    }
    #[test]
    fn one_that_founds_with_others_needs_an_identity_that_they_know() {
        let member = "36hua9cfga3qfsky7dau4ukkrpy6xy5ob5enbtzhfd1581pg7b7o@a:1";
        let dir = tempfile::tempdir().unwrap();
        let loaded = loaded(dir.path(), member);
        let error = identity(&loaded, false).err().unwrap().to_string();
        assert!(error.contains("quorate init"), "{error}");

        let made = identity(&loaded, true).unwrap().public_key();
        let error = identity(&loaded, false).err().unwrap().to_string();
        assert!(error.contains(&made.to_string()), "{error}");
        assert!(error.contains("not in the list"), "{error}");
    }

    #[test]
    fn one_alone_and_one_that_joins_make_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = loaded(dir.path(), "");
        let made = identity(&loaded, true).unwrap().public_key();
        assert_eq!(identity(&loaded, false).unwrap().public_key(), made);
    }
}
