//! Builds the tree of a zone from its records.

use quorate_state::TTL_SECS_MAX;

use crate::{
    cut,
    message::{SourceRecord, rdata_range},
    name::SourceLabels,
    node_list::{Entry, EntryKind, NodeList, OwnerLabels, label},
    rdata::{RdataFormat, types},
    target::Apex,
    target_finder::{TargetFinder, is_key},
    tree::{
        Flags, HEADER_WORD_COUNT, NODE_WORD_COUNT, Node, OFFSET_MAX, RecordTree, SET_WORD_COUNT,
        TARGET_WORD_COUNT,
    },
};

/// Collects the records of a zone, by their offsets in one message, and builds their tree.
pub(crate) struct TreeBuilder<'m> {
    message: &'m [u8],
    apex: Apex<'m>,
    /// The offsets of the labels of all owner names, each in order from the apex down.
    labels: Vec<u32>,
    entries: Vec<Entry>,
    /// The offset of a label that is the key, so that most names need no decoding.
    key_at: Option<usize>,
}

impl<'m> TreeBuilder<'m> {
    pub(crate) fn new(message: &'m [u8], apex: Apex<'m>, record_count: usize) -> Self {
        Self {
            message,
            apex,
            labels: Vec::with_capacity(record_count * 2),
            entries: Vec::with_capacity(record_count),
            key_at: None,
        }
    }

    /// Adds a record whose names were checked. Ignores it if its owner is outside the zone.
    pub(crate) fn push(&mut self, record: &SourceRecord, unpacked_size: usize) {
        self.push_at(
            record.owner_at,
            EntryKind::Record {
                record_type: record.record_type,
                ttl_secs: record.ttl_secs,
                length_at: record.length_at,
                unpacked_size,
            },
        );
    }

    /// Adds a name at which another origin begins.
    pub(crate) fn push_other_origin(&mut self, owner_at: usize) {
        self.push_at(owner_at, EntryKind::OtherOrigin);
    }

    fn push_at(&mut self, owner_at: usize, kind: EntryKind) {
        let start = self.labels.len();
        let labels = SourceLabels::new(self.message, owner_at);
        self.labels.extend(labels.map(|(at, _)| at as u32));
        match self.apex_label_count(start) {
            Some(apex) => {
                self.labels.truncate(self.labels.len() - apex);
                self.labels[start..].reverse();
                self.entries.push(Entry {
                    labels: (start as u32, self.labels.len() as u32),
                    kind,
                });
            }
            None => self.labels.truncate(start),
        }
    }

    /// The label count of the apex, if `labels[start..]` end in it.
    fn apex_label_count(&mut self, start: usize) -> Option<usize> {
        match self.apex {
            Apex::Origin(origin) => {
                let count = origin.label_count();
                let own = self.labels.len() - start;
                let is_same = |index: usize| {
                    let label = label(self.message, self.labels[self.labels.len() - 1 - index]);
                    let same = origin.label_from_right(index);
                    same.is_some_and(|same| label.eq_ignore_ascii_case(same))
                };
                (own >= count && (0..count).all(is_same)).then_some(count)
            }
            Apex::Key(key) => {
                let last = *self.labels[start..].last()? as usize;
                if self.key_at != Some(last) {
                    if !is_key(label(self.message, last as u32), key) {
                        return None;
                    }
                    self.key_at = Some(last);
                }
                Some(1)
            }
        }
    }

    /// The tree of all added records.
    pub(crate) fn build(mut self) -> RecordTree {
        if self.entries.is_empty() {
            return RecordTree {
                words: Box::default(),
            };
        }
        let owners = OwnerLabels {
            message: self.message,
            labels: &self.labels,
        };
        let node_list = NodeList::new(owners, &mut self.entries);
        let finder = TargetFinder {
            message: self.message,
            apex: self.apex,
        };
        let mut words = node_words(&node_list, self.entries.len());
        let sets_at = words.len() - node_list.groups.len() * SET_WORD_COUNT;
        for (at, group) in node_list.groups.iter().enumerate() {
            let set = SetEncoder {
                message: self.message,
                finder,
                entries: &self.entries[group.entries.0..group.entries.1],
            };
            let head = set.push_to(&mut words);
            words[sets_at + at * SET_WORD_COUNT..][..SET_WORD_COUNT].copy_from_slice(&head);
        }
        let words = words.into();
        let mut tree = RecordTree { words };
        finder.find_all(&mut tree);
        flag_occluded(&mut tree);
        if matches!(self.apex, Apex::Key(_)) {
            cut::flag_names_with_data(&mut tree);
        }
        tree
    }
}

