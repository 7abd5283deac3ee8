//! The roof: configuration, the command line, and the wiring of a node.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | the commands and their arguments |
//! | `config` | layers of settings, their checks, and which layer set each |
//! | `node`, `replication` | a node and all its fronts, put together; the thread of its consensus |
//! | `serve`, `dev` | one node, and a whole cluster in one process |
//! | `data_dir` | who a node is, and of which cluster |
//! | `stop` | logs and signals |
//! | `init` | the identity of a node |
//! | `log` | a look into its Raft log |
//!
//! The commands `publish` and `resolve` are those of `quorate-ctl`.

#![allow(clippy::print_stderr)]

mod cli;
mod config;
mod data_dir;
mod dev;
mod init;
mod log;
mod node;
mod replication;
mod serve;
mod stop;

fn main() -> std::process::ExitCode {
    cli::main()
}
