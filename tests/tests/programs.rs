//! Other programs that the tests use.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Where `tests/tools` puts what it does not install.
const UNPACKED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../tools");

/// The path of a program. Panics with the package to install if it is missing.
#[track_caller]
pub(crate) fn need(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        // Servers are in /usr/sbin.
        .chain(["/usr/sbin", UNPACKED].map(|dir| Path::new(dir).to_owned()))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("this test needs `{program}`: run tests/tools, or install the Debian package {package}")
        })
}

/// The output of a program, which must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {errors}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The environment of a process whose wall clock is off, such as by `+8d`. Its monotonic clock stays
/// right.
pub(crate) fn clock_off_by(offset: &str) -> Vec<(String, String)> {
    let faketime = need("faketime", "faketime");
    // As a parent process it would receive the signals instead of the node.
    let library = run(Command::new(faketime).args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]));
    let variables = [
        ("LD_PRELOAD", library.trim_end()),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        // Its name before 0.9.10.
        ("DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    variables.map(own).to_vec()
}
