//! Where the names in the data of a zone's records lead.

use quorate_packet::{PublicKey, Z32_LEN};

use crate::{
    message::rdata_extent,
    name::{SourceLabels, end_in_place},
    rdata::Layout,
    target::{Apex, Target},
    tree::{Node, RecordTree, TARGET_WORD_COUNT},
};

/// Finds where the names in RDATA lead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetFinder<'m> {
    pub(crate) message: &'m [u8],
    pub(crate) apex: Apex<'m>,
}

/// Where a name in the data of a record leads.
struct Found {
    word_at: usize,
    data: (usize, usize),
    target: Target,
    node: Option<Node>,
}

impl TargetFinder<'_> {
    /// Whether it matters where the names in this data lead. In a packet only those are meant under
    /// the origin that DNS itself goes on with: the rest is what its publisher wrote.
    pub(crate) fn follows(&self, layout: &Layout) -> bool {
        layout.leads_on || matches!(self.apex, Apex::Origin(_))
    }

    /// Writes down where the names in the data of records lead.
    pub(crate) fn find_all(self, tree: &mut RecordTree) {
        let mut found = Vec::new();
        for node in (0..tree.node_count() as u32).map(Node) {
            for set in tree.sets(node) {
                let layout = Layout::of(tree.record_type(set));
                if let Some(layout) = layout.filter(|layout| self.follows(layout)) {
                    let first = found.len();
                    for (word_at, length_at) in tree.record_places(set) {
                        self.push_targets(tree, node, layout, word_at, length_at, &mut found);
                    }
                    self.mark_twins(layout, &mut found[first..]);
                }
            }
        }
        for found in found {
            tree.set_target(found.word_at, found.target, found.node);
        }
    }

    /// Finds where the names in the data of a record lead.
    fn push_targets(
        &self,
        tree: &RecordTree,
        owner: Node,
        layout: Layout,
        word_at: usize,
        length_at: usize,
        found: &mut Vec<Found>,
    ) {
        let data = rdata_extent(self.message, length_at);
        let mut at = layout.name_at(self.message, data.0);
        for name in 0..layout.name_count() {
            if let Some((target, node)) = self.target(tree, owner, at) {
                found.push(Found {
                    word_at: word_at + 1 + name * TARGET_WORD_COUNT,
                    data,
                    target,
                    node,
                });
            }
            at = end_in_place(self.message, at);
        }
    }

    /// Marks the targets in the data of a set that may be the same as others there.
    fn mark_twins(&self, layout: Layout, found: &mut [Found]) {
        for at in 0..found.len() {
            let (data, target) = (found[at].data, found[at].target);
            let is_twin = |other: &Found| {
                let size = usize::from(target.prefix_size);
                target.may_be_twin_of(other.target)
                    && layout.is_same_up_to(self.message, data, other.data, size)
            };
            found[at].target.is_twin = found.iter().any(is_twin);
        }
    }

    /// Where the name at this offset leads, in a record of `owner`, and the node that it is; `None`
    /// when it leads out of the zone.
    fn target(
        &self,
        tree: &RecordTree,
        owner: Node,
        name_at: usize,
    ) -> Option<(Target, Option<Node>)> {
        let (labels, rest_at) = self.labels_above_apex(name_at)?;
        let mut node = Some(Node::APEX);
        let mut is_below_owner = owner == Node::APEX;
        for label in labels.iter().rev() {
            node = node.and_then(|node| tree.child(self.message, node, label));
            is_below_owner |= node == Some(owner);
        }
        let prefix_size = labels.iter().map(|label| 1 + label.len()).sum::<usize>();
        let target = Target {
            prefix_size: prefix_size as u8,
            is_below_owner,
            is_twin: false,
            rest_at,
        };
        Some((target, node))
    }

    /// The labels of a name left of the apex, from the left, and where what is written behind the
    /// apex stands.
    fn labels_above_apex(&self, name_at: usize) -> Option<(Vec<&[u8]>, Option<u16>)> {
        let mut labels: Vec<&[u8]> = Vec::new();
        let mut rest = SourceLabels::new(self.message, name_at);
        match self.apex {
            Apex::Key(key) => {
                // An origin may have a key in its name: the last one is that of the zone.
                let mut last = None;
                while let Some((_, label)) = rest.next() {
                    if is_key(label, key) {
                        last = Some((labels.len(), rest.clone()));
                    }
                    labels.push(label);
                }
                let (above, mut rest) = last?;
                labels.truncate(above);
                let rest_at = rest.next().map(|(at, _)| at as u16);
                Some((labels, rest_at))
            }
            Apex::Origin(origin) => {
                labels.extend(rest.map(|(_, label)| label));
                let above = labels.len().checked_sub(origin.label_count())?;
                let mut apex = labels[above..].iter().rev().enumerate();
                let is_inside = apex.all(|(place, label)| {
                    let same = origin.label_from_right(place);
                    same.is_some_and(|same| label.eq_ignore_ascii_case(same))
                });
                labels.truncate(above);
                is_inside.then_some((labels, None))
            }
        }
    }
}

/// Whether a label names this key, in whatever spelling.
pub(crate) fn is_key(label: &[u8], key: &PublicKey) -> bool {
    label.len() == Z32_LEN && PublicKey::parse_z32(label).as_ref() == Ok(key)
}
