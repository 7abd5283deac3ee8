//! Facts about the machine, which a reader needs to judge the results.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use procfs::{CpuInfo, Current, LoadAverage, process::Process};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much is written before each flush, in bytes.
const BLOCK_SIZE: usize = 4096;

/// How many flushes are timed, of each kind.
const FLUSH_COUNT: u64 = 200;

/// Prints what the machine is, and how fast the disk under `dir` flushes.
pub(crate) fn print_facts(dir: &Path) -> anyhow::Result<()> {
    let cores = thread::available_parallelism().map_or(0, |count| count.get());
    let cpu = CpuInfo::current().ok();
    println!(
        "machine    {cores} cores, {}",
        or_unknown(cpu.as_ref().and_then(|cpu| cpu.model_name(0)))
    );
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    println!("kernel     {}", or_unknown(kernel.as_deref()).trim_end());
    let load = LoadAverage::current().ok();
    let load = load.map(|load| format!("{} {} {}", load.one, load.five, load.fifteen));
    println!("load       {} (before)", or_unknown(load.as_deref()));
    let flushes = flushes(dir).with_context(|| format!("{} cannot be probed", dir.display()))?;
    let [append, overwrite] = flushes.map(|time| time.as_secs_f64() * 1e6);
    println!(
        "disk       {}; 4 KiB and fdatasync, p50: {append:.0} µs appending, {overwrite:.0} µs \
         overwriting",
        or_unknown(filesystem(dir).as_deref()),
    );
    Ok(())
}

/// Lets this process open as many files as the system allows it: thousands of endpoints have a few
/// each.
pub(crate) fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("the limit of open files cannot be raised")
}

fn or_unknown(fact: Option<&str>) -> &str {
    fact.unwrap_or("unknown")
}

/// The type of the file system that `dir` is on.
fn filesystem(dir: &Path) -> Option<String> {
    let mounts = Process::myself().ok()?.mountinfo().ok()?;
    let mounts = (mounts.into_iter()).map(|mount| (mount.mount_point, mount.fs_type));
    innermost(mounts, &dir.canonicalize().ok()?)
}

/// The type of the last mount among those with the longest path above `dir`.
fn innermost(mounts: impl Iterator<Item = (PathBuf, String)>, dir: &Path) -> Option<String> {
    mounts
        .filter(|(path, _)| dir.starts_with(path))
        .max_by_key(|(path, _)| path.components().count())
        .map(|(_, kind)| kind)
}

/// Median times of flushes, first to a file that grows, then to the same one that has its size.
fn flushes(dir: &Path) -> io::Result<[Duration; 2]> {
    let path = dir.join("fdatasync.probe");
    let file = File::create(&path)?;
    let medians = [median(&file)?, median(&file)?];
    fs::remove_file(path)?;
    Ok(medians)
}

/// The median time of writing a block and flushing it, from the file's start on.
fn median(file: &File) -> io::Result<Duration> {
    let mut times = Vec::new();
    for number in 0..FLUSH_COUNT {
        let started = Instant::now();
        file.write_all_at(&[0x5a; BLOCK_SIZE], number * BLOCK_SIZE as u64)?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_is_told() {
        let mounts = [("/", "ext4"), ("/tmp", "tmpfs"), ("/tmp/x", "xfs")];
        let mounts = mounts.map(|(path, kind)| (PathBuf::from(path), kind.to_owned()));
        for (dir, kind) in [("/srv", "ext4"), ("/tmp/y", "tmpfs"), ("/tmp/x/y", "xfs")] {
            let found = innermost(mounts.clone().into_iter(), Path::new(dir));
            assert_eq!(found.as_deref(), Some(kind), "{dir}");
        }
        assert_eq!(innermost([].into_iter(), Path::new("/")), None);
    }

    #[test]
    fn a_flush_takes_time_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [append, overwrite] = flushes(dir.path()).unwrap();
        assert!(append > Duration::ZERO && overwrite > Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
