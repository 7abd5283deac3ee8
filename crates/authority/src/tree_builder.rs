//! From records to their tree.

use std::cmp::Ordering;

use quorate_packet::{PublicKey, Z32_LEN};

use crate::{
    cut,
    message::{SourceRecord, rdata_extent},
    name::{SourceLabels, end_in_place},
    origin::TTL_SECS_MAX,
    rdata::{Layout, types},
    target::{Apex, Target},
    tree::{
        Flags, HEADER_WORD_COUNT, NODE_WORD_COUNT, Node, OFFSET_MAX, RecordTree, SET_WORD_COUNT,
        TARGET_WORD_COUNT, label_order,
    },
};

/// Collects the records of a zone, by their offsets in one message, and makes their tree.
pub(crate) struct TreeBuilder<'m> {
    message: &'m [u8],
    apex: Apex<'m>,
    /// The labels of all owners, each from the apex on, by their offsets.
    labels: Vec<u32>,
    entries: Vec<Entry>,
    /// Where a label was found to be the key, so that most names need no decoding.
    key_at: Option<usize>,
}

/// A record, or a name without any.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Its owner's labels, from where to where.
    labels: (u32, u32),
    content: Content,
}

#[derive(Debug, Clone, Copy)]
enum Content {
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
struct NewNode {
    label_at: u32,
    parent: u32,
    depth: u32,
    flags: Flags,
}

/// Entries of one name and type, from where to where.
struct Group {
    node: u32,
    entries: (usize, usize),
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

    /// Adds a record whose names were checked, unless its owner lies outside the zone.
    pub(crate) fn push(&mut self, record: &SourceRecord, unpacked_size: usize) {
        self.push_at(
            record.owner_at,
            Content::Record {
                record_type: record.record_type,
                ttl_secs: record.ttl_secs,
                length_at: record.length_at,
                unpacked_size,
            },
        );
    }

    /// Adds a name at which another origin begins.
    pub(crate) fn push_foreign(&mut self, owner_at: usize) {
        self.push_at(owner_at, Content::Foreign);
    }

    fn push_at(&mut self, owner_at: usize, content: Content) {
        let start = self.labels.len();
        let labels = SourceLabels::new(self.message, owner_at);
        self.labels.extend(labels.map(|(at, _)| at as u32));
        match self.apex_label_count(start) {
            Some(apex) => {
                self.labels.truncate(self.labels.len() - apex);
                self.labels[start..].reverse();
                self.entries.push(Entry {
                    labels: (start as u32, self.labels.len() as u32),
                    content,
                });
            }
            None => self.labels.truncate(start),
        }
    }

