//! Zone cuts in a packet: names that its NS records delegate to other servers.
//!
//! Below the key a cut means what RFC 1034, section 4.3.2, step 3b, and RFC 2181, section 6,
//! define: at it and below it the packet has no authority, whatever other records it has there. NS
//! records of a wildcard are a cut for the wildcard name itself only (RFC 4592, section 4.2,
//! leaves their meaning open).
//!
//! NS records at the key itself would hide the complete packet, first of all `_iroh.<z32>`,
//! although the same publisher signed both. So at the key the packet's data is answered first. The
//! cut answers only for names that would not exist without the NS records and their glue. A key
//! with other names below it therefore exists, and is not delegated itself: otherwise resolvers
//! that ask for one label at a time (RFC 9156) would never reach `_iroh`.
//!
//! DS records at a cut belong to the zone above it (RFC 4035, section 3.1.4.1): they, or that there
//! are none, are answered with authority.

use crate::{
    name::NameRef,
    rdata::types,
    tree::{Flags, NameMatch, Node, RecordTree, Set},
};

/// Flags the names that exist without the cut at the key: names where the name itself or one below
/// it has records other than the NS and DS records of the key and the addresses of its servers.
pub(crate) fn flag_names_with_data(tree: &mut RecordTree) {
    let Some(servers) = key_cut(tree) else {
        return;
    };
    let mut has_glue = vec![false; tree.node_count()];
    for record in tree.records(servers) {
        if let Some(node) = record.target_node() {
            has_glue[node.0 as usize] = true;
        }
    }
    // Children come after their parents, so in reverse order each is flagged before its parent.
    for node in (0..tree.node_count() as u32).rev().map(Node) {
        let is_data = |set: &Set| match tree.record_type(*set) {
            types::NS | types::DS => node != Node::APEX,
            types::A | types::AAAA => !has_glue[node.0 as usize],
            _ => true,
        };
        let mut children = tree.children(node).map(Node);
        let has_data = tree.sets(node).any(|set| is_data(&set))
            || children.any(|child| tree.flags(child).has(Flags::DATA));
        if has_data {
            tree.flag(node, Flags::DATA);
        }
    }
}

/// The NS records at the key.
pub(crate) fn key_cut(tree: &RecordTree) -> Option<Set> {
    match tree.node_count() {
        0 => None,
        _ => tree.set(Node::APEX, types::NS),
    }
}

/// Whether a cut at the key answers the question, for a name that no cut below the key answers. It
/// does for names without data, and when the question asks for the NS records of the key; never
/// when it asks for the DS records of the key.
pub(crate) fn is_answered_by_key_cut(
    tree: &RecordTree,
    message: &[u8],
    name: NameRef<'_>,
    apex_label_count: usize,
    record_type: u16,
) -> bool {
    if key_cut(tree).is_none() {
        return false;
    }
    let is_key = name.label_count() == apex_label_count;
    match record_type {
        types::NS if is_key => true,
        types::DS if is_key => false,
        _ => tree.find(message, name, apex_label_count, Flags::DATA) == NameMatch::NotFound,
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
