//! The file `cluster` in the data directory: what a node knows of its cluster beside log and store.
//!
//! ```text
//! quorate-cluster 2
//! stage member
//! name quorate
//! id 2d1c…
//! founding 9a40…
//! member 36hua9cfga3q…@node1.example.org:7700
//! ```
//!
//! Lines of which nothing is known are absent.

use std::{fmt::Write, str::FromStr};

use quorate_peer::NodeId;
use quorate_raft::Known;
use quorate_state::{ClusterId, ClusterNames};
use sha2::{Digest, Sha256};

/// The first word of the file.
const MAGIC: &str = "quorate-cluster";

/// The version that this program writes.
const VERSION: u32 = 2;

/// How far a node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The cluster has let it in. Its log may be empty yet.
    Joining,
    /// It has applied entries: its log must not be empty.
    Member,
}

/// What a node knows of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterFile {
    /// How far the node has come.
    pub(crate) stage: Stage,
    /// What the cluster is called in the configuration of its founders. A node that has joined does
    /// not know it.
    pub(crate) name: Option<String>,
    /// Who the cluster is, and who is in it.
    pub(crate) known: Known,
}

impl ClusterFile {
    pub(crate) fn encode(&self) -> String {
        let stage = match self.stage {
            Stage::Joining => "joining",
            Stage::Member => "member",
        };
        let mut text = format!("{MAGIC} {VERSION}\nstage {stage}\n");
        if let Some(name) = &self.name {
            let _ = writeln!(text, "name {name}");
        }
        let Known { names, members } = &self.known;
        for (word, id) in [("id", names.id), ("founding", names.founding)] {
            if let Some(id) = id {
                let _ = writeln!(text, "{word} {id}");
            }
        }
        for (node, address) in members {
            let _ = writeln!(text, "member {node}@{address}");
        }
        text
    }
}

/// The hash by which founders know each other until their cluster has an id: over its name and the
/// list of them, in the order of their keys, each as `key@address` behind its size.
pub(crate) fn founding_hash<'a>(
    name: &str,
    founders: impl IntoIterator<Item = (&'a NodeId, &'a String)>,
) -> ClusterId {
    let mut founders: Vec<_> = founders.into_iter().collect();
    founders.sort_unstable();
    let founders = founders
        .iter()
        .map(|(key, address)| format!("{key}@{address}"));
    let mut hash = Sha256::new();
    for part in std::iter::once(name.to_owned()).chain(founders) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    ClusterId(hash.finalize().into())
}

impl FromStr for ClusterFile {
    type Err = ClusterFileError;

    fn from_str(text: &str) -> Result<Self, ClusterFileError> {
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let version = header.strip_prefix(MAGIC).map(str::trim);
        match version.map(str::parse) {
            Some(Ok(VERSION)) => parse_lines(lines),
            Some(Ok(version)) if version < VERSION => Err(ClusterFileError::Former(version)),
            Some(Ok(version)) => Err(ClusterFileError::Version(version)),
            _ => Err(ClusterFileError::Line(header.to_owned())),
        }
    }
}

fn parse_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Result<ClusterFile, ClusterFileError> {
    let (mut stage, mut name, mut known) = (None, None, Known::default());
    for line in lines {
        let wrong = || ClusterFileError::Line(line.to_owned());
        match line.split_once(' ').ok_or_else(wrong)? {
            ("stage", "joining") => stage = Some(Stage::Joining),
            ("stage", "member") => stage = Some(Stage::Member),
            ("name", text) => name = Some(text.to_owned()),
            ("id", text) => known.names.id = Some(parse_id(text, line)?),
            ("founding", text) => known.names.founding = Some(parse_id(text, line)?),
            ("member", text) => {
                let (key, address) = text.split_once('@').ok_or_else(wrong)?;
                let key = key.parse().map_err(|_| wrong())?;
                known.members.insert(NodeId(key), address.to_owned());
            }
            _ => return Err(wrong()),
        }
    }
    // Without a name of any kind it is nobody's.
    if known.names == ClusterNames::default() && name.is_none() {
        return Err(ClusterFileError::Missing("id"));
    }
    Ok(ClusterFile {
        stage: stage.ok_or(ClusterFileError::Missing("stage"))?,
        name,
        known,
    })
}

