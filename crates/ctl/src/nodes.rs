//! The nodes of a cluster by name or key.

use quorate_api::{Member, Members, path};

use crate::admin::{ApiCall, Session};

/// The shortest beginning of a key that names a node, in characters: the leader's minimum.
const PREFIX_LEN_MIN: usize = 4;

/// How many characters of a key are shown after a name.
const SHOWN_LEN: usize = 8;

/// The members and joining nodes of a cluster, before the first request.
#[derive(Debug)]
pub(crate) struct Nodes(pub(crate) Vec<Member>);

impl Nodes {
    /// Reads them from the node of the session.
    pub(crate) async fn read(session: &mut Session) -> anyhow::Result<Self> {
        let members: Members = session.call(&ApiCall::get(path::MEMBERS)).await?;
        Ok(Self(members.members))
    }

    /// The key of the only node that `text` names; otherwise `text`, which the leader resolves or rejects.
    /// A retry by key means the same node even if it is gone by then, or another one has its name.
    pub(crate) fn key<'a>(&'a self, text: &'a str) -> &'a str {
        let mut keys = self.keys(|node| node.name == text);
        if keys.is_empty() && text.len() >= PREFIX_LEN_MIN {
            keys = self.keys(|node| node.node.starts_with(text));
        }
        match keys.as_slice() {
            [key] => key,
            _ => text,
        }
    }

    /// The node of this key for display: its name and the beginning of its key, or the complete key if it
    /// has no name.
    pub(crate) fn shown(&self, key: &str) -> String {
        let node = self.0.iter().find(|node| node.node == key);
        match node.map(|node| node.name.as_str()) {
            None | Some("") => key.to_owned(),
            Some(name) => {
                let begin: String = key.chars().take(SHOWN_LEN).collect();
                format!("{name} ({begin}…)")
            }
        }
    }

    fn keys(&self, is_match: impl Fn(&&Member) -> bool) -> Vec<&str> {
        let nodes = self.0.iter().filter(is_match);
        nodes.map(|node| node.node.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use quorate_api::{MemberRole, MemberState};
    use quorate_packet::PublicKey;

    use super::*;

    fn nodes(nodes: &[(&str, &str)]) -> Nodes {
        let member = |(key, name): &(&str, &str)| Member {
            node: (*key).to_owned(),
            name: (*name).to_owned(),
            role: MemberRole::Voter,
            address: "ns1.example.org:7700".to_owned(),
            state: MemberState::Live,
            lag: None,
            last_heard_ms: None,
            not_electable: Vec::new(),
            level: Some(1),
            level_hold: false,
        };
        Nodes(nodes.iter().map(member).collect())
    }

    #[test]
    fn a_node_is_found_by_key_beginning_of_key_or_name() {
        let nodes = nodes(&[("abcdefghi", "fra-1"), ("abcdxyz", "abcde"), ("other", "")]);
        for (text, key) in [
            ("fra-1", "abcdefghi"),
            ("abcdef", "abcdefghi"),
            // A name takes precedence over a beginning.
            ("abcde", "abcdxyz"),
            ("othe", "other"),
        ] {
            assert_eq!(nodes.key(text), key, "{text}");
        }
    }

    #[test]
    fn an_unknown_or_ambiguous_name_is_left_to_the_leader() {
        let nodes = nodes(&[("abcdefghi", "twin"), ("abcdxyz", "twin"), ("other", "")]);
        for text in ["oth", "fra", "abcdefghij", "abcd", "twin"] {
            assert_eq!(nodes.key(text), text);
        }
    }

    #[test]
    fn a_complete_key_may_belong_to_a_removed_node() {
        let gone = PublicKey::from_bytes([7; 32]).to_string();
        assert_eq!(nodes(&[]).key(&gone), gone);
    }

    #[test]
    fn a_node_is_shown_by_its_name_if_it_has_one() {
        let nodes = nodes(&[("abcdefghijk", "fra-1"), ("bcdefghijkl", "")]);
        assert_eq!(nodes.shown("abcdefghijk"), "fra-1 (abcdefgh…)");
        assert_eq!(nodes.shown("bcdefghijkl"), "bcdefghijkl");
        assert_eq!(nodes.shown("unknown"), "unknown");
    }
}
