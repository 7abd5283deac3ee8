//! The file `cluster` in the data directory: what a node knows about its cluster outside log and store.
//!
//! ```text
//! quorate-cluster 3
//! stage member
//! id 2d1c…
//! index 812
//! member 36hua9cfga3q…@node1.example.org:7700
//! ```
//! Until a founder has founded, the file also contains `voters`, `expires` and the secret `token`, `made key` if
//! the key was created together with the file, and `brings packets` if log and packets were.

use std::{fmt::Write, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;
use quorate_peer::{JoinToken, NodeId};
use quorate_raft::KnownMembers;
use quorate_state::{ClusterId, LogIndex, Term, UnixMillis};

/// The first word of the file.
const MAGIC: &str = "quorate-cluster";

/// The version that this program writes.
const VERSION: u32 = 3;

/// The stage of a node's entry into its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Stage {
    /// It will found a cluster; the file with the token for others is not in place yet.
    Preparing,
    /// It founds a cluster when it starts.
    Founding,
    /// The cluster has accepted it. Its log may still be empty.
    Joining,
    /// It has applied entries: its log must not be empty.
    Member,
}

/// What a node knows about its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterFile {
    pub(crate) stage: Stage,
    pub(crate) id: ClusterId,
    /// With how many voters the cluster starts to accept packets; 0 if another node founded it.
    pub(crate) voters: u32,
    /// The token for other nodes, and its expiry. Removed when the cluster is founded.
    pub(crate) token: Option<(JoinToken, UnixMillis)>,
    /// Whether the founding command also created the key.
    pub(crate) has_made_key: bool,
    /// Whether the cluster begins with the packets in this directory.
    pub(crate) brings_packets: bool,
    /// The known members.
    pub(crate) known: KnownMembers,
}

impl ClusterFile {
    /// A file with only this stage, id and members.
    pub(crate) fn new(stage: Stage, id: ClusterId, known: KnownMembers) -> Self {
        Self {
            stage,
            id,
            voters: 0,
            token: None,
            has_made_key: false,
            brings_packets: false,
            known,
        }
    }

    pub(crate) fn encode(&self) -> String {
        let KnownMembers {
            index,
            members,
            term,
        } = &self.known;
        let mut text = format!(
            "{MAGIC} {VERSION}\nstage {}\nid {}\nindex {}\n",
            self.stage, self.id, index.0
        );
        let mut line = |word, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{word} {value}");
        };
        if term.0 > 0 {
            line("term", term);
        }
        if self.voters > 0 {
            line("voters", &self.voters);
        }
        if let Some((token, expires)) = &self.token {
            line("expires", &expires.0);
            line("token", token);
        }
        if self.has_made_key {
            line("made", &"key");
        }
        if self.brings_packets {
            line("brings", &"packets");
        }
        for (node, address) in members {
            line("member", &format_args!("{node}@{address}"));
        }
        text
    }
}

impl FromStr for ClusterFile {
    /// Why the file cannot be used.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (header, lines) = text.split_once('\n').unwrap_or((text, ""));
        let version = header.strip_prefix(MAGIC).map(str::trim);
        match version.map(str::parse::<u32>) {
            Some(Ok(VERSION)) => parse_lines(lines),
            Some(Ok(version)) => Err(format!(
                "it is of version {version}, as log and packets beside it are, and this program \
                 reads {VERSION}: run the one that wrote it"
            )),
            _ => Err(format!("its line {header:?} is not valid")),
        }
    }
}