fn parse_id(hex: &str, line: &str) -> Result<ClusterId, ClusterFileError> {
    let wrong = || ClusterFileError::Line(line.to_owned());
    let digits = hex.as_bytes();
    let mut id = [0; 32];
    if digits.len() != 2 * id.len() {
        return Err(wrong());
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(ClusterId(id))
}

/// Why such a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClusterFileError {
    /// It is of a version that came after.
    #[error("it is of version {0}, and this program reads {VERSION}: run a newer one")]
    Version(u32),
    /// It is of a version that came before.
    #[error(
        "it is of version {0}, and this program reads {VERSION}: log and packets beside it are of \
         former versions too. Run the program that wrote them, or choose another data_dir"
    )]
    Former(u32),
    /// It has a line that means nothing.
    #[error("its line {0:?} means nothing: restore the directory as a whole from a copy")]
    Line(String),
    #[error("it lacks the line {0:?}: restore the directory as a whole from a copy")]
    Missing(&'static str),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_packet::PublicKey;

    use super::*;

    fn key(byte: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([byte; 32]))
    }

    fn members(members: &[(u8, &str)]) -> BTreeMap<NodeId, String> {
        let members = members.iter();
        let members = members.map(|(byte, address)| (key(*byte), (*address).to_owned()));
        members.collect()
    }

    fn file() -> ClusterFile {
        ClusterFile {
            stage: Stage::Member,
            name: Some("quorate".to_owned()),
            known: Known {
                names: ClusterNames {
                    id: Some(ClusterId([0x1a; 32])),
                    founding: Some(ClusterId([0xf0; 32])),
                },
                members: members(&[(1, "a.example.org:7700"), (2, "[2001:db8::1]:7700")]),
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut joining = file();
        joining.stage = Stage::Joining;
        joining.name = None;
        joining.known.names.founding = None;
        let mut founders = file();
        founders.known.names.id = None;
        for file in [file(), joining, founders] {
            assert_eq!(file.encode().parse(), Ok(file));
        }
    }

    #[test]
    fn a_file_that_lacks_a_part_is_none() {
        let text = file().encode();
        let damages = [
            ("stage member\n", ""),
            ("stage member", "stage voter"),
            ("\nid 1a", "\nid 1g"),
            ("\nid 1a1a", "\nid 1a"),
            ("@[2001", "[2001"),
            ("quorate-cluster 2", ""),
        ];
        for (part, damage) in damages {
            let damaged = text.replacen(part, damage, 1);
            assert_ne!(damaged, text);
            assert!(damaged.parse::<ClusterFile>().is_err(), "{damaged}");
        }
        let newer = text.replace("cluster 2", "cluster 3");
        let error = newer.parse::<ClusterFile>();
        assert_eq!(error, Err(ClusterFileError::Version(3)));
        let former = "quorate-cluster 1\nname quorate\nid 1a1a\n";
        let error = former.parse::<ClusterFile>();
        assert_eq!(error, Err(ClusterFileError::Former(1)));
        let nobodys = "quorate-cluster 2\nstage member\n";
        assert_eq!(
            nobodys.parse::<ClusterFile>(),
            Err(ClusterFileError::Missing("id"))
        );
    }

    #[test]
    fn a_founding_list_is_its_name_keys_and_addresses_in_any_order() {
        let list = members(&[(1, "a:1"), (2, "b:1")]);
        let hash = |name, list: &BTreeMap<NodeId, String>| founding_hash(name, list);
        assert_eq!(hash("a", &list), founding_hash("a", list.iter().rev()));
        assert_ne!(hash("a", &list), hash("b", &list));
        assert_ne!(
            hash("a", &list),
            hash("a", &members(&[(1, "a:1"), (2, "c:1")]))
        );
        assert_ne!(hash("a", &list), hash("a", &members(&[(1, "a:1")])));
    }
}
