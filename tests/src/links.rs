//! The network between the nodes of a cluster, one fault at a time.
//!
//! Each node connects to each other node through a separate forwarder on loopback. A fault applies to
//! a direction, not to a connection: to everything that one node sends to another, on all connections
//! between the two, whichever node opened them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::Instant,
};

use crate::{Node, link_proxy::LinkProxy, ports};

/// What happens to the bytes that one node sends to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// They arrive normally.
    #[default]
    Normal,
    /// They are lost, and so is the end of a connection: neither side notices. A connection that has
    /// lost bytes is reset when the link is healed.
    Lost,
    /// They are delayed, and arrive when the link is healed, as with TCP after a short failure of the
    /// network.
    Delayed,
    /// Connections end, and new ones are refused.
    Refused,
    /// They arrive late.
    Slow {
        /// The delay.
        delay: Duration,
        /// The rate of all connections together.
        bytes_per_sec: u32,
    },
}

/// What one node sends to another, on all connections.
pub(crate) struct Flow {
    condition: watch::Sender<Condition>,
    /// When the bytes sent so far have passed, at the link's rate.
    busy_until: watch::Sender<Instant>,
}

impl Flow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            condition: watch::Sender::new(Condition::Normal),
            busy_until: watch::Sender::new(Instant::now()),
        })
    }

    pub(crate) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// When `size` bytes sent at `sent` have passed a slow link.
    pub(crate) fn passed(
        &self,
        sent: Instant,
        size: usize,
        delay: Duration,
        bytes_per_sec: u32,
    ) -> Instant {
        let bytes = u32::try_from(size).unwrap_or(u32::MAX);
        let takes = Duration::from_secs(1) * bytes / bytes_per_sec.max(1);
        let mut passed = sent;
        self.busy_until.send_modify(|busy_until| {
            *busy_until = (*busy_until).max(sent) + takes;
            passed = *busy_until;
        });
        passed + delay
    }
}

/// Sender and receiver: ids of nodes.
type Direction = (String, String);

/// The links of a cluster. They run on a separate thread, independent of the test.
pub struct Links {
    flows: BTreeMap<Direction, Arc<Flow>>,
    /// The address at which the first node reaches the second.
    addresses: BTreeMap<Direction, SocketAddr>,
    runtime: Option<Runtime>,
}

impl Links {
    /// A forwarder for each ordered pair of nodes.
    pub(crate) fn between(nodes: &[Arc<Node>]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("links")
            .enable_all()
            .build()
            .expect("a thread can be started");
        let pairs = || {
            nodes.iter().flat_map(|from| {
                let others = nodes.iter().filter(|to| to.id() != from.id());
                others.map(move |to| (from, to))
            })
        };
        let direction = |from: &Node, to: &Node| (from.id().to_owned(), to.id().to_owned());
        let flows: BTreeMap<_, _> = pairs()
            .map(|(from, to)| (direction(from, to), Flow::new()))
            .collect();
        let mut addresses = BTreeMap::new();
        for (dialer, dialed) in pairs() {
            let address = ports::take_address();
            let proxy = LinkProxy {
                address,
                target: dialed.addresses().peer,
                forth: flows[&direction(dialer, dialed)].clone(),
                back: flows[&direction(dialed, dialer)].clone(),
            };
            runtime.spawn(proxy.run());
            addresses.insert(direction(dialer, dialed), address);
        }
        Self {
            flows,
            addresses,
            runtime: Some(runtime),
        }
    }

    /// Where `node` reaches the others, as `<key>@host:port`: the addresses of its forwarders.
    pub(crate) fn routes(&self, node: &Node) -> Vec<String> {
        let of_node = self.addresses.iter();
        let of_node = of_node.filter(|((dialer, _), _)| dialer == node.id());
        let route =
            |((_, dialed), address): (&Direction, &SocketAddr)| format!("{dialed}@{address}");
        of_node.map(route).collect()
    }

    /// Applies `condition` to what the nodes of `from` send to those of `to`.
    pub fn set(&self, from: &[Arc<Node>], to: &[Arc<Node>], condition: Condition) {
        let is_in = |nodes: &[Arc<Node>], id: &str| nodes.iter().any(|node| node.id() == id);
        for ((sender, receiver), flow) in &self.flows {
            if is_in(from, sender) && is_in(to, receiver) {
                flow.condition.send_replace(condition);
            }
        }
    }

    /// Applies `condition` between these nodes and those, in both directions.
    pub fn set_both(&self, these: &[Arc<Node>], those: &[Arc<Node>], condition: Condition) {
        self.set(these, those, condition);
        self.set(those, these, condition);
    }

    /// Nothing that this node sends arrives.
    pub fn silence(&self, node: &Node) {
        self.set_where(|sender, _| sender == node.id(), Condition::Lost);
    }

    /// Nothing that others send arrives at this node.
    pub fn deafen(&self, node: &Node) {
        self.set_where(|_, receiver| receiver == node.id(), Condition::Lost);
    }

    /// Applies `condition` to every link of this node, in both directions.
    pub fn isolate(&self, node: &Node, condition: Condition) {
        let id = node.id();
        self.set_where(|sender, receiver| sender == id || receiver == id, condition);
    }

    /// Heals every link.
    pub fn heal(&self) {
        self.set_where(|_, _| true, Condition::Normal);
    }

    fn set_where(&self, choose: impl Fn(&str, &str) -> bool, condition: Condition) {
        for ((sender, receiver), flow) in &self.flows {
            if choose(sender, receiver) {
                flow.condition.send_replace(condition);
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test's own runtime must not block on this one.
            runtime.shutdown_background();
        }
        for address in self.addresses.values() {
            ports::give_back(*address);
        }
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
