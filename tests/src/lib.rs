//! A test kit for scenarios over real processes and sockets.
//!
//! A scenario starts a [`Cluster`] of real `quorate` processes, kills, stops and restarts sets of
//! [`Nodes`], writes with [`Publisher`]s, and an [`Oracle`] knows what must be stored afterwards.
//!
//! Constraints:
//!
//! - Nothing sleeps for a fixed time: [`wait::until`] waits for a condition, with a label and a
//!   deadline.
//! - A PUT that timed out is *unknown*: neither lost nor stored.
//! - Every process is killed, by its id, when its [`Node`] is dropped. If the test fails, the logs of
//!   all nodes are printed.
//! - Nothing here uses the internals of Quorate: only its program, files and protocols.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Cluster`], [`Plan`] | processes in a temporary directory |
//! | [`Nodes`], [`Node`] | a set of them, one of them |
//! | [`Links`], [`Condition`] | the network between them, and its faults |
//! | [`CommandOutput`], [`Member`] | the result of a command, and a member as a command prints it |
//! | [`Publisher`], [`PutAnswer`] | signs newer and newer packets, and remembers the answer to each |
//! | [`Oracle`], [`KeyOracle`] | what must, may and must not be stored |
//! | [`Load`], [`publish_many`] | publishers in the background, or very many |
//! | [`Readers`], [`Reads`] | readers in the background that check what they see |
//! | [`Packet`], [`packet`] | signed packets, good and bad, from their bytes |
//! | [`Answer`], [`Status`], [`Digest`] | answers of a node |
//! | [`dns`] | a DNS client |
//! | [`s3`] | a server with the S3 protocol |
//! | [`binary`] | finds the program |
//!
//! `quorate-bench` starts its clusters with this crate too, so the library depends on no pkarr client
//! and not on iroh. Only the tests do.

// A test that fails prints the logs of its nodes.
#![allow(clippy::print_stderr)]

pub mod binary;
mod cluster;
pub mod dns;
mod link_proxy;
mod links;
mod load;
mod node;
mod nodes;
mod operator;
mod oracle;
pub mod packet;
pub mod ports;
mod process;
mod publisher;
mod readers;
mod requests;
pub mod s3;
pub mod wait;

pub use cluster::{Cluster, ORIGIN, OTHER_ORIGIN, Plan, voters};
pub use links::{Condition, Links};
pub use load::{Load, publish_many};
pub use node::{Addresses, Node};
pub use nodes::Nodes;
pub use operator::{CommandOutput, Member};
pub use oracle::{KeyOracle, Oracle};
pub use packet::Packet;
pub use process::Ended;
pub use publisher::{Publisher, PutAnswer};
pub use readers::{Readers, Reads};
pub use requests::{Answer, Digest, Status};
pub use rustix::process::Signal;
