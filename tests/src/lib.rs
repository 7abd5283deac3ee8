//! Scenarios over real processes and sockets, and what they are told with.
//!
//! A scenario reads as prose: a [`Cluster`] of real `quorate` processes is started, it returns sets
//! of [`Nodes`] that are killed, terminated and restarted, [`Publisher`]s write to them, and an
//! [`Oracle`] knows what must be found afterwards.
//!
//! Constraints:
//!
//! - Nothing sleeps and hopes: whatever takes time is awaited by [`wait::until`], with a label and a
//!   deadline.
//! - A PUT that timed out is *unknown*: neither lost nor stored.
//! - Every process is killed, by its id, when its [`Node`] is dropped, also when the test fails; the
//!   logs of all nodes are then printed.
//! - Nothing here knows Quorate from inside: only its program, its files and its protocols.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Cluster`], [`Plan`] | processes in a temporary directory |
//! | [`Nodes`], [`Node`] | a set of them, one of them |
//! | [`Links`], [`Condition`] | the network between them, and what becomes of it |
//! | [`Ran`], [`Member`] | what a command of the program did, and what one said of a member |
//! | [`Publisher`], [`PutAnswer`] | signs ever newer packets, and remembers what became of each |
//! | [`Oracle`], [`KeyOracle`] | what must, may and must not be stored |
//! | [`Load`], [`publish_many`] | publishers in the background, or very many |
//! | [`Readers`], [`Reads`] | readers in the background that know what they may see |
//! | [`Packet`], [`packet`] | signed packets, good and bad, from their bytes |
//! | [`Answer`], [`Status`], [`Digest`] | what a node says when it is asked |
//! | [`dns`] | a DNS client that shows everything |
//! | [`binary`] | which program |
//!
//! `quorate-bench` starts its clusters by this too, so this links no client of pkarr and no iroh:
//! those are the tests'.

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
pub mod wait;

pub use cluster::{Cluster, ORIGIN, OTHER_ORIGIN, Plan, voters};
pub use links::{Condition, Links};
pub use load::{Load, publish_many};
pub use node::{Addresses, Node};
pub use nodes::Nodes;
pub use operator::{Member, Ran};
pub use oracle::{KeyOracle, Oracle};
pub use packet::Packet;
pub use process::Ended;
pub use publisher::{Publisher, PutAnswer};
pub use readers::{Readers, Reads};
pub use requests::{Answer, Digest, Status};
pub use rustix::process::Signal;
