//! The records of a zone as a tree of labels, for lookups label by label from the apex down.
//!
//! A name exists if it or a name below it has records, so every label on the way to a record is a
//! node (RFC 8020). The tree is one slice of words: offsets into the message that the records came
//! in, and indexes into the slice itself. So a packet's tree is about as small as the packet.
//!
//! ```text
//! header   node count | set count
//! node     label offset and flags | first child | first set            by depth: the children
//! set      type and flags | TTL | first record                         of a node are next to
//! record   offset of length and data | for each name: target, node     each other, sorted
//! ```
//!
//! Each range that a "first" field starts ends where the next node's or set's range starts.

use std::{cmp::Ordering, ops::Range};

use crate::{
    name::NameRef,
    rdata::RdataFormat,
    target::{OUTSIDE, Target},
};

pub(crate) const HEADER_WORD_COUNT: usize = 2;
pub(crate) const NODE_WORD_COUNT: usize = 3;
pub(crate) const SET_WORD_COUNT: usize = 3;

/// The number of words for each name in the data of a record: its [`Target`], and its node.
pub(crate) const TARGET_WORD_COUNT: usize = 2;

/// In place of a node: the name has none.
pub(crate) const NO_NODE: u32 = u32::MAX;

/// The number of bits of a node's first word that hold its flags; the rest is the label's offset.
const FLAG_BITS: u32 = 5;

/// The largest offset that fits next to the flags.
pub(crate) const OFFSET_MAX: usize = (1 << (u32::BITS - FLAG_BITS)) - 1;

/// Properties of a node that are computed when the tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const NONE: Self = Self(0);
    /// NS records delegate the name to other servers.
    pub(crate) const CUT: Self = Self(1);
    pub(crate) const DNAME: Self = Self(1 << 1);
    /// The node is below a cut or a DNAME, so its records are never an answer.
    pub(crate) const OCCLUDED: Self = Self(1 << 2);
    /// The node, or one below it, has records other than a cut at the key and its glue.
    pub(crate) const DATA: Self = Self(1 << 3);
    /// Another origin begins at the node.
    pub(crate) const OTHER_ORIGIN: Self = Self(1 << 4);

    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    pub(crate) fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

/// A name of the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(pub(crate) u32);

impl Node {
    pub(crate) const APEX: Self = Self(0);
}

/// A record set of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set(pub(crate) u32);

/// The result of matching a name against the tree. Depths count labels from the apex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameMatch {
    Exact(Node),
    /// No node is the name; its closest encloser has this wildcard (RFC 4592, section 3.3.1).
    Wildcard(Node),
    /// The name is at or below this cut.
    Cut(Node, usize),
    /// The name is below this DNAME.
    Dname(Node, usize),
    /// The name is at or below this node, where another origin begins.
    OtherOrigin(Node, usize),
    /// The name does not exist.
    NotFound,
}

/// The tree. Without records it has no node, not even the apex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordTree {
    pub(crate) words: Box<[u32]>,
}

impl RecordTree {
    pub(crate) fn node_count(&self) -> usize {
        self.words.first().copied().unwrap_or(0) as usize
    }

    fn set_count(&self) -> usize {
        self.words.get(1).copied().unwrap_or(0) as usize
    }

    fn node_word(&self, node: u32, field: usize) -> u32 {
        self.words[HEADER_WORD_COUNT + node as usize * NODE_WORD_COUNT + field]
    }

    fn set_word(&self, set: u32, field: usize) -> u32 {
        let sets_at = HEADER_WORD_COUNT + self.node_count() * NODE_WORD_COUNT;
        self.words[sets_at + set as usize * SET_WORD_COUNT + field]
    }

    pub(crate) fn flags(&self, node: Node) -> Flags {
        Flags(self.node_word(node.0, 0) & ((1 << FLAG_BITS) - 1))
    }