    /// How many of the last labels, of those from `start` on, are the apex of the zone.
    fn apex_label_count(&mut self, start: usize) -> Option<usize> {
        match self.apex {
            Apex::Origin(origin) => {
                let count = origin.label_count();
                let own = self.labels.len() - start;
                let is_same = |place: usize| {
                    let label = label(self.message, self.labels[self.labels.len() - 1 - place]);
                    let same = origin.label_from_right(place);
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

    /// The tree of all that was added.
    pub(crate) fn build(mut self) -> RecordTree {
        if self.entries.is_empty() {
            return RecordTree::new(Box::default());
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| self.entry_order(a, b));
        let (nodes, groups) = self.nodes(&entries);
        let (nodes, mut groups) = by_depth(nodes, groups);
        groups.sort_by_key(|group| group.node);

        let mut layout = Words::new(&nodes, &groups, &entries);
        for (at, group) in groups.iter().enumerate() {
            let group = &entries[group.entries.0..group.entries.1];
            layout.push_set(at, &self.set(group));
        }
        let mut tree = RecordTree::new(layout.words.into());
        self.find_targets(&mut tree);
        flag_occluded(&mut tree);
        if matches!(self.apex, Apex::Key(_)) {
            cut::flag_data(&mut tree);
        }
        tree
    }

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
    fn nodes(&self, entries: &[Entry]) -> (Vec<NewNode>, Vec<Group>) {
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

    /// The set of entries of one name and type: without duplicates and with one TTL, the smallest
    /// (RFC 2181, section 5).
    fn set(&self, entries: &[Entry]) -> NewSet {
        let mut set = NewSet {
            record_type: 0,
            ttl_secs: TTL_SECS_MAX,
            records: Vec::with_capacity(entries.len()),
            name_count: 0,
        };
        let mut sizes = Vec::with_capacity(entries.len());
        for entry in entries {
            let Content::Record {
                record_type,
                ttl_secs,
                length_at,
                unpacked_size,
            } = entry.content
            else {
                continue;
            };
            set.record_type = record_type;
            let layout = Layout::of(record_type);
            let mut before = set.records.iter().zip(&sizes);
            let is_known = before.any(|(other, size)| {
                *size == unpacked_size && self.is_same_data(layout, *other as usize, length_at)
            });
            // One with the highest bit set counts as 0 (RFC 2181, section 8).
            set.ttl_secs = match ttl_secs {
                0..=TTL_SECS_MAX => set.ttl_secs.min(ttl_secs),
                _ => 0,
            };
            if !is_known {
                set.records.push(length_at as u32);
                sizes.push(unpacked_size);
            }
        }
        // A name has one alias at most (RFC 2181, section 10.1; RFC 6672, section 2.4).
        if matches!(set.record_type, types::CNAME | types::DNAME) {
            set.records.truncate(1);
        }
        set.name_count = match Layout::of(set.record_type) {
            Some(layout) if self.follows(&layout) => layout.name_count(),
            _ => 0,
        };
        set
    }

    fn is_same_data(&self, layout: Option<Layout>, a: usize, b: usize) -> bool {
        let (a, b) = (rdata_extent(self.message, a), rdata_extent(self.message, b));
        match layout {
            Some(layout) => layout.is_same(self.message, a, b),
            None => self.message.get(a.0..a.1) == self.message.get(b.0..b.1),
        }
    }

    /// Whether it matters where the names in this data lead. In a packet only those are meant under
    /// the origin that DNS itself goes on with: the rest is what its publisher wrote.
    fn follows(&self, layout: &Layout) -> bool {
        layout.leads_on || matches!(self.apex, Apex::Origin(_))
    }

    /// Writes down where the names in the data of records lead.
    fn find_targets(&self, tree: &mut RecordTree) {
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
            let (target, node) = self.target(tree, owner, at);
            found.push(Found {
                word_at: word_at + 1 + name * TARGET_WORD_COUNT,
                data,
                target,
                node,
            });
            at = end_in_place(self.message, at);
        }
    }

    /// Marks the targets in the data of a set that may be the same as others there.
    fn mark_twins(&self, layout: Layout, found: &mut [Found]) {
        for at in 0..found.len() {
            let (data, target) = (found[at].data, found[at].target);
            let is_same = |other: &Found| {
                target.is_same_under_origin(other.target)
                    && layout.is_same_up_to(
                        self.message,
                        data,
                        other.data,
                        target.prefix_label_size(),
                    )
            };
            if found.iter().any(is_same) {
                found[at].target = target.into_twin();
            }
        }
    }

    /// Where the name at this offset leads, in a record of `owner`.
    fn target(&self, tree: &RecordTree, owner: Node, name_at: usize) -> (Target, Option<Node>) {
        let mut labels: Vec<&[u8]> = Vec::new();
        let mut walk = SourceLabels::new(self.message, name_at);
        // The last label that is the key, and what stands behind it.
        let mut key = None;
        while let Some((_, label)) = walk.next() {
            if let Apex::Key(of) = self.apex
                && is_key(label, of)
            {
                key = Some((labels.len(), walk.clone()));
            }
            labels.push(label);
        }
        let (prefix_count, rest_at) = match self.apex {
            Apex::Key(_) => match key {
                None => return (Target::Outside, None),
                Some((count, mut rest)) => {
                    let rest = rest.next().map(|(at, _)| at);
                    (count, rest.and_then(|at| u16::try_from(at).ok()))
                }
            },
            Apex::Origin(origin) => {
                let own = labels.len().checked_sub(origin.label_count());
                let is_same = |own: usize| {
                    let mut apex = labels[own..].iter().rev().enumerate();
                    apex.all(|(place, label)| {
                        let same = origin.label_from_right(place);
                        same.is_some_and(|same| label.eq_ignore_ascii_case(same))
                    })
                };
                match own.filter(|own| is_same(*own)) {
                    None => return (Target::Outside, None),
                    Some(count) => (count, None),
                }
            }
        };
        labels.truncate(prefix_count);
        let prefix_size = labels.iter().map(|label| 1 + label.len()).sum::<usize>();
        let mut node = Some(Node::APEX);
        let mut is_below_owner = owner == Node::APEX;
        for label in labels.iter().rev() {
            node = node.and_then(|node| tree.child(self.message, node, label));
            is_below_owner |= node == Some(owner);
        }
        let target = Target::Inside {
            prefix_size: prefix_size as u8,
            is_below_owner,
            is_twin: false,
            rest_at,
        };
        (target, node)
    }
}

/// Where a name in the data of a record leads.
struct Found {
    word_at: usize,
    data: (usize, usize),
    target: Target,
    node: Option<Node>,
}

/// A set that is laid out.
struct NewSet {
    record_type: u16,
    ttl_secs: u32,
    records: Vec<u32>,
    /// How many names in the data of each record are followed.
    name_count: usize,
}

/// The words of a tree, while they are laid out.
struct Words {
    words: Vec<u32>,
    sets_at: usize,
}

impl Words {
    fn new(nodes: &[NewNode], groups: &[Group], entries: &[Entry]) -> Self {
        let sets_at = HEADER_WORD_COUNT + nodes.len() * NODE_WORD_COUNT;
        let records_at = sets_at + groups.len() * SET_WORD_COUNT;
        let mut words = Vec::with_capacity(records_at + entries.len());
        words.extend([nodes.len() as u32, groups.len() as u32]);
        let mut groups = groups.iter().map(|group| group.node).peekable();
        let mut set_count = 0;
        let mut children = nodes.iter().skip(1).map(|node| node.parent).peekable();
        let mut child = 1;
        for (node, new) in (0..).zip(nodes) {
            words.extend([
                RecordTree::node_head(new.label_at as usize, new.flags),
                child,
                set_count,
            ]);
            while groups.next_if_eq(&node).is_some() {
                set_count += 1;
            }
            while children.next_if_eq(&node).is_some() {
                child += 1;
            }
        }
        words.resize(records_at, 0);
        Self { words, sets_at }
    }

    fn push_set(&mut self, at: usize, set: &NewSet) {
        let head = [
            RecordTree::set_head(set.record_type, set.name_count > 0),
            set.ttl_secs,
            self.words.len() as u32,
        ];
        let set_at = self.sets_at + at * SET_WORD_COUNT;
        self.words[set_at..][..SET_WORD_COUNT].copy_from_slice(&head);
        for length_at in &set.records {
            self.words.push(*length_at);
            let target_words = set.name_count * TARGET_WORD_COUNT;
            self.words.resize(self.words.len() + target_words, 0);
        }
    }
}

/// Sorts nodes by their depths, so that children of one node stand in a row.
fn by_depth(nodes: Vec<NewNode>, mut groups: Vec<Group>) -> (Vec<NewNode>, Vec<Group>) {
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

/// Flags what lies below cuts and DNAMEs.
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

fn label(message: &[u8], at: u32) -> &[u8] {
    SourceLabels::new(message, at as usize)
        .next()
        .map_or(&[], |(_, label)| label)
}

/// Whether a label names this key, in whatever spelling.
pub(crate) fn is_key(label: &[u8], key: &PublicKey) -> bool {
    label.len() == Z32_LEN && PublicKey::parse_z32(label).as_ref() == Ok(key)
}

const _: () = assert!(quorate_packet::DNS_SIZE_MAX <= OFFSET_MAX);
