use std::{fs, path::PathBuf};

use super::*;
use crate::start::data_dir::KEY_FILE;

/// A machine, and the token file that it shares with others.
struct Machine {
    config: ConfigV1,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ConfigV1 {
            data_dir: dir.path().join("data"),
            ..ConfigV1::default()
        };
        config.peer.advertise = "node1.example.org:7700".to_owned();
        Self {
            config,
            file: dir.path().join("token"),
            _dir: dir,
        }
    }

    /// Another machine with the same token file.
    fn other(&self) -> Self {
        Self {
            file: self.file.clone(),
            ..Self::new()
        }
    }

    fn found(&self) -> anyhow::Result<bool> {
        found(&self.config, Some(&self.file), 3)
    }

    /// Runs only the next step, as if the process was then killed.
    fn step(&self) -> anyhow::Result<bool> {
        let data_dir = DataDir::open(&self.config.data_dir)?;
        let step = Step::next(&self.config.data_dir, Some(&self.file))?;
        step.run(&data_dir, &self.config, 3)
    }

    fn state(&self) -> BootState {
        BootState::of(&self.config.data_dir).unwrap()
    }

    fn cluster(&self) -> ClusterFile {
        match self.state() {
            BootState::Preparing(cluster) | BootState::Founding(cluster) => cluster,
            other => panic!("{other:?}"),
        }
    }

    fn shared(&self) -> Option<JoinToken> {
        token_file::read(&self.file).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.config.data_dir).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn rejected(&self) -> StartError {
        let error = self.found().unwrap_err();
        error.downcast().unwrap()
    }

    /// Checks that the directory is prepared to found this cluster and that its token is shared.
    #[track_caller]
    fn check_founding(&self, id: ClusterId) {
        let cluster = self.cluster();
        assert_eq!(self.state(), BootState::Founding(cluster.clone()));
        assert_eq!((cluster.id, cluster.voters), (id, 3));
        let (token, expires) = cluster.token.unwrap();
        assert_eq!(self.shared(), Some(token.clone()));
        let members: Vec<_> = cluster.known.members.into_iter().collect();
        assert_eq!((token.cluster, token.members), (id, members));
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        assert!(u128::from(expires.0) > now, "the token has expired");
        let left = fs::read_dir(self.file.parent().unwrap()).unwrap().count();
        assert!(left <= 2, "a temporary file is left");
    }
}

#[test]
fn founding_is_prepared_once() {
    let machine = Machine::new();
    assert!(machine.found().unwrap());
    let cluster = machine.cluster();
    machine.check_founding(cluster.id);
    let mode = fs::metadata(&machine.file).unwrap().permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
    assert_eq!(mode & 0o777, 0o600);

    // Repeated with the file, without it, and on another machine.
    assert!(!machine.found().unwrap());
    assert!(!found(&machine.config, None, 1).unwrap());
    fs::remove_file(&machine.file).unwrap();
    assert!(!machine.found().unwrap());
    assert_eq!(machine.shared(), None);
    machine.other().found().unwrap();
    assert!(!machine.found().unwrap());
    assert_eq!(machine.cluster(), cluster);
}

#[test]
fn without_a_file_there_is_no_token() {
    let machine = Machine::new();
    assert!(found(&machine.config, None, 1).unwrap());
    assert_eq!(machine.cluster().token, None);
    assert_eq!(machine.state(), BootState::Founding(machine.cluster()));
}

#[test]
fn the_same_command_continues_after_any_step() {
    for steps in 1..=3 {
        let machine = Machine::new();
        for _ in 0..steps {
            assert!(machine.step().unwrap());
        }
        let id = machine.cluster().id;
        assert_eq!(machine.found().unwrap(), steps < 3);
        machine.check_founding(id);
    }
}

/// The process was killed during a step.
#[test]
fn leftovers_of_an_interrupted_step_are_used_or_replaced() {
    // There is a key but no complete cluster file.
    let machine = Machine::new();
    let (data_dir, path) = (&machine.config.data_dir, &machine.file);
    let (identity, _) = DataDir::open(data_dir).unwrap().identity().unwrap();
    fs::write(data_dir.join("cluster.new"), "quorate-clu").unwrap();
    assert!(machine.step().unwrap());
    let cluster = machine.cluster();
    assert!(
        cluster
            .known
            .members
            .contains_key(&NodeId(identity.public_key()))
    );

    // The temporary token file is incomplete.
    let new = path.with_added_extension(format!("{}.new", cluster.id));
    fs::write(&new, "quorate-join-1.AA").unwrap();
    assert!(machine.found().unwrap());
    assert!(!new.exists());
    machine.check_founding(cluster.id);
}

