//! Load generator and measurements, over public protocols only.
//!
//! It measures and does not check results against limits. Three rules make results comparable:
//!
//! - Only the server is measured: packets are signed in advance, connections are plain ones of hyper
//!   without a pool, and the generator runs on one thread (DNS: one for each socket), because it shares
//!   the machine with the server. Its own CPU time is printed next to the server's.
//! - Rates differ between machines and hours; CPU time per operation differs least. Compare within one
//!   run, and check how much CPU other programs used.
//! - Loops are closed: a connection sends its next request when it has the answer to the last.
//!
//! | module | what it is |
//! |---|---|
//! | `smoke` | every workload in turn, on a cluster that it starts |
//! | `backups` | PUTs while a node of such a cluster makes a backup, and how long it takes to verify and restore it |
//! | `catch_up` | PUTs while a node of such a cluster gets a snapshot |
//! | `visible` | how long a PUT takes until every node shows the packet by DNS |
//! | `failover` | the gap in writes after the leader is lost, and unnecessary elections |
//! | `peers`, `peers_table` | PUTs compared with iroh-dns-server and etcd |
//! | `dns_peers` | DNS compared with Knot, NSD and iroh-dns-server, and the cost of expensive packets |
//! | `relay_peers` | GETs, and PUTs of the same bytes, compared with iroh-dns-server |
//! | `dht`, `dht_network` | lookups in the DHT compared with pkarr-relay and iroh-dns-server, and what they cost |
//! | `restart`, `day` | iroh endpoints that all start at the same time, and during a day |
//! | `endpoint`, `online_times`, `kinds`, `plot` | one endpoint, when it is online, and its results |
//! | `contender` | one of the compared name servers, and its queries |
//! | `servers_of_others`, `name_servers`, `echo` | the servers of other projects, and the kernel alone |
//! | `hostile` | expensive packets |
//! | `cluster`, `fill`, `limits` | the cluster of three nodes on loopback, its first packets, and its limits |
//! | `commands` | one workload, on servers that already run |
//! | `load` | the workloads: PUT, GET, DNS |
//! | `http` | a connection that sends one request after the other |
//! | `packets` | keys, and packets signed in advance |
//! | `measure` | runs a workload, and measures its cost for servers, generator and disk |
//! | `source` | the local addresses of requests |
//! | `cpu`, `scrape`, `machine` | CPU time, the servers' metrics, a description of the machine |
//! | `report` | the table |
//!
//! The cluster is started and ended by `quorate-tests`, as in the scenarios.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod backups;
mod catch_up;
mod cluster;
mod commands;
mod contender;
mod cpu;
mod day;
mod dht;
mod dht_network;
mod dns_peers;
mod echo;
mod endpoint;
mod failover;
mod fill;
mod hostile;
mod http;
mod kinds;
mod limits;
mod load;
mod machine;
mod measure;
mod name_servers;
mod online_times;
mod packets;
mod peers;
mod peers_table;
mod plot;
mod relay_peers;
mod report;
mod restart;
mod scrape;
mod servers_of_others;
mod smoke;
mod source;
mod visible;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Measures pkarr relays and authoritative DNS servers.
#[derive(Debug, Parser)]
#[command(name = "quorate-bench", version)]
enum Command {
    /// Starts three nodes on loopback and measures every workload.
    Smoke(smoke::SmokeArgs),
    /// Starts three nodes on loopback, fills them, and measures PUTs while backups are saved.
    Backups(backups::BackupsArgs),
    /// Starts two nodes of three on loopback, fills them, and measures PUTs while the third catches up.
    CatchUp(catch_up::CatchUpArgs),
    /// Starts three nodes on loopback, kills and cuts off leaders, and measures when writes continue.
    Failover(failover::FailoverArgs),
    /// Starts three nodes on loopback, and measures how long a PUT takes until all of them show it by DNS.
    Visible(visible::VisibleArgs),
    /// Starts three nodes, iroh-dns-server and etcd on loopback and measures PUTs in turns.
    Peers(peers::PeersArgs),
    /// Starts single nodes, Knot, NSD and iroh-dns-server on loopback and measures DNS in turns.
    DnsPeers(dns_peers::DnsPeersArgs),
    /// Starts a node and iroh-dns-server on loopback and measures GETs and PUTs of the same bytes.
    RelayPeers(relay_peers::RelayPeersArgs),
    /// Starts nodes of the DHT, a node, pkarr-relay and iroh-dns-server on loopback and measures lookups.
    Dht(dht::DhtArgs),
    /// Starts three nodes, and endpoints behind one address that all start within a second.
    Restart(restart::RestartArgs),
    /// Starts three nodes, and simulates a day of many endpoints in minutes.
    Day(day::DayArgs),
    /// Sends every datagram back as a response: the least that any server can cost.
    #[command(hide = true)]
    Echo(echo::EchoArgs),
    /// Measures PUTs on servers that already run.
    Put(commands::PutArgs),
    /// Measures GETs on servers that already run.
    Get(commands::GetArgs),
    /// Measures DNS over UDP on a server that already runs.
    Dns(commands::DnsArgs),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let work = async {
        match Command::parse() {
            Command::Smoke(args) => smoke::run(args).await,
            Command::Backups(args) => backups::run(args).await,
            Command::CatchUp(args) => catch_up::run(args).await,
            Command::Failover(args) => failover::run(args).await,
            Command::Visible(args) => visible::run(args).await,
            Command::Peers(args) => peers::run(args).await,
            Command::DnsPeers(args) => dns_peers::run(args).await,
            Command::RelayPeers(args) => relay_peers::run(args).await,
            Command::Dht(args) => dht::run(args).await,
            Command::Restart(args) => restart::run(args).await,
            Command::Day(args) => day::run(args).await,
            Command::Echo(args) => echo::run(&args),
            Command::Put(args) => commands::put(args).await,
            Command::Get(args) => commands::get(args).await,
            Command::Dns(args) => commands::dns(args).await,
        }
    };
    // The nodes that this process started must end with it, also on a signal.
    tokio::select! {
        done = work => match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("quorate-bench: {error:#}");
                ExitCode::FAILURE
            }
        },
        () = told_to_stop() => {
            eprintln!("quorate-bench: stopped");
            ExitCode::FAILURE
        }
    }
}

async fn told_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
