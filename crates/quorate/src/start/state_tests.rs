use quorate_raft::{KnownMembers, STORE_FILE};
use quorate_state::ClusterId;

use super::*;
use crate::start::data_dir::DataDir;

/// A directory with these files, and directories for names that end in a slash.
fn dir_with(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        match name.ends_with('/') {
            true => fs::create_dir(path).unwrap(),
            false => fs::write(path, "").unwrap(),
        }
    }
    dir
}

fn cluster(stage: Stage) -> ClusterFile {
    ClusterFile {
        voters: 1,
        ..ClusterFile::new(stage, ClusterId([7; 32]), KnownMembers::default())
    }
}

/// A directory with a key, and a cluster file of this stage.
fn dir_at(stage: Stage, names: &[&str]) -> tempfile::TempDir {
    let dir = dir_with(names);
    let data_dir = DataDir::open(dir.path()).unwrap();
    data_dir.identity().unwrap();
    data_dir.set_cluster(&cluster(stage)).unwrap();
    dir
}

#[track_caller]
fn damage(dir: &tempfile::TempDir) -> String {
    match BootState::of(dir.path()).unwrap() {
        BootState::Damaged(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unused_directory_is_empty() {
    let left_over = ["cluster.new", "node.key.4711.new", "node.key.new"];
    for names in [
        &[][..],
        &["lost+found/"],
        &["lock"],
        &["node.key"],
        &left_over,
    ] {
        let dir = dir_with(names);
        assert_eq!(
            BootState::of(dir.path()).unwrap(),
            BootState::Empty,
            "{names:?}"
        );
    }
    let absent = dir_with(&[]).path().join("absent");
    assert_eq!(BootState::of(&absent).unwrap(), BootState::Empty);
    assert!(!absent.exists());
}

/// A node that was killed before it joined leaves its socket.
#[test]
fn a_socket_is_no_data() {
    let dir = dir_with(&["lock", "node.key"]);
    let _left = std::os::unix::net::UnixListener::bind(dir.path().join("admin.sock")).unwrap();
    assert_eq!(BootState::of(dir.path()).unwrap(), BootState::Empty);
}

#[test]
fn each_stage_has_its_state() {
    let log = format!("{LOG_DIR}/");
    for (stage, state) in [
        (
            Stage::Founding,
            BootState::Founding(cluster(Stage::Founding)),
        ),
        (Stage::Joining, BootState::Joining(cluster(Stage::Joining))),
        (Stage::Member, BootState::Member(cluster(Stage::Member))),
    ] {
        let dir = dir_at(stage, &[&log]);
        assert_eq!(BootState::of(dir.path()).unwrap(), state);
        // Only a member, or a node with a used key, must have a log.
        let dir = dir_at(stage, &[]);
        let lost = BootState::DataLost(ClusterId([7; 32]).to_string());
        let unused = match stage {
            Stage::Member => lost.clone(),
            _ => state,
        };
        assert_eq!(BootState::of(dir.path()).unwrap(), unused);
        let data_dir = DataDir::open(dir.path()).unwrap();
        data_dir.mark_used(&ClusterId([7; 32]).to_string()).unwrap();
        assert_eq!(BootState::of(dir.path()).unwrap(), lost);
    }
}

/// The key is marked before the stage is written, and the process may end in between.
#[test]
fn a_used_key_belongs_to_a_member() {
    for stage in [Stage::Founding, Stage::Joining] {
        let dir = dir_at(stage, &[&format!("{LOG_DIR}/")]);
        let data_dir = DataDir::open(dir.path()).unwrap();
        data_dir.mark_used(&ClusterId([7; 32]).to_string()).unwrap();
        let member = BootState::Member(cluster(Stage::Member));
        assert_eq!(BootState::of(dir.path()).unwrap(), member);
    }
}

#[test]
fn a_used_key_without_data_is_lost_data() {
    let dir = dir_with(&[]);
    let data_dir = DataDir::open(dir.path()).unwrap();
    data_dir.identity().unwrap();
    data_dir.mark_used("6f6e").unwrap();
    let state = BootState::of(dir.path()).unwrap();
    assert_eq!(state, BootState::DataLost("6f6e".to_owned()));
    let error = state.cluster(dir.path(), true).unwrap_err().to_string();
    assert!(
        error.contains("6f6e") && error.contains("member replace"),
        "{error}"
    );
}

#[test]
fn missing_or_conflicting_files_are_damage() {
    for name in [&*format!("{LOG_DIR}/"), STORE_FILE, "notes.txt"] {
        let reason = damage(&dir_with(&["node.key", name]));
        assert!(reason.contains(name.trim_end_matches('/')), "{reason}");
    }
    let dir = dir_at(Stage::Member, &[&format!("{LOG_DIR}/")]);
    fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
    assert_eq!(damage(&dir), "it has data but no node.key");

    let dir = dir_at(Stage::Member, &[&format!("{LOG_DIR}/")]);
    let data_dir = DataDir::open(dir.path()).unwrap();
    data_dir.mark_used("6f6e").unwrap();
    let reason = damage(&dir);
    assert!(reason.contains("another cluster than its data"), "{reason}");

    for (text, part) in [
        ("quorate-cluster 9\n", "version 9"),
        ("\u{0}", "is not valid"),
    ] {
        let dir = dir_with(&["node.key"]);
        fs::write(dir.path().join(CLUSTER_FILE), text).unwrap();
        let reason = damage(&dir);
        assert!(reason.contains(part), "{reason}");
        let error = BootState::Damaged(reason)
            .cluster(dir.path(), true)
            .unwrap_err();
        assert!(!error.to_string().contains("delete"), "{error}");
    }
}

#[test]
fn an_empty_directory_needs_a_token() {
    let dir = Path::new("/var/lib/quorate");
    assert!(matches!(BootState::Empty.cluster(dir, true), Ok(None)));
    let error = BootState::Empty
        .cluster(dir, false)
        .unwrap_err()
        .to_string();
    for way in [
        "quorate init --found",
        "quorate serve --join",
        "mount",
        "/var/lib/quorate",
    ] {
        assert!(error.contains(way), "{way:?} is not in {error}");
    }
    let started = BootState::Preparing(cluster(Stage::Preparing)).cluster(dir, true);
    assert!(matches!(started, Err(StartError::Preparing(_))));
    let founder = BootState::Founding(cluster(Stage::Founding)).cluster(dir, false);
    assert_eq!(founder.unwrap(), Some(cluster(Stage::Founding)));
}