#[test]
fn the_first_of_two_founders_to_share_its_token_wins() {
    // The other machine wins before this one checks the file, or between the check and the hard link.
    for has_checked in [false, true] {
        let one = Machine::new();
        let other = one.other();
        one.step().unwrap();
        let step = Step::next(&one.config.data_dir, Some(&one.file)).unwrap();
        assert!(other.found().unwrap());
        if has_checked {
            let data_dir = DataDir::open(&one.config.data_dir).unwrap();
            assert!(step.run(&data_dir, &one.config, 3).unwrap());
        }
        let error = one.rejected();
        assert!(matches!(error, StartError::OtherFounder(_)), "{error}");
        assert!(error.to_string().contains("--join-file"), "{error}");
        assert_eq!(one.names(), ["lock"], "all prepared files are removed");
        other.check_founding(other.cluster().id);
        assert!(matches!(one.rejected(), StartError::Founded { .. }));
    }
}

#[test]
fn an_existing_key_survives_a_lost_race() {
    let one = Machine::new();
    DataDir::open(&one.config.data_dir)
        .unwrap()
        .identity()
        .unwrap();
    one.step().unwrap();
    one.other().found().unwrap();
    assert!(matches!(one.rejected(), StartError::OtherFounder(_)));
    assert_eq!(one.names(), ["lock", KEY_FILE]);
}

#[test]
fn a_file_without_data_is_a_lost_volume_or_a_new_node() {
    let machine = Machine::new();
    machine.found().unwrap();
    fs::remove_dir_all(&machine.config.data_dir).unwrap();
    let error = machine.rejected();
    assert!(matches!(error, StartError::Founded { .. }));
    for way in ["mount", "--join-file"] {
        assert!(error.to_string().contains(way), "{error}");
    }
    assert!(!machine.config.data_dir.exists(), "nothing is written");

    // The directory of a new file system counts as empty.
    fs::create_dir_all(machine.config.data_dir.join("lost+found")).unwrap();
    assert!(matches!(machine.rejected(), StartError::Founded { .. }));
    fs::remove_file(&machine.file).unwrap();
    assert!(machine.found().unwrap());
}

/// A token does not contain its expiry, so an expired one is treated like any other.
#[test]
fn an_expired_token_marks_the_founding_too() {
    let machine = Machine::new();
    machine.step().unwrap();
    machine.step().unwrap();
    let mut cluster = machine.cluster();
    cluster.token.as_mut().unwrap().1 = UnixMillis(0);
    DataDir::open(&machine.config.data_dir)
        .unwrap()
        .set_cluster(&cluster)
        .unwrap();
    assert!(machine.found().unwrap());
    assert!(!machine.found().unwrap());
    assert!(matches!(
        machine.other().rejected(),
        StartError::Founded { .. }
    ));
}

#[test]
fn the_same_command_continues_an_interrupted_change() {
    let machine = Machine::new();
    machine.step().unwrap();
    let error = found(&machine.config, None, 3).unwrap_err();
    assert!(matches!(
        error.downcast().unwrap(),
        StartError::Preparing(_)
    ));
    fs::write(&machine.file, "something else").unwrap();
    let error = format!("{:#}", machine.found().unwrap_err());
    assert!(
        error.contains("token") && error.contains("cannot be used"),
        "{error}"
    );
}

#[test]
fn a_used_key_cannot_found_a_cluster() {
    let machine = Machine::new();
    let data_dir = DataDir::open(&machine.config.data_dir).unwrap();
    data_dir.identity().unwrap();
    data_dir.mark_used("6f6e").unwrap();
    drop(data_dir);
    for once in [None, Some(&*machine.file)] {
        let error = found(&machine.config, once, 1).unwrap_err();
        assert!(matches!(
            error.downcast().unwrap(),
            StartError::DataLost { .. }
        ));
    }
}

#[test]
fn a_token_needs_an_address_that_others_can_reach() {
    let mut machine = Machine::new();
    machine.config.peer.advertise.clear();
    machine.config.peer.listen = vec![([127, 0, 0, 1], 0).into()].into();
    let error = format!("{:#}", machine.found().unwrap_err());
    assert!(error.contains("peer.advertise"), "{error}");
    assert_eq!(machine.state(), BootState::Empty);
}
