//! pkarr-relay, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};

use mainline::Testnet;
use pkarr_relay::Relay;
use tokio::task::spawn_blocking;

/// The argument that makes this program run as pkarr-relay.
pub(crate) const ARGUMENT: &str = "pkarr-relay";

/// The number of nodes of its DHT.
const DHT_NODE_COUNT: usize = 10;

/// Prints its HTTP address and runs until it is killed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let dht = spawn_blocking(|| Testnet::builder(DHT_NODE_COUNT).build()).await??;
    let relay = Relay::run_test(&dht.bootstrap).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.relay_address().port()));
    println!("{address}");
    std::future::pending().await
}
