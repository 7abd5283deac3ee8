//! pkarr-relay, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};

use mainline::Testnet;
use pkarr_relay::Relay;
use tokio::task::spawn_blocking;

/// What this program is told when it shall be pkarr-relay.
pub(crate) const ARGUMENT: &str = "pkarr-relay";

/// How many nodes the DHT has that it is on.
const DHT_NODE_COUNT: usize = 10;

/// Says where it takes HTTP, and goes on until it is killed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let dht = spawn_blocking(|| Testnet::builder(DHT_NODE_COUNT).build()).await??;
    let relay = Relay::run_test(&dht.bootstrap).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.relay_address().port()));
    println!("{address}");
    std::future::pending().await
}
