//! The algorithm of RFC 1034, section 4.3.2, from step 3 on. It serves origins and keys alike.

use crate::{
    Question,
    answer::{Answer, AnswerKind},
    cut,
    message::rdata_range,
    name::{Name, NameRef},
    rdata::{RdataFormat, types},
    record_set::{Content, Owner, RecordSet},
    target::Target,
    tree::{Flags, NameMatch, Node, Record, Set},
    zone_data::ZoneData,
};

/// The largest number of aliases that one answer follows: more than any honest zone has, and so few
/// that a hostile zone is cheap to answer from.
pub const ALIAS_COUNT_MAX: usize = 8;

/// Answers one question from the records of one zone.
pub(crate) struct Resolver<'a> {
    question: &'a Question<'a>,
    data: ZoneData<'a>,
    aliases: Vec<RecordSet<'a>>,
    /// The targets of the followed aliases, in order.
    targets: Vec<Name>,
    /// The node of the current name, if the alias that led to it stored it.
    node: Option<Node>,
}

/// Whether the search continues after an alias.
enum Step {
    /// The alias leads to another name of the zone.
    Continue,
    /// The alias leads out of the zone or in a circle.
    Stop,
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
            let step = match self.match_name(record_type) {
                NameMatch::Cut(node, depth) => return self.referral(node, depth),
                NameMatch::Dname(node, depth) => match self.substitute(node, depth) {
                    Some(step) => step,
                    None => return self.finish(AnswerKind::YxDomain),
                },
                NameMatch::OtherOrigin(..) => Step::Stop,
                NameMatch::NotFound if self.can_deny_names() => {
                    return self.negative(AnswerKind::NxDomain);
                }
                NameMatch::NotFound if self.aliases.is_empty() => {
                    return self.finish(AnswerKind::Refused);
                }
                NameMatch::NotFound => Step::Stop,
                NameMatch::Exact(node) | NameMatch::Wildcard(node) => {
                    if let Some(set) = self.matching_set(node, record_type) {
                        return self.positive_answer(set);
                    }
                    match self.data.tree.set(node, types::CNAME) {
                        Some(alias) => self.follow(alias),
                        None => return self.negative(AnswerKind::NoData),
                    }
                }
            };
            match step {
                Step::Continue => {}
                Step::Stop => return self.finish(AnswerKind::Records),
            }
        }
    }

    /// The current name: the last alias target, or else the name in the question.
    fn name(&self) -> NameRef<'_> {
        match self.targets.last() {
            Some(target) => target.as_ref(),
            None => self.question.name_ref(),
        }
    }

    /// The current name without its first labels, as the owner of records.
    fn owner(&self, skipped_label_count: usize) -> Owner {
        Owner::CurrentName {
            is_question_name: self.targets.is_empty(),
            skipped_label_count: skipped_label_count as u8,
        }
    }

    /// The ancestor of the current name at this depth below the apex, as the owner of records.
    fn owner_at_depth(&self, depth: usize) -> Owner {
        let kept = self.data.apex_label_count() + depth;
        self.owner(self.name().label_count() - kept)
    }

    /// Matches the current name against the zone.
    fn match_name(&mut self, record_type: u16) -> NameMatch {
        let ZoneData { tree, message, .. } = self.data;
        if let Some(node) = self.node.take() {
            return NameMatch::Exact(node);
        }
        let (name, apex) = (self.name(), self.data.apex_label_count());
        let found = tree.find(message, name, apex, Flags::NONE);
        // At a cut, the DS records belong to this side of it, and so does their absence (RFC 4035,
        // section 3.1.4.1).
        if let NameMatch::Cut(node, depth) | NameMatch::OtherOrigin(node, depth) = found
            && record_type == types::DS
            && name.label_count() == apex + depth
        {
            return NameMatch::Exact(node);
        }
        let is_answered = matches!(found, NameMatch::Cut(..) | NameMatch::Dname(..));
        if self.data.is_key_zone
            && !is_answered
            && cut::is_answered_by_key_cut(tree, message, name, apex, record_type)
        {
            return NameMatch::Cut(Node::APEX, 0);
        }
        found
    }

    /// Whether this server may answer that a name does not exist. As the root it may not: others
    /// serve names there, and an NXDOMAIN for google.com would be wrong.
    fn can_deny_names(&self) -> bool {
        self.data.apex_label_count() > 0
    }

    /// The record set that answers the question's type at this node.
    fn matching_set(&self, node: Node, record_type: u16) -> Option<RecordSet<'a>> {
        let tree = self.data.tree;
        match record_type {
            types::ANY => {
                let first = tree.sets(node).next();
                first.map(|_| RecordSet::synthesized_hinfo(self.owner(0)))
            }
            _ => {
                let set = tree.set(node, record_type)?;
                Some(RecordSet::new(self.owner(0), self.data, set))
            }
        }
    }

    fn positive_answer(mut self, set: RecordSet<'a>) -> Answer<'a> {
        let mut answer = Answer::empty(AnswerKind::Records, Some(self.data.zone.index));
        if let Some(set) = self.set_needing_addresses(&set) {
            let hidden = Flags::CUT.with(Flags::OCCLUDED);
            let is_own = |_, node| !self.data.tree.flags(node).has(hidden);
            answer.additionals = self.addresses(set, is_own);
        }
        answer.aliases = std::mem::take(&mut self.aliases);
        answer.records = Some(set);
        answer
    }

    /// The zone's own set of `set`, if the addresses of its hosts are additional records.
    fn set_needing_addresses(&self, set: &RecordSet<'a>) -> Option<Set> {
        let Content::Set(_, of_zone) = set.content else {
            return None;
        };
        let format = RdataFormat::of(set.record_type)?;
        format.needs_addresses.then_some(of_zone)
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

    /// A referral to the servers of a cut, with all addresses that this zone has for them (RFC
    /// 1034, section 4.3.2, step 3b).
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

    /// The addresses that this zone has for the hosts in the data of a set.
    fn addresses(&self, set: Set, is_wanted: impl Fn(Target, Node) -> bool) -> Vec<RecordSet<'a>> {
        let ZoneData { tree, message, .. } = self.data;
        let Some(format) = RdataFormat::of(tree.record_type(set)) else {
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
            let (start, _) = rdata_range(message, record.length_at());
            let name_at = format.name_at(message, start) as u32;
            let addresses = [types::A, types::AAAA].map(|of_type| tree.set(node, of_type));
            let owner = Owner::InRdata { name_at, target };
            let addresses = addresses.into_iter().flatten();
            sets.extend(addresses.map(|set| RecordSet::new(owner, self.data, set)));
        }
        sets
    }

    /// Adds an alias to the answer, and continues at its target.
    fn follow(&mut self, alias: Set) -> Step {
        let set = RecordSet::new(self.owner(0), self.data, alias);
        self.aliases.push(set);
        let Some(target) = self.target_name(alias, &[]) else {
            return Step::Stop;
        };
        let first = self.data.tree.records(alias).next();
        self.node = first.and_then(|alias| self.direct_target(&alias));
        self.continue_at(target)
    }

    /// Adds a DNAME and its synthesized CNAME to the answer, and continues at the CNAME's target.
    /// `None` if the target would be too long (RFC 6672, section 3.2, step 3c).
    fn substitute(&mut self, node: Node, depth: usize) -> Option<Step> {
        let dname = self.data.tree.set(node, types::DNAME)?;
        let set = RecordSet::new(self.owner_at_depth(depth), self.data, dname);
        let ttl_secs = set.ttl_secs;
        // A DNAME that leads below itself is found again; an answer must have a set only once.
        if !self.aliases.iter().any(|alias| alias.is_of(dname)) {
            self.aliases.push(set);
        }
        let name = self.name();
        let kept = name.suffix_offset(self.data.apex_label_count() + depth);
        let target = self.target_name(dname, &name.bytes[..kept])?;
        let alias =
            RecordSet::synthesized_cname(self.owner(0), ttl_secs, self.data, target.clone());
        self.aliases.push(alias);
        Some(self.continue_at(target))
    }

    /// The target of the only record of a set, after the labels `prefix`.
    fn target_name(&self, set: Set, prefix: &[u8]) -> Option<Name> {
        let ZoneData { tree, message, .. } = self.data;
        let record = tree.records(set).next()?;
        let (start, _) = rdata_range(message, record.length_at());
        self.data
            .target_name(self.question, prefix, start, record.target(0))
    }

    /// The node of an alias' target, if only the records of that node decide the answer.
    fn direct_target(&self, alias: &Record<'_>) -> Option<Node> {
        let tree = self.data.tree;
        let node = alias.target_node()?;
        let apex = self.question.name_ref();
        let apex = apex.suffix(self.data.apex_label_count());
        self.data.prefix_size(alias.target(0)?, apex)?;
        let decided_elsewhere = Flags::CUT.with(Flags::OCCLUDED).with(Flags::OTHER_ORIGIN);
        let flags = tree.flags(node);
        // A cut at the key answers for the key, and for names that exist only because of the cut.
        let is_answered_by_key_cut = self.data.is_key_zone
            && cut::key_cut(tree).is_some()
            && (node == Node::APEX || !flags.has(Flags::DATA));
        let is_plain = !flags.has(decided_elsewhere) && !is_answered_by_key_cut;
        is_plain.then_some(node)
    }

    /// Continues the search at the target of an alias.
    fn continue_at(&mut self, target: Name) -> Step {
        let name = target.as_ref();
        let apex_label_count = self.data.apex_label_count();
        let apex = self.question.name_ref();
        let apex = apex.suffix(apex_label_count);
        let is_inside = name.is_within(apex, apex_label_count)
            && (self.data.is_key_zone || self.data.zone.key(name).is_none());
        let mut before = self.targets.iter().map(Name::as_ref);
        let is_known =
            before.any(|before| before.is_same(name)) || self.question.name_ref().is_same(name);
        if !is_inside || is_known || self.targets.len() + 1 >= ALIAS_COUNT_MAX {
            return Step::Stop;
        }
        self.targets.push(target);
        Step::Continue
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
