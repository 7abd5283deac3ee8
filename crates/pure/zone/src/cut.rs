//! Zone cuts in a packet: names that its NS records hand to other servers.
//!
//! Below the key a cut is what RFC 1034, section 4.3.2, step 3b, and RFC 2181, section 6, say: at it
//! and below it the packet has no authority, whatever else it holds there. NS records of a
//! wildcard are a cut for its own name alone (RFC 4592, section 4.2, leaves their meaning open).
//!
//! NS records at the key itself would hide the whole packet, `_iroh.<z32>` first, though the same
//! publisher signed both. So there, data in the packet is answered first, and the cut answers what
//! the packet does not have: names that would not exist without the NS records and their glue. A key
//! with other names below it therefore exists, and stays undelegated itself: resolvers that ask for
//! one label at a time (RFC 9156) would never come down to `_iroh`.

use crate::{
    name::NameRef,
    rdata::types,
    tree::{Flags, Node, Place, RecordTree, Set},
};

/// Flags the names that exist without the cut at the key: those with, or above, something else than
/// its NS records and their addresses.
pub(crate) fn flag_data(tree: &mut RecordTree) {
    let Some(servers) = key_cut(tree) else {
        return;
    };
    let mut has_glue = vec![false; tree.node_count()];
    for record in tree.records(servers) {
        if let Some(node) = record.target_node() {
            has_glue[node.0 as usize] = true;
        }
    }
    // Children stand behind their parents, so from behind each is known before its parent is.
    for node in (0..tree.node_count() as u32).rev().map(Node) {
        let is_data = |set: &Set| match tree.record_type(*set) {
            types::NS => node != Node::APEX,
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

/// Whether a cut at the key answers the question for a name that no cut below it answers. Who asks
/// for the NS records of the key asks for the cut.
pub(crate) fn is_left_to_key_cut(
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
    (is_key && record_type == types::NS)
        || tree.find(message, name, apex_label_count, Flags::DATA) == Place::Nowhere
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
