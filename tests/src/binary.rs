//! Finds the program that the tests run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The variable that names the program; without it, the one that Cargo builds next to the tests.
const PROGRAM_VARIABLE: &str = "QUORATE_BIN";

/// The path of `quorate`. Builds it once if it is missing or older than its sources, because Cargo
/// builds the programs of other packages only on request.
pub fn quorate() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match env::var_os(PROGRAM_VARIABLE) {
        Some(named) => {
            let named = PathBuf::from(named);
            assert!(
                named.is_file(),
                "{PROGRAM_VARIABLE}: {} is not a file",
                named.display()
            );
            named
        }
        None => beside_the_tests(),
    })
}

/// A command that runs the program under test, without the `QUORATE_…` variables of the environment.
pub fn command() -> Command {
    command_of(quorate())
}

/// A command that runs `program` without the `QUORATE_…` variables of the environment.
pub(crate) fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// `target/<profile>/quorate`, as the test is `target/<profile>/deps/<name>`.
fn beside_the_tests() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let profile_dir = test
        .ancestors()
        .nth(2)
        .expect("tests are in target/<profile>/deps");
    let program = profile_dir.join(format!("quorate{}", env::consts::EXE_SUFFIX));
    if !is_fresh(&program) {
        build(profile_dir);
    }
    assert!(program.is_file(), "cargo built no {}", program.display());
    program
}

/// Whether the program exists and is newer than all of its sources, according to Cargo's dep-info file.
fn is_fresh(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let Some(built) = modified(program) else {
        return false;
    };
    let Ok(sources) = fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    let (_, sources) = sources.split_once(": ").unwrap_or_default();
    let mut sources = sources.split_whitespace().peekable();
    sources.peek().is_some()
        && sources.all(|source| modified(Path::new(source)).is_some_and(|at| at <= built))
}

fn build(profile_dir: &Path) {
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            // As `make test` does, so that no dependency is built again with other features.
            "--workspace",
            "--lib",
            "--bins",
            "--examples",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(
            profile_dir
                .parent()
                .expect("a profile's directory is in the target directory"),
        )
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs: it runs these tests");
    assert!(status.success(), "cargo could not build quorate: {status}");
}
