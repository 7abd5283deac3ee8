//! The algorithm of RFC 1034, section 4.3.2, from step 3 on, for both kinds of zones.

use crate::{
    Question,
    answer::{Answer, AnswerKind},
    cut,
    message::rdata_extent,
    name::{Name, NameRef},
    rdata::{Layout, types},
    record_set::{Content, Owner, RecordSet},
    target::Target,
    tree::{Flags, Node, Place, Record, Set},
    zone_data::ZoneData,
};

/// How many aliases are followed in one answer: more than any honest zone has, few enough that a
/// hostile one is cheap.
pub const ALIAS_COUNT_MAX: usize = 8;

/// Answers one question from the records of one zone.
pub(crate) struct Resolver<'a> {
    question: &'a Question<'a>,
    data: ZoneData<'a>,
    aliases: Vec<RecordSet<'a>>,
    /// Where the aliases led, one after the other.
    targets: Vec<Name>,
    /// The node of the name that the search is at, if that is known beforehand.
    node: Option<Node>,
}

/// What became of an alias.
enum Step {
    /// It leads to another name of the zone.
    On,
    /// It leads elsewhere, or around in a circle.
    Out,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(question: &'a Question<'a>, data: ZoneData<'a>) -> Self {
        Self {
            question,
            data,
            aliases: Vec::new(),
            targets: Vec::new(),
            node: None,
        }
    }

