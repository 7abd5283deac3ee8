//! Nodes that must not start or continue, and report why.

// A test that cannot run here prints SKIPPED.
#![allow(clippy::print_stderr)]

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
};

use quorate_tests::{Cluster, Node, voters};

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_rejected() {
    let cluster = Cluster::start(voters(1)).await;
    let other = Cluster::prepare(&voters(1));
    let (holder, node) = (cluster.node(1), other.node(1));
    let dir = |path: PathBuf| format!("{path:?}");
    let config = node
        .config()
        .replace(&dir(node.data_dir()), &dir(holder.data_dir()));
    node.configure(&config);
    let output = node.expect_start_fails().await;
    assert!(output.contains("in use"), "{output}");
    holder.expect_unharmed(holder.process_id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let cluster = Cluster::prepare(&voters(1));
    let node = cluster.node(1);
    let addresses = node.addresses();
    for address in [
        addresses.http,
        addresses.peer,
        addresses.admin,
        addresses.dns,
    ] {
        let _taken = TcpListener::bind(address).expect("the port is ours");
        let output = node.expect_start_fails().await;
        expect_error_names(&output, &address.to_string());
    }
    let _taken = UdpSocket::bind(addresses.dns).expect("the port is ours");
    let output = node.expect_start_fails().await;
    expect_error_names(&output, &addresses.dns.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_named() {
    let cluster = Cluster::prepare(&voters(1));
    let node = cluster.node(1);
    let config = node.config();
    for (good, bad, named) in [
        ("deadline_ms = 10000", "deadline_ms = 0", "put.deadline_ms"),
        ("deadline_ms = 10000", "deadlin_ms = 10000", "deadlin_ms"),
        ("enabled = false", "enabled = \"no\"", "limit.enabled"),
        ("version = 1", "version = 2", "version"),
        (
            "node_name =",
            "nodes = []\nnode_name =",
            "quorate init --found",
        ),
        (
            "node_name =",
            "name = \"a\"\nnode_name =",
            "quorate init --found",
        ),
    ] {
        assert!(config.contains(good));
        node.configure(&config.replace(good, bad));
        let output = node.expect_start_fails().await;
        expect_error_names(&output, named);
        expect_error_names(&output, "config.toml");
    }
}

/// A full disk: the node reports it and stops, and starts when there is space.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_start_is_named() {
    let cluster = Cluster::prepare(&voters(1));
    let node = cluster.node(1);
    let Some(disk) = SmallDisk::under(&node, "256k") else {
        return;
    };
    disk.fill();
    let output = node.expect_start_fails().await;
    expect_error_names(&output, "No space left on device");
    expect_error_names(&output, node.data_dir().to_str().expect("a name of ours"));

    disk.make_room();
    node.start();
    node.wait_ready().await;
}

/// Expects that the last line of the program, its reason for ending, names `what`.
#[track_caller]
fn expect_error_names(output: &str, what: &str) {
    let (_, error) = output
        .rsplit_once("quorate: ")
        .unwrap_or_else(|| panic!("no error: {output}"));
    assert!(error.contains(what), "{what} is not named: {error}");
}

/// A small file system under the data directory of a node, gone when this is dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Moves the prepared data of the node onto a disk of this size. Prints SKIPPED and returns `None` where
    /// none can be mounted.
    fn under(node: &Node, size: &str) -> Option<Self> {
        let path = node.data_dir();
        let moved = ["node.key", "cluster"].map(|name| path.join(name));
        let held = moved
            .clone()
            .map(|file| fs::read(file).expect("it was prepared"));
        let disk = match Self::mount(&path, size) {
            Ok(disk) => disk,
            Err(reason) => {
                eprintln!("SKIPPED: a small disk cannot be mounted here (it needs root): {reason}");
                return None;
            }
        };
        for (file, held) in moved.iter().zip(held) {
            fs::write(file, held).expect("the directory is writable");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(file, mode).expect("it is our file");
        }
        Some(disk)
    }

    fn mount(path: &Path, size: &str) -> Result<Self, String> {
        let mount = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size}"),
                "quorate-tests",
            ])
            .arg(path)
            .output()
            .map_err(|error| error.to_string())?;
        match mount.status.success() {
            true => Ok(Self {
                path: path.to_owned(),
            }),
            false => Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()),
        }
    }

    /// Fills the disk completely.
    fn fill(&self) {
        let mut filling = fs::File::create(self.filling()).expect("the directory is writable");
        let full = loop {
            if let Err(error) = std::io::Write::write_all(&mut filling, &[0; 512]) {
                break error;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives the disk the space that a node needs: a quarter more than `store.free_size_min`.
    fn make_room(&self) {
        fs::remove_file(self.filling()).expect("it was made");
        let remount = Command::new("mount")
            .args(["-o", "remount,size=512m"])
            .arg(&self.path)
            .status();
        assert!(remount.is_ok_and(|status| status.success()), "it is ours");
    }

    fn filling(&self) -> PathBuf {
        self.path.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path.display());
        }
    }
}
