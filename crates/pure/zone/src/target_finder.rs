//! Finds the targets in the RDATA of a zone: names that are in the same zone.

use quorate_packet::{PublicKey, Z32_LEN};

use crate::{
    message::rdata_range,
    name::{SourceLabels, end_in_place},
    rdata::RdataFormat,
    target::{Apex, Target},
    tree::{Node, RecordTree, TARGET_WORD_COUNT},
};

/// Finds the targets of all records of a zone, and the nodes that they refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetFinder<'m> {
    pub(crate) message: &'m [u8],
    pub(crate) apex: Apex<'m>,
}

/// The target of a name in the data of a record.
struct FoundTarget {
    word_at: usize,
    data: (usize, usize),
    target: Target,
    node: Option<Node>,
}

impl TargetFinder<'_> {
    /// Whether targets are stored for the names in this data. In a packet only the names that DNS
    /// itself resolves belong to the origin of the question: the rest is what its publisher wrote.
    pub(crate) fn needs_targets(&self, format: &RdataFormat) -> bool {
        format.names_are_resolved || matches!(self.apex, Apex::Origin(_))
    }

    /// Stores the targets of all names in the data of records.
    pub(crate) fn find_all(self, tree: &mut RecordTree) {
        let mut found = Vec::new();
        for node in (0..tree.node_count() as u32).map(Node) {
            for set in tree.sets(node) {
                let format = RdataFormat::of(tree.record_type(set));
                if let Some(format) = format.filter(|format| self.needs_targets(format)) {
                    let first = found.len();
                    for (word_at, length_at) in tree.record_offsets(set) {
                        self.push_targets(tree, node, format, word_at, length_at, &mut found);
                    }
                    self.mark_duplicates(format, &mut found[first..]);
                }
            }
        }
        for found in found {
            tree.set_target(found.word_at, found.target, found.node);
        }
    }

    /// Finds the targets of the names in the data of a record.
    fn push_targets(
        &self,
        tree: &RecordTree,
        owner: Node,
        format: RdataFormat,
        word_at: usize,
        length_at: usize,
        found: &mut Vec<FoundTarget>,
    ) {
        let data = rdata_range(self.message, length_at);
        let mut at = format.name_at(self.message, data.0);
        for name in 0..format.name_count() {
            if let Some((target, node)) = self.target(tree, owner, at) {
                found.push(FoundTarget {
                    word_at: word_at + 1 + name * TARGET_WORD_COUNT,
                    data,
                    target,
                    node,
                });
            }
            at = end_in_place(self.message, at);
        }
    }

    /// Marks the targets of a set that may equal others of the set.
    fn mark_duplicates(&self, format: RdataFormat, found: &mut [FoundTarget]) {
        for at in 0..found.len() {
            let (data, target) = (found[at].data, found[at].target);
            let may_be_duplicate = |other: &FoundTarget| {
                let size = usize::from(target.prefix_size);
                target.may_equal(other.target)
                    && format.is_same_up_to(self.message, data, other.data, size)
            };
            found[at].target.may_be_duplicate = found.iter().any(may_be_duplicate);
        }
    }

    /// The target and the node of the name at this offset, in a record of `owner`. `None` if the
    /// name is outside the zone.
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
            may_be_duplicate: false,
            rest_at,
        };
        Some((target, node))
    }

    /// The labels of a name before the apex, from the left, and the offset of the labels after the
    /// key. `None` if the name does not end in the apex.
    fn labels_above_apex(&self, name_at: usize) -> Option<(Vec<&[u8]>, Option<u16>)> {
        let mut labels: Vec<&[u8]> = Vec::new();
        let mut rest = SourceLabels::new(self.message, name_at);
        match self.apex {
            Apex::Key(key) => {
                // An origin may have the key in its name too: the last one is the apex.
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
                let is_inside = apex.all(|(index, label)| {
                    let same = origin.label_from_right(index);
                    same.is_some_and(|same| label.eq_ignore_ascii_case(same))
                });
                labels.truncate(above);
                is_inside.then_some((labels, None))
            }
        }
    }
}

/// Whether a label is this key, in any spelling that z-base-32 allows.
pub(crate) fn is_key(label: &[u8], key: &PublicKey) -> bool {
    label.len() == Z32_LEN && PublicKey::parse_z32(label).as_ref() == Ok(key)
}
