//! Load generator and figures, over public protocols only.
//!
//! This measures; it judges nothing. Three rules make its figures worth comparing:
//!
//! - What is measured is the server: packets are signed ahead of time, connections are plain ones of
//!   hyper without a pool, and the generator runs on one thread (DNS: one for each socket), since it
//!   shares the machine with what it measures. Its own CPU time is printed next to the server's.
//! - Rates drift between machines and hours; CPU time per operation drifts least. Compare within one
//!   run, and check what other programs used during it.
//! - Loops are closed: a connection sends its next request when it has the answer to the last.
//!
//! | module | what it holds |
//! |---|---|
//! | `smoke` | every kind of work in turn, on a cluster of our own |
//! | `checkpoints` | PUTs while the nodes of such a cluster make checkpoints |
//! | `catch_up` | PUTs while a node of such a cluster gets a snapshot |
//! | `failover` | the gap in writes when the leader is lost, and needless elections |
//! | `peers`, `peers_table` | PUTs compared with iroh-dns-server and etcd |
//! | `dns_peers` | DNS compared with Knot, NSD and iroh-dns-server, and the cost of hostile packets |
//! | `relay_peers` | GETs, and PUTs of the same bytes, compared with iroh-dns-server |
//! | `restart`, `day` | what endpoints of iroh send when all start at once, and in a day |
//! | `endpoint`, `presence`, `kinds`, `plot` | one of them, when it is there, and what came of it |
//! | `contender` | a name server of a comparison, and the queries for it |
//! | `servers_of_others`, `name_servers`, `echo` | those of others, and the kernel alone |
//! | `hostile` | such packets |
//! | `cluster`, `limits` | that cluster: three nodes on loopback, and their limits |
//! | `commands` | one kind of work, on servers that run already |
//! | `load` | the kinds of work: PUT, GET, DNS |
//! | `http` | a connection that sends one request after the other |
//! | `packets` | keys, and packets signed ahead of time |
//! | `measure` | the work, and what it cost servers, generator and disk |
//! | `source` | which addresses of ours requests come from |
//! | `cpu`, `scrape`, `machine` | CPU time, the servers' own figures, what the machine is |
//! | `report` | the table |
//!
//! The cluster is started and ended by `quorate-tests`, as in the scenarios.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod catch_up;
mod checkpoints;
mod cluster;
mod commands;
mod contender;
mod cpu;
mod day;
mod dns_peers;
mod echo;
mod endpoint;
mod failover;
mod hostile;
mod http;
mod kinds;
mod limits;
mod load;
mod machine;
mod measure;
mod name_servers;
mod packets;
mod peers;
mod peers_table;
mod plot;
mod presence;
mod relay_peers;
mod report;
mod restart;
mod scrape;
mod servers_of_others;
mod smoke;
mod source;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Measures pkarr relays and authoritative DNS servers.
#[derive(Debug, Parser)]
#[command(name = "quorate-bench", version)]
enum Command {
    /// Starts three nodes on loopback and measures every kind of work on them.
    Smoke(smoke::SmokeArgs),
    /// Starts three nodes on loopback and measures PUTs while they make checkpoints.
    Checkpoints(checkpoints::CheckpointsArgs),
    /// Starts two nodes of three on loopback, fills them, and measures PUTs while the third catches up.
    CatchUp(catch_up::CatchUpArgs),
    /// Starts three nodes on loopback, kills and cuts off leaders, and measures when writes go on.
    Failover(failover::FailoverArgs),
    /// Starts three nodes, iroh-dns-server and etcd on loopback and measures PUTs in turns.
    Peers(peers::PeersArgs),
    /// Starts single nodes, Knot, NSD and iroh-dns-server on loopback and measures DNS in turns.
    DnsPeers(dns_peers::DnsPeersArgs),
    /// Starts a node and iroh-dns-server on loopback and measures GETs and PUTs of the same bytes.
    RelayPeers(relay_peers::RelayPeersArgs),
    /// Starts three nodes, and endpoints behind one address that all start within a second.
    Restart(restart::RestartArgs),
    /// Starts three nodes, and lives a day of many endpoints in minutes.
    Day(day::DayArgs),
    /// Sends back every datagram as a response: the least that any server can cost.
    #[command(hide = true)]
    Echo(echo::EchoArgs),
    /// Measures PUTs on servers that run already.
    Put(commands::PutArgs),
    /// Measures GETs on servers that run already.
    Get(commands::GetArgs),
    /// Measures DNS over UDP on a server that runs already.
    Dns(commands::DnsArgs),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let work = async {
        match Command::parse() {
            Command::Smoke(args) => smoke::run(args).await,
            Command::Checkpoints(args) => checkpoints::run(args).await,
            Command::CatchUp(args) => catch_up::run(args).await,
            Command::Failover(args) => failover::run(args).await,
            Command::Peers(args) => peers::run(args).await,
            Command::DnsPeers(args) => dns_peers::run(args).await,
            Command::RelayPeers(args) => relay_peers::run(args).await,
            Command::Restart(args) => restart::run(args).await,
            Command::Day(args) => day::run(args).await,
            Command::Echo(args) => echo::run(&args),
            Command::Put(args) => commands::put(args).await,
            Command::Get(args) => commands::get(args).await,
            Command::Dns(args) => commands::dns(args).await,
        }
    };
    // Stops the nodes that this program started, also after a signal.
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
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be heard");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
