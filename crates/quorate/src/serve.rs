//! One node of a cluster.

use std::future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::LoadedConfig,
    logging::Logging,
    node::{RunningNode, StartOptions},
    servers::Listeners,
    start::BootState,
    stop::StopSignals,
};

/// Runs a node until it is stopped.
pub(crate) async fn run(loaded: LoadedConfig, mut options: StartOptions) -> anyhow::Result<()> {
    let logging = Logging::start(&loaded.config.logging.filter, loaded.config.logging.format);
    let mut stop = StopSignals::listen()?;
    let mut hangups = signal(SignalKind::hangup()).context("signals cannot be handled")?;
    let config = &loaded.config;
    // A node that cannot start must bind no port and write nothing.
    BootState::of(&config.data_dir)?.cluster(&config.data_dir, options.join.is_some())?;
    options.sources = Some(loaded.sources);
    let listeners = Listeners::bind(config).await?;
    let node = tokio::select! {
        node = RunningNode::start(config, listeners, options, &logging) => node?,
        () = stop.requested() => stop.exit_before_start(),
    };
    let addresses = node.addresses();
    tracing::info!(
        http = %addresses.http, dns = %addresses.dns, peer = %addresses.peer,
        admin = %addresses.admin,
        socket = node.admin_socket().map(|path| path.display().to_string()),
        "listening"
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
        error = node.node.failed() => stop.exit_fatal(&error),
        () = stop.requested() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        stopped = node.shutdown() => stopped?,
        () = stop.requested() => stop.exit_unclean(),
    }
    tracing::info!("stopped");
    Ok(())
}
