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

/// The Python of a server from PyPI.
pub(crate) fn python_of(server: &str) -> PathBuf {
    let target = env::var("CARGO_TARGET_DIR").map(PathBuf::from);
    let tools = match target {
        Ok(target) => target.join("tools"),
        Err(_) => UNPACKED.into(),
    };
    let python = tools.join(server).join("bin/python");
    assert!(python.exists(), "{}: run tests/tools", python.display());
    python
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

/// The environment of a process whose wall clock is off by what a file says, such as `+8d`, from a second after
/// that is written.
pub(crate) fn clock_from(file: &Path) -> Vec<(String, String)> {
    let mut variables = clock_off_by("");
    variables.retain(|(name, _)| name != "FAKETIME");
    let file = file.to_str().expect("it is a text").to_owned();
    variables.push(("FAKETIME_TIMESTAMP_FILE".to_owned(), file));
    variables.push(("FAKETIME_CACHE_DURATION".to_owned(), "1".to_owned()));
    variables
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
