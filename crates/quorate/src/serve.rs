//! One node of a cluster.

use std::future;

use anyhow::Context;
use quorate_tls::Identity;

use crate::{
    config::Loaded,
    data_dir::DataDir,
    init::{self, KEY_FILE},
    node::RunningNode,
    stop::{NODE_LOGS, Stop, start_logs},
};

/// Runs a node until it is told to stop.
pub(crate) async fn run(loaded: Loaded) -> anyhow::Result<()> {
    start_logs(NODE_LOGS);
    let mut stop = Stop::listen()?;
    let identity = identity(&loaded)?;
    loaded.check_identity(&identity.public_key())?;
    let node = RunningNode::start(&loaded.config, identity).await?;
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
        () = node.shutdown() => {}
        () = stop.insisted() => tracing::warn!("stopped before everything was put in order"),
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
    let path = dir.join(KEY_FILE);
    Identity::load(&path).with_context(|| {
        format!(
            "the node has no usable identity: run `quorate init --data-dir {}` and put what it \
             prints into cluster.nodes of every node",
            dir.display()
        )
    })
}
