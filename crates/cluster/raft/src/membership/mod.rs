//! Who the members are, and how that changes.
//!
//! Raft's membership lists the voters and learners with their addresses. The node registry in the
//! replicated state lists who may become a member, with name, address and role.
//!
//! | piece | what it is |
//! |---|---|
//! | [`membership_view`] | who belongs to the cluster, as this node knows it now |
//! | [`acknowledged`] | what voters have acknowledged to this leader |
//! | [`view_updater`] | keeps that view and the links up to date |
//! | [`membership_snapshot`] | the members as their leader knows them at one time |
//! | [`admin`] | the entry to all administration requests |
//! | [`handlers`] | the leader's handler for each request |
//! | [`changes`], [`change_steps`], [`transfer`], [`registering`], [`publishing`], [`importing`], [`setting`], [`level_upgrade`] | what these handlers do |
//! | [`problems`] | the errors that these requests return |
//! | [`operator`], [`leader_client`] | requests to any node, which forwards them to the leader |
//! | [`audit`] | the leader's audit log of requests that other nodes forwarded |
//! | [`leaderless_view`] | the members as a node without a leader knows them |
//! | [`lost_majority`] | detects that too few voters are left to elect a leader |
//! | [`joining`] | answers nodes that want to join |
//! | [`node_name`] | sends a node's configured name to the leader |
//! | [`reconciler`] | moves the membership to the desired one, on the leader, automatically |
//! | [`removal`] | how a node finds out that it was removed, or has lost its data |

mod acknowledged;
pub(crate) mod address;
pub(crate) mod admin;
mod audit;
mod change_steps;
mod changes;
mod handlers;
mod importing;
mod joining;
mod key_rotation;
pub(crate) mod leader_client;
mod leaderless_view;
mod level_upgrade;
mod lost_majority;
mod membership_snapshot;
pub(crate) mod membership_view;
pub(crate) mod node_name;
pub(crate) mod operator;
pub(crate) mod peer_terms;
pub(crate) mod problems;
mod publishing;
pub(crate) mod reconciler;
mod registering;
pub(crate) mod removal;
mod setting;
mod transfer;
pub(crate) mod view_updater;
