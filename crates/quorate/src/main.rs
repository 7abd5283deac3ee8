//! The program `quorate`: configuration, command line, and the assembly of a node.
//!
//! | module | contents |
//! |---|---|
//! | `cli` | the commands and their arguments |
//! | `config` | layers of settings and their checks |
//! | `serve`, `dev` | one node, and a complete cluster in one process |
//! | `node` | the assembly of a node |
//! | `servers`, `replication` | the servers of a node and its bridge to the DHT; the thread of its consensus |
//! | `start` | identity and state at start, founding and joining |
//! | `advertised` | the address of a node for other nodes |
//! | `live_settings`, `logging` | settings that can be changed while a node runs; log lines |
//! | `stop` | signals and exit codes |
//! | `log` | inspection of the Raft log |
//! | `backup` | backups of the running node: streamed to operators, and scheduled |
//! | `restore`, `recover` | a new cluster from a backup, or from what is left of one that has lost its majority |
//! | `admin_token` | tokens for the admin API |
//! The commands for relays, DNS servers and running nodes are in `quorate-ctl`.

#![allow(clippy::print_stderr)]

mod admin_token;
mod advertised;
mod backup;
mod cli;
mod config;
mod dev;
mod live_settings;
mod log;
mod logging;
mod node;
mod own_address;
mod recover;
mod replication;
mod restore;
mod serve;
mod servers;
mod start;
mod stop;

fn main() -> std::process::ExitCode {
    cli::main()
}
