//! What the machine is, so that figures can be judged.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use procfs::{CpuInfo, Current, LoadAverage, process::Process};

/// How much is written before each flush, in bytes.
const BLOCK_SIZE: usize = 4096;

/// How many flushes are timed, of each kind.
const FLUSH_COUNT: u32 = 200;

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
    let probe = probe(dir).with_context(|| format!("{} cannot be probed", dir.display()))?;
    println!(
        "disk       {}; 4 KiB and fdatasync, p50: {:.0} µs appending, {:.0} µs overwriting",
        or_unknown(filesystem(dir).as_deref()),
        probe.append.as_secs_f64() * 1e6,
        probe.overwrite.as_secs_f64() * 1e6,
    );
    Ok(())
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

/// Median times.
struct Probe {
    /// To a file that grows.
    append: Duration,
    /// To a file that has its size.
    overwrite: Duration,
}

fn probe(dir: &Path) -> io::Result<Probe> {
    let path = dir.join("fdatasync.probe");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    let block = [0x5a; BLOCK_SIZE];
    let probe = Probe {
        append: median(&file, |mut file, _| file.write_all(&block))?,
        overwrite: {
            file.flush()?;
            median(&file, |file, number| {
                file.write_all_at(&block, u64::from(number) * BLOCK_SIZE as u64)
            })?
        },
    };
    fs::remove_file(path)?;
    Ok(probe)
}

fn median(file: &File, write: impl Fn(&File, u32) -> io::Result<()>) -> io::Result<Duration> {
    let mut times = Vec::new();
    for number in 0..FLUSH_COUNT {
        let begun = Instant::now();
        write(file, number)?;
        file.sync_data()?;
        times.push(begun.elapsed());
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
        let probe = probe(dir.path()).unwrap();
        assert!(probe.append > Duration::ZERO && probe.overwrite > Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
