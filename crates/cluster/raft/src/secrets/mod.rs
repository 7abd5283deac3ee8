//! The cluster key, and the replicated secrets that it seals.
//!
//! The leader makes a key when the cluster has none, when a node was removed, and when an operator wants one. It
//! sends the key to all members, and proposes the switch once a majority of the voters has it on disk. So a
//! leader that a majority elects can get it from a live member. After the switch it seals the secrets again.
//! A node that has applied a switch to a key that it does not have asks its peers. They give a key only to
//! members, and only if they have applied the switch themselves: a removed node gets no new key.

pub(crate) mod cluster_keys;
mod cookies;
pub(crate) mod having_keys;
mod key_requests;
pub(crate) mod rotation;
mod sealing;
mod secret_store;
