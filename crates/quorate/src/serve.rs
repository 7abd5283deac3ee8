//! One node of a cluster.

use std::future;

use anyhow::Context;
use quorate_disk::LinuxDisk;
use quorate_tls::Identity;

use crate::{
    config::Loaded,
    data_dir::DataDir,
    init::{self, KEY_FILE},
    node::{ForThisStart, RunningNode},
    stop::{NODE_LOGS, Stop, start_logs},
};

/// Runs a node until it is told to stop.
pub(crate) async fn run(loaded: Loaded, once: ForThisStart) -> anyhow::Result<()> {
    start_logs(NODE_LOGS);
    let mut stop = Stop::listen()?;
    let identity = identity(&loaded)?;
    loaded.check_identity(&identity.public_key())?;
    let node = tokio::select! {
        node = RunningNode::start(&loaded.config, identity, once) => node?,
        () = stop.requested() => stop.before_the_start(),
    };
    let addresses = node.addresses();
    tracing::info!(
        http = %addresses.http, dns = %addresses.dns, peer = %addresses.peer,
        admin = %addresses.admin, "listening"
    );
    let tell_when_ready = async {
        node.ready().await;
        tracing::info!("ready");
        future::pending().await
    };
    tokio::select! {
        () = tell_when_ready => {}
        error = node.failed() => stop.at_once(&error),
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

/// The identity of the node. One that is a cluster by itself makes its own; a member of a cluster
/// must have been named in the files of all, so there has to be one already.
fn identity(loaded: &Loaded) -> anyhow::Result<Identity> {
    let dir = &loaded.config.data_dir;
    if loaded.config.cluster.nodes.is_empty() {
        drop(DataDir::open(dir)?);
        return init::open_or_make(dir);
    }
    init::check_not_lost(dir)?;
    let path = dir.join(KEY_FILE);
    Identity::load(&LinuxDisk, &path).with_context(|| {
        format!(
            "the node has no usable identity: run `quorate init --data-dir {}` and put what it \
             prints into cluster.nodes of every node",
            dir.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use quorate_tls::IdentityError;

    use super::*;
    use crate::{
        config::{Sources, load},
        data_dir::Cluster,
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
            data.claim(&Cluster::new("quorate", [made])).unwrap();
            drop(data);
            assert_eq!(identity(&loaded).unwrap().public_key(), made);

            std::fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
            let error = identity(&loaded).err().unwrap().to_string();
            let expected = format!(
                "{} holds data but no node.key: restore the key or choose another data_dir",
                dir.path().display()
            );
            assert_eq!(error, expected);
            let absent = Identity::load(&LinuxDisk, &dir.path().join(KEY_FILE));
            assert!(matches!(absent, Err(IdentityError::Read { .. })));
        }
    }
}
