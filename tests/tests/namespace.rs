//! A network of its own for a part of a test, with one cable to this one.

#![allow(clippy::print_stderr)]

use std::{fs::File, net::Ipv4Addr, os::fd::AsFd, path::PathBuf, process::Command, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::programs::{need, run};

/// A network namespace with a pair of virtual Ethernet devices.
pub(crate) struct Namespace {
    name: String,
    ip: PathBuf,
    /// The address at this end of the cable.
    pub(crate) here: Ipv4Addr,
    /// The address at the other end.
    pub(crate) there: Ipv4Addr,
}

impl Namespace {
    /// Prints SKIPPED and returns `None` where that is not permitted.
    pub(crate) fn new() -> Option<Self> {
        let id = std::process::id();
        // Link-local ones (RFC 3927), because a node of the DHT has at most eight others of one public address in its
        // table (BEP 42): many nodes at one would each know few others.
        let third = (1 + id % 254) as u8;
        let namespace = Self {
            name: format!("quorate-{id}"),
            ip: need("ip", "iproute2"),
            here: Ipv4Addr::new(169, 254, third, 1),
            there: Ipv4Addr::new(169, 254, third, 2),
        };
        let name = &namespace.name;
        let mut add = Command::new(&namespace.ip);
        let added = add.args(["netns", "add", name]).output();
        match added {
            Ok(added) if added.status.success() => {}
            added => {
                eprintln!("SKIPPED: no network can be made here: {added:?}");
                // There is nothing to remove.
                std::mem::forget(namespace);
                return None;
            }
        }
        let (cable, end) = (namespace.cable(), format!("q{id}b"));
        let (here, there) = (namespace.here, namespace.there);
        for line in [
            format!("link add {cable} type veth peer name {end} netns {name}"),
            format!("address add {here}/30 dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {name} address add {there}/30 dev {end}"),
            format!("-n {name} link set {end} up"),
            format!("-n {name} link set lo up"),
        ] {
            run(Command::new(&namespace.ip).args(line.split(' ')));
        }
        Some(namespace)
    }

    /// Runs a function in a thread of this network. The threads that it starts stay there.
    pub(crate) fn within<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(format!("/var/run/netns/{}", self.name)).expect("it was added");
        let thread = thread::spawn(move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(file.as_fd(), network).expect("who adds one may enter it");
            body()
        });
        thread.join().expect("it does not panic")
    }

    /// Pulls the cable (`down`), or puts it back (`up`).
    pub(crate) fn set_cable(&self, state: &str) {
        run(Command::new(&self.ip).args(["link", "set", &self.cable(), state]));
    }

    fn cable(&self) -> String {
        format!("q{}a", std::process::id())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new(&self.ip)
            .args(["netns", "delete", &self.name])
            .status();
        let _ = Command::new(&self.ip)
            .args(["link", "delete", &self.cable()])
            .status();
    }
}
