//! The names of a zone, before they are laid out as a tree.

use std::cmp::Ordering;

use crate::{
    rdata::types,
    tree::{Flags, label_order},
};

/// A record, or a name without any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its owner's labels, from where to where.
    pub(crate) labels: (u32, u32),
    pub(crate) content: Content,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// The name belongs to another origin.
    Foreign,
    Record {
        record_type: u16,
        ttl_secs: u32,
        length_at: usize,
        unpacked_size: usize,
    },
}

impl Content {
    /// What sorts the records of a name: sets by their types, behind what is no set.
    fn record_type(&self) -> Option<u16> {
        match self {
            Self::Foreign => None,
            Self::Record { record_type, .. } => Some(*record_type),
        }
    }
}

/// A name that is laid out.
pub(crate) struct NewNode {
    pub(crate) label_at: u32,
    pub(crate) parent: u32,
    depth: u32,
    pub(crate) flags: Flags,
}

/// Entries of one name and type, from where to where.
pub(crate) struct Group {
    pub(crate) node: u32,
    pub(crate) entries: (usize, usize),
}

/// Names as the offsets of their labels in a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owners<'m> {
    pub(crate) message: &'m [u8],
    /// The labels of all names, each from the apex on.
    pub(crate) labels: &'m [u32],
}

/// The names of a zone as nodes, in order of their depths and then of their parents; and its sets,
/// in order of their nodes.
pub(crate) struct Outline {
    pub(crate) nodes: Vec<NewNode>,
    pub(crate) groups: Vec<Group>,
}

impl Outline {
    /// Sorts entries, of which there are some.
    pub(crate) fn new(owners: Owners<'_>, entries: &mut [Entry]) -> Self {
        entries.sort_by(|a, b| owners.entry_order(a, b));
        let (nodes, groups) = owners.preorder(entries);
        let (nodes, mut groups) = by_depth(nodes, groups);
        groups.sort_by_key(|group| group.node);
        Self { nodes, groups }
    }
}

impl Owners<'_> {
    fn entry_order(&self, a: &Entry, b: &Entry) -> Ordering {
        let (labels_a, labels_b) = (self.labels(a), self.labels(b));
        let shared = self.shared_label_count(labels_a, labels_b);
        let next = |labels: &[u32]| labels.get(shared).map(|at| label(self.message, *at));
        let order = match (next(labels_a), next(labels_b)) {
            (Some(a), Some(b)) => label_order(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        order.then_with(|| a.content.record_type().cmp(&b.content.record_type()))
    }

    fn labels(&self, entry: &Entry) -> &[u32] {
        &self.labels[entry.labels.0 as usize..entry.labels.1 as usize]
    }

    fn shared_label_count(&self, a: &[u32], b: &[u32]) -> usize {
        let is_same = |(a, b): &(&u32, &u32)| {
            // What is one in the message is the same.
            a == b || label(self.message, **a).eq_ignore_ascii_case(label(self.message, **b))
        };
        a.iter().zip(b).take_while(is_same).count()
    }

    /// The nodes of sorted entries, parents before children and in their order; and the entries of
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
            let Some(record_type) = entry.content.record_type() else {
                nodes[node as usize].flags = Flags::FOREIGN;
                continue;
            };
            match groups.last_mut() {
                Some(group)
                    if group.node == node
                        && entries[group.entries.0].content.record_type() == Some(record_type) =>
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
            let flag = match entries[group.entries.0].content.record_type() {
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

/// Sorts nodes by their depths, so that children of one node stand in a row.
fn by_depth(nodes: Vec<NewNode>, mut groups: Vec<Group>) -> (Vec<NewNode>, Vec<Group>) {
    if nodes.is_sorted_by_key(|node| node.depth) {
        return (nodes, groups);
    }
    let mut order: Vec<u32> = (0..nodes.len() as u32).collect();
    order.sort_by_key(|node| nodes[*node as usize].depth);
    let mut places = vec![0; nodes.len()];
    for (place, node) in (0..).zip(&order) {
        places[*node as usize] = place;
    }
    let sorted = order.iter().map(|node| {
        let node = &nodes[*node as usize];
        NewNode {
            parent: places[node.parent as usize],
            ..*node
        }
    });
    for group in &mut groups {
        group.node = places[group.node as usize];
    }
    (sorted.collect(), groups)
}

/// The label at this offset, without its length.
pub(crate) fn label(message: &[u8], at: u32) -> &[u8] {
    let at = at as usize;
    let len = usize::from(message.get(at).copied().unwrap_or(0));
    message
        .get(at + 1..)
        .map_or(&[], |rest| &rest[..len.min(rest.len())])
}
