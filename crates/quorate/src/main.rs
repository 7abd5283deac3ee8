//! The roof: configuration, the command line, and the wiring of a node.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | the commands and their arguments |
//! | `config` | layers of settings, their checks, and which layer set each |
//! | `node` | a node and all its fronts, put together |
//! | `serve`, `dev` | one node, and a whole cluster in one process |
//! | `data_dir` | who a node is, and of which cluster |
//! | `stop` | logs and signals |
//! | `init` | the identity of a node |
//! | `publish`, `resolve` | the main job by hand: a packet in, a packet or a DNS answer out |

#![allow(clippy::print_stderr)]

/// Prints to standard output. A reader that has gone, as `head` does, is no error: what it wanted it
/// has.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

/// [`out!`] and the end of the line.
macro_rules! outln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod cli;
mod config;
mod data_dir;
mod dev;
mod init;
mod node;
mod publish;
mod relay_url;
mod resolve;
mod serve;
mod stop;

fn main() -> std::process::ExitCode {
    cli::main()
}
