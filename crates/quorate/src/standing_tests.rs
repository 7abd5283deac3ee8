use quorate_packet::PublicKey;
use quorate_state::{ClusterId, InviteId};

use super::*;
use crate::{
    config::NodeAddress,
    init::{mark_used, open_or_make},
};

fn node(byte: u8) -> NodeId {
    NodeId(PublicKey::from_bytes([byte; 32]))
}

/// A node with the key 1, and what it has.
struct Fixture {
    config: ConfigV1,
    data_dir: DataDir,
    token: Option<JoinToken>,
    dir: tempfile::TempDir,
}

const ADDRESS: &str = "10.0.0.1:7700";

impl Fixture {
    fn new(list: &[(u8, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ConfigV1::default();
        config.cluster.nodes = list
            .iter()
            .map(|(byte, address)| NodeAddress {
                key: node(*byte).0,
                address: (*address).to_owned(),
            })
            .collect();
        open_or_make(dir.path()).unwrap();
        Self {
            config,
            data_dir: DataDir::open(dir.path()).unwrap(),
            token: None,
            dir,
        }
    }

    fn with_token_of(self, cluster: u8, member: &str) -> Self {
        let token = JoinToken {
            cluster: ClusterId([cluster; 32]),
            invite: InviteId([1; 16]),
            seed: [2; 32],
            members: vec![(node(9), member.to_owned())],
        };
        Self {
            token: Some(token),
            ..self
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            config: &self.config,
            data_dir: &self.data_dir,
            node: node(1),
            address: match &*self.config.peer.advertise {
                "" => ADDRESS,
                configured => configured,
            },
            token: self.token.as_ref(),
        }
    }

    fn judge(&self) -> anyhow::Result<Standing> {
        self.evidence().judge()
    }

    fn doubts(&self) -> String {
        let standing = self.judge().unwrap();
        self.evidence().doubts(&standing).join("\n")
    }

    #[track_caller]
    fn refused_with(&self, parts: &[&str]) {
        let error = self.judge().expect_err("it is refused").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
    }

    /// What it is told beside what it knows.
    fn listed(&self) -> Vec<NodeId> {
        match self.judge().unwrap() {
            Standing::Member { listed, .. } => listed.into_keys().collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Notes that the data is of the cluster with this id and these members, as one whose founders
    /// were listed so.
    fn has_data(&self, id: u8, members: &[(u8, &str)], founding: Option<ClusterId>) {
        let members = members.iter();
        let members = members.map(|(byte, address)| (node(*byte), (*address).to_owned()));
        let cluster = ClusterFile {
            stage: Stage::Member,
            name: Some("quorate".to_owned()),
            known: Known {
                names: ClusterNames {
                    id: Some(ClusterId([id; 32])),
                    founding,
                },
                members: members.collect(),
            },
        };
        self.data_dir.set_cluster(&cluster).unwrap();
    }

    fn hash_of_list(&self) -> ClusterId {
        founding_hash("quorate", &self.config.cluster.founders())
    }
}

fn founder(standing: Standing) -> ClusterFile {
    match standing {
        Standing::Founder(cluster) => cluster,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_node_without_a_list_founds_a_cluster_of_one_where_others_reach_it() {
    let cluster = founder(Fixture::new(&[]).judge().unwrap());
    let members: Vec<_> = cluster.known.members.into_iter().collect();
    assert_eq!(members, [(node(1), ADDRESS.to_owned())]);
    assert_eq!(
        cluster.known.names,
        ClusterNames::default(),
        "its id is drawn later"
    );
}

#[test]
fn a_member_of_which_only_the_key_is_left_founds_no_cluster() {
    for list in [&[][..], &[(1, "a:1"), (2, "b:1"), (3, "c:1")]] {
        let fixture = Fixture::new(list);
        mark_used(fixture.dir.path(), "6f6e").unwrap();
        fixture.refused_with(&["has lost its data", "6f6e", "member replace"]);
    }
}

#[test]
fn founders_know_each_other_by_their_list() {
    let list = [(1, "a:1"), (2, "b:1"), (3, "c:1")];
    let fixture = Fixture::new(&list);
    let cluster = founder(fixture.judge().unwrap());
    assert_eq!(cluster.known.names.founding, Some(fixture.hash_of_list()));
    assert_eq!(cluster.known.members.len(), 3);
}

#[test]
fn a_founder_is_where_the_list_says() {
    let mut fixture = Fixture::new(&[(1, "a:1"), (2, "b:1"), (3, "c:1")]);
    assert_eq!(fixture.doubts(), "");
    fixture.config.peer.advertise = "a:1".to_owned();
    assert_eq!(fixture.doubts(), "");
    fixture.config.peer.advertise = "elsewhere:1".to_owned();
    let doubts = fixture.doubts();
    assert!(doubts.contains("cluster.nodes counts"), "{doubts}");
}

#[test]
fn a_new_node_with_a_token_joins() {
    let fixture = Fixture::new(&[]).with_token_of(5, "10.0.0.9:7700");
    assert!(fixture.judge().unwrap().is_joiner());
    assert_eq!(fixture.doubts(), "");
}

#[test]
fn a_joiner_that_nobody_could_reach_is_told() {
    let mut fixture = Fixture::new(&[]).with_token_of(5, "10.0.0.9:7700");
    fixture.config.peer.advertise = "127.0.0.1:7700".to_owned();
    let doubts = fixture.doubts();
    assert!(doubts.contains("set peer.advertise"), "{doubts}");

    let mut fixture = Fixture::new(&[]).with_token_of(5, "127.0.0.1:7701");
    fixture.config.peer.advertise = "127.0.0.1:7700".to_owned();
    assert_eq!(fixture.doubts(), "", "they are on one machine");
}

#[test]
fn a_joiner_with_a_log_of_nobody_knows_whom_is_refused() {
    let fixture = Fixture::new(&[]).with_token_of(5, "a:1");
    std::fs::create_dir(fixture.dir.path().join(quorate_raft::LOG_DIR)).unwrap();
    fixture.refused_with(&["nothing says of which cluster"]);
}

#[test]
fn a_node_that_has_joined_needs_neither_list_nor_token() {
    let fixture = Fixture::new(&[]);
    fixture.has_data(5, &[(1, ADDRESS), (2, "b:1")], None);
    assert!(matches!(fixture.judge().unwrap(), Standing::Member { .. }));
    assert_eq!(fixture.doubts(), "");
}

#[test]
fn the_token_of_its_own_cluster_does_no_harm() {
    let fixture = Fixture::new(&[]).with_token_of(5, "a:1");
    fixture.has_data(5, &[(1, ADDRESS)], None);
    assert!(matches!(fixture.judge().unwrap(), Standing::Member { .. }));
}

#[test]
fn the_token_of_another_cluster_is_refused_with_both_ids() {
    let fixture = Fixture::new(&[]).with_token_of(6, "a:1");
    fixture.has_data(5, &[(1, ADDRESS)], None);
    let [ours, theirs] = [5, 6].map(|byte| ClusterId([byte; 32]).to_string());
    fixture.refused_with(&["data of another cluster", &ours, &theirs]);
}

#[test]
fn data_of_a_cluster_of_another_name_is_refused_with_both() {
    let mut fixture = Fixture::new(&[]);
    fixture.has_data(5, &[(1, ADDRESS)], None);
    fixture.config.cluster.name = "other".to_owned();
    fixture.refused_with(&["data of another cluster", "\"quorate\"", "\"other\""]);
}

#[test]
fn a_list_that_names_no_member_is_of_another_cluster() {
    let fixture = Fixture::new(&[(7, "a:1"), (8, "b:1"), (9, "c:1")]);
    fixture.has_data(5, &[(1, ADDRESS), (2, "b:1")], None);
    fixture.refused_with(&[
        "data of another cluster",
        "none of its members",
        &node(2).to_string(),
    ]);

    // Unless it is the one that founded the cluster, whose members have all been replaced since.
    fixture.has_data(5, &[(1, ADDRESS), (2, "b:1")], Some(fixture.hash_of_list()));
    assert!(matches!(fixture.judge().unwrap(), Standing::Member { .. }));
}

#[test]
fn addresses_of_a_list_that_differ_from_the_members_are_not_taken_and_that_is_said() {
    let fixture = Fixture::new(&[(1, ADDRESS), (2, "b:1")]);
    fixture.has_data(5, &[(1, ADDRESS), (2, "b:1"), (3, "c:1")], None);
    assert_eq!(fixture.doubts(), "", "it has grown since");

    fixture.has_data(5, &[(1, ADDRESS), (2, "elsewhere:1")], None);
    let Standing::Member { cluster, listed } = fixture.judge().unwrap() else {
        panic!("it is a member");
    };
    assert_eq!(cluster.known.members[&node(2)], "elsewhere:1");
    assert_eq!(listed, BTreeMap::new());
    let doubts = fixture.doubts();
    assert!(doubts.contains("only found a cluster"), "{doubts}");
}

/// All others were replaced while it was off: what it knows leads to nobody who is still there.
#[test]
fn a_member_is_told_of_nodes_that_it_does_not_know_by_the_list() {
    let mut fixture = Fixture::new(&[(1, ADDRESS), (2, "b:1"), (4, "d:1"), (5, "e:1")]);
    fixture.has_data(5, &[(1, ADDRESS), (2, "b:1"), (3, "c:1")], None);
    assert_eq!(fixture.listed(), [node(4), node(5)]);
    let doubts = fixture.doubts();
    assert!(doubts.contains(&node(5).to_string()), "{doubts}");
    assert!(!doubts.contains(&node(2).to_string()), "{doubts}");

    // The list of another cluster tells it nothing, though a token of its own lets it start.
    fixture.config.cluster.nodes.drain(..2);
    fixture.refused_with(&["none of its members"]);
    let fixture = fixture.with_token_of(5, "a:1");
    assert_eq!(fixture.listed(), []);
}

/// A node that was removed does not take itself for a member because a list says so.
#[test]
fn a_list_tells_a_node_nothing_of_itself() {
    let fixture = Fixture::new(&[(1, ADDRESS), (2, "b:1")]);
    fixture.has_data(5, &[(2, "b:1")], None);
    assert_eq!(fixture.listed(), []);
}
