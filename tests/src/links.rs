//! The network between the nodes of a cluster, one fault at a time.
//!
//! Each node dials each other one through a forwarder of its own on loopback. A connection carries
//! bytes both ways, so a fault is not one of connections: it strikes what one node sends to another,
//! on every connection between the two, whoever dialed.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::Instant,
};

use crate::{Node, link_proxy::LinkProxy, ports};

/// What becomes of the bytes that one node sends to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// They arrive.
    #[default]
    Whole,
    /// They vanish, and so does the end of a connection: nobody is told anything. A connection that
    /// has lost bytes is reset when the link is whole again.
    Lost,
    /// They wait where they are, and arrive when the link is whole again, as those of TCP do after a
    /// short failure of the network.
    Held,
    /// Connections end and none can be made.
    Refused,
    /// They arrive late.
    Slow {
        /// How late.
        delay: Duration,
        /// How many of them a second, on all connections together.
        bytes_per_sec: u32,
    },
}

/// What one node sends to another, on all connections.
pub(crate) struct Flow {
    condition: watch::Sender<Condition>,
    /// Until when the bytes that were let pass take, at the rate of the link.
    busy_until: watch::Sender<Instant>,
}

impl Flow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            condition: watch::Sender::new(Condition::Whole),
            busy_until: watch::Sender::new(Instant::now()),
        })
    }

    pub(crate) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// When `size` bytes that were sent at `sent` have passed a slow link.
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

/// From whom, to whom: ids of nodes.
type Direction = (String, String);

/// The links of a cluster. They live on a thread of their own, whatever the test does.
pub struct Links {
    flows: BTreeMap<Direction, Arc<Flow>>,
    /// Where the first dials the second.
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

    /// Where `node` dials the others, `<key>@host:port` each: where its forwarders to them listen.
    pub(crate) fn routes(&self, node: &Node) -> Vec<String> {
        let of_node = self.addresses.iter();
        let of_node = of_node.filter(|((dialer, _), _)| dialer == node.id());
        let route =
            |((_, dialed), address): (&Direction, &SocketAddr)| format!("{dialed}@{address}");
        of_node.map(route).collect()
    }

    /// What the nodes of `from` send to those of `to` meets this from now on.
    pub fn set(&self, from: &[Arc<Node>], to: &[Arc<Node>], condition: Condition) {
        let is_in = |nodes: &[Arc<Node>], id: &str| nodes.iter().any(|node| node.id() == id);
        for ((sender, receiver), flow) in &self.flows {
            if is_in(from, sender) && is_in(to, receiver) {
                flow.condition.send_replace(condition);
            }
        }
    }

    /// What these nodes send to those, and those to these, meets this from now on.
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

    /// This node meets this on every link, both ways.
    pub fn isolate(&self, node: &Node, condition: Condition) {
        let id = node.id();
        self.set_where(|sender, receiver| sender == id || receiver == id, condition);
    }

    /// Every link is whole again.
    pub fn heal(&self) {
        self.set_where(|_, _| true, Condition::Whole);
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
            // A test's own runtime may not wait for this one.
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
