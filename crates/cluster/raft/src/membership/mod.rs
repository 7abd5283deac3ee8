//! Who the members are, and how that changes.
//!
//! Raft's membership says who has a part in consensus, and where everybody is. The node_registry in the
//! replicated state says who may become a member, and what is known of each beside.
//!
//! | piece | what it is |
//! |---|---|
//! | [`membership_view`] | who the cluster is and who belongs to it, as this node knows it now |
//! | [`acknowledged`] | what voters have acknowledged to this leader |
//! | [`following`] | the view of the membership and the links, kept as the members are |
//! | [`membership_snapshot`] | the members as their leader knows them at one moment |
//! | [`admin`] | what the leader knows when it answers |
//! | [`order`] | what the leader is asked: one handler for each request |
//! | [`changes`], [`steps`], [`transfer`], [`registering`], [`publishing`], [`level_upgrade`] | these handlers |
//! | [`problems`] | why it does not do what it is asked |
//! | [`operator`], [`leader_client`] | requests at any node, which asks the leader |
//! | [`audit`] | what the leader writes of requests that other nodes brought |
//! | [`own_view`] | the members as a node knows them that knows no leader |
//! | [`lost_majority`] | what is said when there can be no leader |
//! | [`joining`] | nodes that nobody knows yet |
//! | [`naming`] | what operators call a node |
//! | [`reconciler`] | what the leader does unasked until all are what they shall be |
//! | [`removal`] | how a node learns that it is no member any more, or has lost its data |

mod acknowledged;
pub(crate) mod address;
pub(crate) mod admin;
mod audit;
mod change_steps;
mod changes;
mod handlers;
mod joining;
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
mod transfer;
pub(crate) mod view_updater;