fn parse_lines(lines: &str) -> Result<ClusterFile, String> {
    let (mut stage, mut id, mut expires) = (None, None, None);
    let mut file = ClusterFile::new(Stage::Joining, ClusterId([0; 32]), KnownMembers::default());
    for line in lines.lines() {
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        let parsed = match word {
            "stage" => text.parse().ok().map(|parsed| stage = Some(parsed)),
            "id" => parse_id(text).map(|parsed| id = Some(parsed)),
            "index" => text
                .parse()
                .ok()
                .map(|parsed| file.known.index = LogIndex(parsed)),
            "term" => text
                .parse()
                .ok()
                .map(|parsed| file.known.term = Term(parsed)),
            "voters" => text.parse().ok().map(|parsed| file.voters = parsed),
            "expires" => text
                .parse()
                .ok()
                .map(|parsed| expires = Some(UnixMillis(parsed))),
            "token" => {
                let token = text.parse().ok().zip(expires);
                token.map(|parsed| file.token = Some(parsed))
            }
            "made" => (text == "key").then(|| file.has_made_key = true),
            "brings" => (text == "packets").then(|| file.brings_packets = true),
            "member" => parse_member(text).map(|(node, address)| {
                file.known.members.insert(node, address);
            }),
            _ => None,
        };
        // The value after the word may be secret.
        parsed.ok_or_else(|| format!("its line {word:?} is not valid"))?;
    }
    let lacks = |word| format!("it lacks the line {word:?}");
    file.stage = stage.ok_or_else(|| lacks("stage"))?;
    file.id = id.ok_or_else(|| lacks("id"))?;
    match file.stage {
        Stage::Preparing if file.token.is_none() => Err(lacks("token")),
        Stage::Preparing | Stage::Founding if file.voters == 0 => Err(lacks("voters")),
        _ => Ok(file),
    }
}

fn parse_member(text: &str) -> Option<(NodeId, String)> {
    let (key, address) = text.split_once('@')?;
    Some((NodeId(key.parse().ok()?), address.to_owned()))
}

fn parse_id(hex: &str) -> Option<ClusterId> {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    Some(ClusterId(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;
    use quorate_state::InviteId;

    use super::*;

    fn file(stage: Stage) -> ClusterFile {
        let key = |byte| NodeId(PublicKey::from_bytes([byte; 32]));
        let members = [(1, "a.example.org:7700"), (2, "[2001:db8::1]:7700")];
        let members = members.map(|(byte, address)| (key(byte), address.to_owned()));
        let known = KnownMembers {
            index: LogIndex(7),
            members: members.clone().into(),
            term: Term(match stage {
                Stage::Joining => 5,
                _ => 0,
            }),
        };
        let id = ClusterId([0x1a; 32]);
        let mut file = ClusterFile::new(stage, id, known);
        if matches!(stage, Stage::Preparing | Stage::Founding) {
            let token = JoinToken::new(id, InviteId([2; 16]), [3; 32], members);
            file.token = Some((token, UnixMillis(1_795_334_348_101)));
            file.has_made_key = true;
            file.voters = 3;
        }
        file
    }

    #[test]
    fn a_written_file_is_read_back() {
        use Stage::{Founding, Joining, Member, Preparing};
        for stage in [Preparing, Founding, Joining, Member] {
            let file = file(stage);
            assert_eq!(file.encode().parse(), Ok(file));
        }
    }

    #[test]
    fn an_incomplete_file_is_rejected() {
        let text = file(Stage::Founding).encode();
        let id = format!("id {}\n", "1a".repeat(32));
        for (part, damage) in [
            ("stage founding\n", ""),
            ("stage founding", "stage voter"),
            (&*id, ""),
            ("\nid 1a", "\nid 1g"),
            ("\nid 1a1a", "\nid 1a"),
            ("index 7", "index x"),
            ("voters 3\n", ""),
            ("expires", "expired"),
            ("made key", "made lock"),
            ("@[2001", "[2001"),
            ("quorate-cluster 3", ""),
        ] {
            let damaged = text.replacen(part, damage, 1);
            assert_ne!(damaged, text);
            assert!(damaged.parse::<ClusterFile>().is_err(), "{damaged}");
        }
        for version in ["2", "4"] {
            let other = text.replace("cluster 3", &format!("cluster {version}"));
            let error = other.parse::<ClusterFile>().unwrap_err();
            assert!(error.contains(version), "{error}");
        }
    }

    #[test]
    fn a_damaged_token_is_not_shown() {
        let text = file(Stage::Founding).encode();
        let error = text.replace("token q", "token x").parse::<ClusterFile>();
        assert_eq!(error, Err("its line \"token\" is not valid".to_owned()));
    }
}