/// The words of a tree up to its sets; those of the sets are zero.
fn node_words(NodeList { nodes, groups }: &NodeList, record_count: usize) -> Vec<u32> {
    let size = HEADER_WORD_COUNT + nodes.len() * NODE_WORD_COUNT + groups.len() * SET_WORD_COUNT;
    let mut words = Vec::with_capacity(size + record_count);
    words.extend([nodes.len() as u32, groups.len() as u32]);
    let mut sets = groups.iter().map(|group| group.node).peekable();
    let mut children = nodes.iter().skip(1).map(|node| node.parent).peekable();
    let (mut child, mut set) = (1, 0);
    for (at, node) in (0..).zip(nodes) {
        words.extend([
            RecordTree::node_head(node.label_at as usize, node.flags),
            child,
            set,
        ]);
        while sets.next_if_eq(&at).is_some() {
            set += 1;
        }
        while children.next_if_eq(&at).is_some() {
            child += 1;
        }
    }
    words.resize(size, 0);
    words
}

/// Encodes the entries of one name and type as a record set of the tree.
struct SetEncoder<'m> {
    message: &'m [u8],
    finder: TargetFinder<'m>,
    entries: &'m [Entry],
}

impl SetEncoder<'_> {
    /// Appends the words of the records, without duplicates, and returns the words of the set, with
    /// one TTL for all (RFC 2181, section 5).
    fn push_to(&self, words: &mut Vec<u32>) -> [u32; SET_WORD_COUNT] {
        let first = words.len();
        let mut ttl_secs_min = TTL_SECS_MAX;
        let mut head = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            let EntryKind::Record {
                record_type,
                ttl_secs,
                length_at,
                ..
            } = entry.kind
            else {
                continue;
            };
            // A TTL with the highest bit set counts as 0 (RFC 2181, section 8).
            ttl_secs_min = match ttl_secs {
                0..=TTL_SECS_MAX => ttl_secs_min.min(ttl_secs),
                _ => 0,
            };
            let format = RdataFormat::of(record_type);
            let resolved = format.filter(|format| self.finder.needs_targets(format));
            head = RecordTree::set_head(record_type, resolved.is_some());
            // A name has at most one alias (RFC 2181, section 10.1; RFC 6672, section 2.4).
            let is_single = matches!(record_type, types::CNAME | types::DNAME);
            if index > 0 && (is_single || self.is_known(entry, format, index)) {
                continue;
            }
            words.push(length_at as u32);
            let name_count = resolved.map_or(0, |format| format.name_count());
            words.resize(words.len() + name_count * TARGET_WORD_COUNT, 0);
        }
        [head, ttl_secs_min, first as u32]
    }

    /// Whether an entry before this index has the same data.
    fn is_known(&self, entry: &Entry, format: Option<RdataFormat>, index: usize) -> bool {
        let EntryKind::Record {
            length_at,
            unpacked_size: size,
            ..
        } = entry.kind
        else {
            return false;
        };
        self.entries[..index]
            .iter()
            .any(|before| match before.kind {
                EntryKind::Record {
                    length_at: before_at,
                    unpacked_size,
                    ..
                } => unpacked_size == size && self.is_same_data(format, before_at, length_at),
                EntryKind::OtherOrigin => false,
            })
    }

    fn is_same_data(&self, format: Option<RdataFormat>, a: usize, b: usize) -> bool {
        let (a, b) = (rdata_range(self.message, a), rdata_range(self.message, b));
        match format {
            Some(format) => format.is_same(self.message, a, b),
            None => self.message.get(a.0..a.1) == self.message.get(b.0..b.1),
        }
    }
}

/// Flags the nodes below cuts and DNAMEs.
fn flag_occluded(tree: &mut RecordTree) {
    for node in (0..tree.node_count() as u32).map(Node) {
        let occluding = Flags::CUT.with(Flags::DNAME).with(Flags::OCCLUDED);
        if tree.flags(node).has(occluding) {
            for child in tree.children(node).map(Node) {
                tree.flag(child, Flags::OCCLUDED);
            }
        }
    }
}

const _: () = assert!(quorate_packet::DNS_SIZE_MAX <= OFFSET_MAX);