    fn label<'m>(&self, message: &'m [u8], node: u32) -> &'m [u8] {
        let at = (self.node_word(node, 0) >> FLAG_BITS) as usize;
        let len = usize::from(message.get(at).copied().unwrap_or(0));
        message.get(at + 1..).map_or(&[], |rest| {
            let len = len.min(rest.len());
            &rest[..len]
        })
    }

    /// The first word of a node.
    pub(crate) fn node_head(label_at: usize, flags: Flags) -> u32 {
        (label_at as u32) << FLAG_BITS | flags.0
    }

    pub(crate) fn children(&self, node: Node) -> Range<u32> {
        let next = node.0 + 1;
        let end = match (next as usize) < self.node_count() {
            true => self.node_word(next, 1),
            false => self.node_count() as u32,
        };
        self.node_word(node.0, 1)..end
    }

    /// The child with this label, ignoring case.
    pub(crate) fn child(&self, message: &[u8], node: Node, label: &[u8]) -> Option<Node> {
        let Range { mut start, mut end } = self.children(node);
        while start < end {
            #[cfg(test)]
            crate::work_fixture::step();
            let middle = start + (end - start) / 2;
            match label_order(self.label(message, middle), label) {
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
                Ordering::Equal => return Some(Node(middle)),
            }
        }
        None
    }

    /// The sets of a node, sorted by type.
    pub(crate) fn sets(&self, node: Node) -> impl Iterator<Item = Set> + use<> {
        let next = node.0 + 1;
        let end = match (next as usize) < self.node_count() {
            true => self.node_word(next, 2),
            false => self.set_count() as u32,
        };
        (self.node_word(node.0, 2)..end).map(Set)
    }

    pub(crate) fn set(&self, node: Node, record_type: u16) -> Option<Set> {
        self.sets(node)
            .find(|set| self.record_type(*set) == record_type)
    }

    pub(crate) fn record_type(&self, set: Set) -> u16 {
        (self.set_word(set.0, 0) >> 16) as u16
    }

    /// Whether the records of a set have targets for the names in their data.
    fn has_targets(&self, set: Set) -> bool {
        self.set_word(set.0, 0) & 1 != 0
    }

    /// The first word of a set.
    pub(crate) fn set_head(record_type: u16, has_targets: bool) -> u32 {
        u32::from(record_type) << 16 | u32::from(has_targets)
    }

    pub(crate) fn ttl_secs(&self, set: Set) -> u32 {
        self.set_word(set.0, 1)
    }

    /// The records of a set, in the order they were published.
    pub(crate) fn records(&self, set: Set) -> impl Iterator<Item = Record<'_>> + Clone {
        let next = set.0 + 1;
        let end = match (next as usize) < self.set_count() {
            true => self.set_word(next, 2) as usize,
            false => self.words.len(),
        };
        let format = RdataFormat::of(self.record_type(set)).filter(|_| self.has_targets(set));
        let names = format.map_or(0, |format| format.name_count());
        let words = &self.words[self.set_word(set.0, 2) as usize..end];
        let records = words.chunks_exact(1 + names * TARGET_WORD_COUNT);
        records.map(|words| Record { words })
    }

    /// For each record: the index of its words, and the offset in the message of its data's length.
    pub(crate) fn record_offsets(&self, set: Set) -> impl Iterator<Item = (usize, usize)> {
        let first = self.set_word(set.0, 2) as usize;
        self.records(set).scan(first, |at, record| {
            let place = (*at, record.length_at());
            *at += record.words.len();
            Some(place)
        })
    }

    /// Matches a name whose last `apex_label_count` labels are the apex against the nodes that have
    /// one of the flags `visible`; against all nodes if `visible` is `NONE`.
    pub(crate) fn find(
        &self,
        message: &[u8],
        name: NameRef<'_>,
        apex_label_count: usize,
        visible: Flags,
    ) -> NameMatch {
        let is_visible = |node: &Node| visible == Flags::NONE || self.flags(*node).has(visible);
        let mut node = Node::APEX;
        if self.node_count() == 0 || !is_visible(&node) {
            return NameMatch::NotFound;
        }
        let labels = (apex_label_count..).map_while(|place| name.label_from_right(place));
        for (depth, label) in labels.enumerate() {
            if self.flags(node).has(Flags::DNAME) {
                return NameMatch::Dname(node, depth);
            }
            let Some(child) = self.child(message, node, label).filter(is_visible) else {
                let wildcard = self.child(message, node, b"*").filter(is_visible);
                return wildcard.map_or(NameMatch::NotFound, NameMatch::Wildcard);
            };
            node = child;
            let flags = self.flags(node);
            if flags.has(Flags::CUT) {
                return NameMatch::Cut(node, depth + 1);
            }
            if flags.has(Flags::OTHER_ORIGIN) {
                return NameMatch::OtherOrigin(node, depth + 1);
            }
        }
        NameMatch::Exact(node)
    }

    /// Adds a flag to a node.
    pub(crate) fn flag(&mut self, node: Node, flags: Flags) {
        self.words[HEADER_WORD_COUNT + node.0 as usize * NODE_WORD_COUNT] |= flags.0;
    }

    /// Stores the target of a name in the data of a record.
    pub(crate) fn set_target(&mut self, word_at: usize, target: Target, node: Option<Node>) {
        self.words[word_at] = target.to_word();
        self.words[word_at + 1] = node.map_or(NO_NODE, |node| node.0);
    }

    /// The heap memory of the tree, in bytes.
    #[cfg(test)]
    pub(crate) fn heap_size(&self) -> usize {
        size_of_val(&*self.words)
    }
}

/// A record of a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'t> {
    words: &'t [u32],
}

impl Record<'_> {
    /// The offset in the message of the length of the data. The data follows the length.
    pub(crate) fn length_at(&self) -> usize {
        self.words[0] as usize
    }

    /// The target of a name in the data; `None` if it is outside the zone or was not resolved.
    pub(crate) fn target(&self, name: usize) -> Option<Target> {
        let word = self.words.get(1 + name * TARGET_WORD_COUNT)?;
        Target::from_word(*word)
    }

    /// The node of the first name in the data, if it has one in this zone.
    pub(crate) fn target_node(&self) -> Option<Node> {
        let [_, target, node, ..] = self.words else {
            return None;
        };
        (*target != OUTSIDE && *node != NO_NODE).then_some(Node(*node))
    }
}

/// The order of labels among the children of a node: short ones first, then alphabetically in
/// lower case.
pub(crate) fn label_order(a: &[u8], b: &[u8]) -> Ordering {
    let by_size = a.len().cmp(&b.len());
    if by_size.is_eq() && a.eq_ignore_ascii_case(b) {
        return by_size;
    }
    by_size.then_with(|| {
        let a = a.iter().map(u8::to_ascii_lowercase);
        a.cmp(b.iter().map(u8::to_ascii_lowercase))
    })
}
