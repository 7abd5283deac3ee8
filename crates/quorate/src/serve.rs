//! One node of a cluster.

use std::future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Loaded,
    fronts::Listeners,
    logging::Logging,
    node::{RunningNode, StartOptions},
    start::State,
    stop::Stop,
};

/// Runs a node until it is told to stop.
pub(crate) async fn run(loaded: Loaded, mut once: StartOptions) -> anyhow::Result<()> {
    let logging = Logging::start(&loaded.config.logging.filter);
    let mut stop = Stop::listen()?;
    let mut hangups = signal(SignalKind::hangup()).context("signals cannot be handled")?;
    let config = &loaded.config;
    // One that cannot start takes no port and writes nothing.
    State::of(&config.data_dir)?.cluster(&config.data_dir, once.join.is_some())?;
    once.sources = Some(loaded.sources);
    let listeners = Listeners::bind(config).await?;
    let node = tokio::select! {
        node = RunningNode::start(config, listeners, once, &logging) => node?,
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