    pub(crate) fn resolve(mut self) -> Answer<'a> {
        let record_type = self.question.record_type();
        loop {
            let step = match self.place(record_type) {
                Place::Cut(node, depth) => return self.referral(node, depth),
                Place::Dname(node, depth) => match self.substitute(node, depth) {
                    Some(step) => step,
                    None => return self.finish(AnswerKind::YxDomain),
                },
                Place::Foreign => Step::Out,
                Place::Nowhere if self.denies() => return self.negative(AnswerKind::NxDomain),
                Place::Nowhere if self.aliases.is_empty() => {
                    return self.finish(AnswerKind::Refused);
                }
                Place::Nowhere => Step::Out,
                Place::Exact(node) | Place::Wildcard(node) => {
                    if let Some(set) = self.set(node, record_type) {
                        return self.found(set);
                    }
                    match self.data.tree.set(node, types::CNAME) {
                        Some(alias) => self.follow(alias),
                        None => return self.negative(AnswerKind::NoData),
                    }
                }
            };
            match step {
                Step::On => {}
                Step::Out => return self.finish(AnswerKind::Records),
            }
        }
    }

    /// The name that the search is at.
    fn name(&self) -> NameRef<'_> {
        match self.targets.last() {
            Some(target) => target.as_ref(),
            None => self.question.name_ref(),
        }
    }

    /// That name, without its first labels, as the owner of records.
    fn owner(&self, skipped_label_count: usize) -> Owner {
        Owner::Followed {
            is_asked: self.targets.is_empty(),
            skipped_label_count: skipped_label_count as u8,
        }
    }

    /// The same, down to so many labels below the apex.
    fn owner_at_depth(&self, depth: usize) -> Owner {
        let kept = self.data.apex_label_count() + depth;
        self.owner(self.name().label_count() - kept)
    }

    fn place(&mut self, record_type: u16) -> Place {
        let ZoneData { tree, message, .. } = self.data;
        if let Some(node) = self.node.take() {
            return Place::Exact(node);
        }
        let (name, apex) = (self.name(), self.data.apex_label_count());
        let place = tree.find(message, name, apex, Flags::NONE);
        let is_answered = matches!(place, Place::Cut(..) | Place::Dname(..));
        if self.data.is_of_key
            && !is_answered
            && cut::is_left_to_key_cut(tree, message, name, apex, record_type)
        {
            return Place::Cut(Node::APEX, 0);
        }
        place
    }

    /// Whether this server may say that a name does not exist. The root has names that others serve:
    /// to deny google.com would be a lie.
    fn denies(&self) -> bool {
        self.data.apex_label_count() > 0
    }

    /// The answer to the type that is asked for, at this node.
    fn set(&self, node: Node, record_type: u16) -> Option<RecordSet<'a>> {
        let tree = self.data.tree;
        match record_type {
            types::ANY => {
                let first = tree.sets(node).next();
                first.map(|_| RecordSet::stand_in(self.owner(0)))
            }
            _ => {
                let set = tree.set(node, record_type)?;
                Some(RecordSet::new(self.owner(0), self.data, set))
            }
        }
    }

    fn found(mut self, set: RecordSet<'a>) -> Answer<'a> {
        let mut answer = Answer::empty(AnswerKind::Records, Some(self.data.zone.index));
        if let Some(wanting) = self.set_wanting_addresses(&set) {
            let hidden = Flags::CUT.with(Flags::OCCLUDED);
            let is_own = |_, node| !self.data.tree.flags(node).has(hidden);
            answer.additionals = self.addresses(wanting, is_own);
        }
        answer.aliases = std::mem::take(&mut self.aliases);
        answer.records = Some(set);
        answer
    }

    /// The set of the zone that this is, if the addresses of the hosts in its data come along.
    fn set_wanting_addresses(&self, set: &RecordSet<'a>) -> Option<Set> {
        let Content::Set(_, of_zone) = set.content else {
            return None;
        };
        let layout = Layout::of(set.record_type)?;
        layout.wants_addresses.then_some(of_zone)
    }

    fn negative(self, kind: AnswerKind) -> Answer<'a> {
        let zone = self.data.zone;
        Answer {
            authority: Some(RecordSet::soa(zone, self.question)),
            ..self.finish(kind)
        }
    }

    fn finish(self, kind: AnswerKind) -> Answer<'a> {
        Answer {
            aliases: self.aliases,
            ..Answer::empty(kind, Some(self.data.zone.index))
        }
    }

    /// Refers to the servers of a cut, with all addresses of theirs that this zone has (RFC 1034,
    /// section 4.3.2, step 3b).
    fn referral(self, node: Node, depth: usize) -> Answer<'a> {
        let Some(set) = self.data.tree.set(node, types::NS) else {
            return self.negative(AnswerKind::NxDomain);
        };
        let servers = RecordSet::new(self.owner_at_depth(depth), self.data, set);
        let mut additionals = self.addresses(set, |target, _| target.is_below_owner);
        let glue_count = additionals.len();
        additionals.extend(self.addresses(set, |target, _| !target.is_below_owner));
        Answer {
            authority: Some(servers),
            additionals,
            glue_count,
            ..self.finish(AnswerKind::Referral)
        }
    }

    /// The addresses that this zone has of the hosts in the data of a set.
    fn addresses(&self, set: Set, is_wanted: impl Fn(Target, Node) -> bool) -> Vec<RecordSet<'a>> {
        let ZoneData { tree, message, .. } = self.data;
        let Some(layout) = Layout::of(tree.record_type(set)) else {
            return Vec::new();
        };
        let apex = self.question.name_ref();
        let apex = apex.suffix(self.data.apex_label_count());
        let mut sets = Vec::new();
        let mut seen = Vec::new();
        for record in tree.records(set) {
            let (Some(target), Some(node)) = (record.target(0), record.target_node()) else {
                continue;
            };
            if !is_wanted(target, node)
                || seen.contains(&node)
                || self.data.prefix_size(target, apex).is_none()
            {
                continue;
            }
            seen.push(node);
            let (start, _) = rdata_extent(message, record.length_at());
            let name_at = layout.name_at(message, start) as u32;
            let addresses = [types::A, types::AAAA].map(|of_type| tree.set(node, of_type));
            let owner = Owner::Named { name_at, target };
            let addresses = addresses.into_iter().flatten();
            sets.extend(addresses.map(|set| RecordSet::new(owner, self.data, set)));
        }
        sets
    }

    /// Answers an alias, and follows it unless that is what was asked for.
    fn follow(&mut self, alias: Set) -> Step {
        let set = RecordSet::new(self.owner(0), self.data, alias);
        self.aliases.push(set);
        let Some(target) = self.target_name(alias, &[]) else {
            return Step::Out;
        };
        let first = self.data.tree.records(alias).next();
        self.node = first.and_then(|alias| self.plain_target(&alias));
        self.go_on(target)
    }

    /// Answers a DNAME and the alias that it makes, and follows that; `None` when its name would be
    /// too long (RFC 6672, section 3.2, step 3c).
    fn substitute(&mut self, node: Node, depth: usize) -> Option<Step> {
        let dname = self.data.tree.set(node, types::DNAME)?;
        let set = RecordSet::new(self.owner_at_depth(depth), self.data, dname);
        let ttl_secs = set.ttl_secs;
        // One that leads to names below itself is met again, and a set stands once in an answer.
        if !self.aliases.iter().any(|alias| alias.is_of(dname)) {
            self.aliases.push(set);
        }
        let name = self.name();
        let kept = name.suffix_offset(self.data.apex_label_count() + depth);
        let target = self.target_name(dname, &name.bytes[..kept])?;
        let alias = RecordSet::alias(self.owner(0), ttl_secs, self.data, target.clone());
        self.aliases.push(alias);
        Some(self.go_on(target))
    }

    /// Where the only record of a set leads, with `before` before it.
    fn target_name(&self, set: Set, before: &[u8]) -> Option<Name> {
        let ZoneData { tree, message, .. } = self.data;
        let record = tree.records(set).next()?;
        let (start, _) = rdata_extent(message, record.length_at());
        self.data
            .target_name(self.question, before, start, record.target(0))
    }

    /// The node that an alias leads to, if nothing but its records decides what the answer is.
    fn plain_target(&self, alias: &Record<'_>) -> Option<Node> {
        let tree = self.data.tree;
        let node = alias.target_node()?;
        let apex = self.question.name_ref();
        let apex = apex.suffix(self.data.apex_label_count());
        self.data.prefix_size(alias.target(0)?, apex)?;
        let decided_elsewhere = Flags::CUT.with(Flags::OCCLUDED).with(Flags::FOREIGN);
        let flags = tree.flags(node);
        // A cut at the key decides about it, and about what is there for the cut alone.
        let is_left_to_key_cut = self.data.is_of_key
            && cut::key_cut(tree).is_some()
            && (node == Node::APEX || !flags.has(Flags::DATA));
        let is_plain = !flags.has(decided_elsewhere) && !is_left_to_key_cut;
        is_plain.then_some(node)
    }

    /// Goes on with the target of an alias.
    fn go_on(&mut self, target: Name) -> Step {
        let name = target.as_ref();
        let apex_label_count = self.data.apex_label_count();
        let apex = self.question.name_ref();
        let apex = apex.suffix(apex_label_count);
        let is_inside = name.is_within(apex, apex_label_count)
            && (self.data.is_of_key || self.data.zone.key(name).is_none());
        let mut before = self.targets.iter().map(Name::as_ref);
        let is_known =
            before.any(|before| before.is_same(name)) || self.question.name_ref().is_same(name);
        if !is_inside || is_known || self.targets.len() + 1 >= ALIAS_COUNT_MAX {
            return Step::Out;
        }
        self.targets.push(target);
        Step::On
    }
}

#[cfg(test)]
#[path = "dname_tests.rs"]
mod dname_tests;
#[cfg(test)]
#[path = "host_tests.rs"]
mod host_tests;
#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
