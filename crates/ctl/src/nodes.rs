//! The nodes of a cluster, as operators call them.

use quorate_api::{Member, Members, path};
use quorate_packet::PublicKey;

use crate::{
    admin::{AdminClient, AdminError, Ask},
    console::Console,
};

/// The least of a key that names a node, in characters.
const PREFIX_LEN_MIN: usize = 4;

/// How much of a key is shown behind a name, in characters.
const SHOWN_LEN: usize = 8;

/// The nodes of a cluster. What operators call them is resolved once, before the first request: what
/// is asked for again and again then means the same node, whatever has become of it meanwhile.
#[derive(Debug)]
pub(crate) struct Nodes(Vec<Member>);

impl Nodes {
    /// Those that are members now, or are about to be.
    pub(crate) async fn ask(
        client: &AdminClient,
        console: &mut Console,
    ) -> Result<Self, AdminError> {
        let members: Members = client.send(&Ask::get(path::MEMBERS), console).await?;
        Ok(Self(members.members))
    }

    /// The key of the node that is called so: by its key, its name, or a beginning of its key. A whole
    /// key may be of a node that is gone: removing it again is no mistake.
    pub(crate) fn key(&self, text: &str) -> Result<String, AdminError> {
        if text.parse::<PublicKey>().is_ok() {
            return Ok(text.to_owned());
        }
        let mut found = self.keys(|node| !text.is_empty() && node.name == text);
        if found.is_empty() && text.len() >= PREFIX_LEN_MIN {
            found = self.keys(|node| node.node.starts_with(text));
        }
        match found.as_slice() {
            [] => Err(AdminError::UnknownNode(text.to_owned())),
            [key] => Ok((*key).to_owned()),
            _ => Err(AdminError::AmbiguousNode {
                name: text.to_owned(),
                keys: found.join(", "),
            }),
        }
    }

    /// The node of this key for the eye: its name and the beginning of its key, or all of that if it
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

    fn keys(&self, are_called_so: impl Fn(&Member) -> bool) -> Vec<&str> {
        let nodes = self.0.iter().filter(|node| are_called_so(node));
        nodes.map(|node| node.node.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use quorate_api::{MemberRole, MemberState};

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
        };
        Nodes(nodes.iter().map(member).collect())
    }

    #[test]
    fn a_node_is_called_by_its_key_a_beginning_of_it_or_its_name() {
        let nodes = nodes(&[("abcdefghi", "fra-1"), ("abcdxyz", "abcde"), ("other", "")]);
        for (text, key) in [
            ("fra-1", "abcdefghi"),
            ("abcdef", "abcdefghi"),
            // A name goes before a beginning.
            ("abcde", "abcdxyz"),
            ("othe", "other"),
        ] {
            assert_eq!(nodes.key(text).unwrap(), key, "{text}");
        }
        for text in ["", "oth", "fra", "abcdefghij"] {
            let refused = nodes.key(text).unwrap_err().to_string();
            let expected = format!("no node is called {text:?}: ");
            assert!(refused.starts_with(&expected), "{refused}");
        }
        let refused = nodes.key("abcd").unwrap_err().to_string();
        assert_eq!(refused, "\"abcd\" may be any of abcdefghi, abcdxyz");
    }

    #[test]
    fn a_whole_key_may_be_of_a_node_that_is_gone() {
        let gone = PublicKey::from_bytes([7; 32]).to_string();
        assert_eq!(nodes(&[]).key(&gone).unwrap(), gone);
    }

    #[test]
    fn a_node_is_shown_by_its_name_if_it_has_one() {
        let nodes = nodes(&[("abcdefghijk", "fra-1"), ("bcdefghijkl", "")]);
        assert_eq!(nodes.shown("abcdefghijk"), "fra-1 (abcdefgh…)");
        assert_eq!(nodes.shown("bcdefghijkl"), "bcdefghijkl");
        assert_eq!(nodes.shown("stranger"), "stranger");
    }
}
