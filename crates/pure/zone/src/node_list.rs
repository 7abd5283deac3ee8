//! The names of a zone as a sorted list of nodes: the step before the tree.

use std::cmp::Ordering;

use crate::{
    rdata::types,
    tree::{Flags, label_order},
};

/// A record, or a name at which another origin begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The range of its owner's labels in [`OwnerLabels::labels`].
    pub(crate) labels: (u32, u32),
    pub(crate) kind: EntryKind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum EntryKind {
    /// Another origin begins at the name.
    OtherOrigin,
    Record {
        record_type: u16,
        ttl_secs: u32,
        length_at: usize,
        unpacked_size: usize,
    },
}

impl EntryKind {
    /// The sort key of a name's entries: sets by type, after entries that are not records.
    fn record_type(&self) -> Option<u16> {
        match self {
            Self::OtherOrigin => None,
            Self::Record { record_type, .. } => Some(*record_type),
        }
    }
}

/// A node that is not in a tree yet.
pub(crate) struct NewNode {
    pub(crate) label_at: u32,
    pub(crate) parent: u32,
    depth: u32,
    pub(crate) flags: Flags,
}

/// The range of the entries of one name and type.
pub(crate) struct Group {
    pub(crate) node: u32,
    pub(crate) entries: (usize, usize),
}

/// The owner names of a zone, as the offsets of their labels in a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerLabels<'m> {
    pub(crate) message: &'m [u8],
    /// The labels of all names, each in order from the apex down.
    pub(crate) labels: &'m [u32],
}

/// The names of a zone as nodes, sorted by depth and parent; and its record sets, sorted by node.
pub(crate) struct NodeList {
    pub(crate) nodes: Vec<NewNode>,
    pub(crate) groups: Vec<Group>,
}

impl NodeList {
    /// Builds the list from at least one entry, and sorts the entries.
    pub(crate) fn new(owners: OwnerLabels<'_>, entries: &mut [Entry]) -> Self {
        entries.sort_by(|a, b| owners.entry_order(a, b));
        let (nodes, groups) = owners.preorder(entries);
        let (nodes, mut groups) = by_depth(nodes, groups);
        groups.sort_by_key(|group| group.node);
        Self { nodes, groups }
    }
}

impl OwnerLabels<'_> {
    fn entry_order(&self, a: &Entry, b: &Entry) -> Ordering {
        let (labels_a, labels_b) = (self.labels(a), self.labels(b));
        let shared = self.shared_label_count(labels_a, labels_b);
        let next = |labels: &[u32]| labels.get(shared).map(|at| label(self.message, *at));
        let order = match (next(labels_a), next(labels_b)) {
            (Some(a), Some(b)) => label_order(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        order.then_with(|| a.kind.record_type().cmp(&b.kind.record_type()))
    }

    fn labels(&self, entry: &Entry) -> &[u32] {
        &self.labels[entry.labels.0 as usize..entry.labels.1 as usize]
    }

    fn shared_label_count(&self, a: &[u32], b: &[u32]) -> usize {
        let is_same = |(a, b): &(&u32, &u32)| {
            // Labels at the same offset are the same.
            a == b || label(self.message, **a).eq_ignore_ascii_case(label(self.message, **b))
        };
        a.iter().zip(b).take_while(is_same).count()
    }

    /// The nodes of sorted entries, in their order and parents before children; and the entries of
    /// each set.
    fn preorder(&self, entries: &[Entry]) -> (Vec<NewNode>, Vec<Group>) {
        let mut nodes = vec![NewNode {
            label_at: 0,
            parent: 0,
            depth: 0,
            flags: Flags::NONE,
        }];
        let mut groups: Vec<Group> = Vec::with_capacity(entries.len());
        // The nodes from the apex to the last name.
        let mut path = vec![0];
        let mut last: &[u32] = &[];
        for (at, entry) in entries.iter().enumerate() {
            let labels = self.labels(entry);
            let shared = self.shared_label_count(last, labels);
            path.truncate(1 + shared);
            for label_at in &labels[shared..] {
                nodes.push(NewNode {
                    label_at: *label_at,
                    parent: path[path.len() - 1],
                    depth: path.len() as u32,
                    flags: Flags::NONE,
                });
                path.push(nodes.len() as u32 - 1);
            }
            last = labels;
            let node = path[path.len() - 1];
            let Some(record_type) = entry.kind.record_type() else {
                nodes[node as usize].flags = Flags::OTHER_ORIGIN;
                continue;
            };
            match groups.last_mut() {
                Some(group)
                    if group.node == node
                        && entries[group.entries.0].kind.record_type() == Some(record_type) =>
                {
                    group.entries.1 = at + 1;
                }
                _ => groups.push(Group {
                    node,
                    entries: (at, at + 1),
                }),
            }
        }
        for group in &groups {
            let flag = match entries[group.entries.0].kind.record_type() {
                Some(types::NS) if group.node != 0 => Flags::CUT,
                Some(types::DNAME) => Flags::DNAME,
                _ => Flags::NONE,
            };
            let node = &mut nodes[group.node as usize];
            node.flags = node.flags.with(flag);
        }
        (nodes, groups)
    }
}

/// Sorts nodes by depth, so that the children of a node are next to each other.
fn by_depth(nodes: Vec<NewNode>, mut groups: Vec<Group>) -> (Vec<NewNode>, Vec<Group>) {
    if nodes.is_sorted_by_key(|node| node.depth) {
        return (nodes, groups);
    }
    let mut order: Vec<u32> = (0..nodes.len() as u32).collect();
    order.sort_by_key(|node| nodes[*node as usize].depth);
    let mut indexes = vec![0; nodes.len()];
    for (index, node) in (0..).zip(&order) {
        indexes[*node as usize] = index;
    }
    let sorted = order.iter().map(|node| {
        let node = &nodes[*node as usize];
        NewNode {
            parent: indexes[node.parent as usize],
            ..*node
        }
    });
    for group in &mut groups {
        group.node = indexes[group.node as usize];
    }
    (sorted.collect(), groups)
}

/// The label at this offset, without its length byte.
pub(crate) fn label(message: &[u8], at: u32) -> &[u8] {
    let at = at as usize;
    let len = usize::from(message.get(at).copied().unwrap_or(0));
    message
        .get(at + 1..)
        .map_or(&[], |rest| &rest[..len.min(rest.len())])
}
