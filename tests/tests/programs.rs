//! Programs of others that the tests use.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Where `tests/tools` puts what it does not install.
const UNPACKED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../tools");

/// The path of a program. Fails, and says what to install, when it is missing.
#[track_caller]
pub(crate) fn need(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([Path::new(UNPACKED).to_owned()])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("this test needs `{program}`: run tests/tools, or install the Debian package {package}")
        })
}

/// What a program says, which must not fail.
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
