//! What the machine is, so that figures can be judged.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// How much is written before each flush, in bytes.
const BLOCK_SIZE: usize = 4096;

/// How many flushes are timed, of each kind.
const FLUSH_COUNT: u32 = 200;

/// Prints what the machine is, and how fast the disk under `dir` flushes.
pub(crate) fn print_facts(dir: &Path) -> anyhow::Result<()> {
    let cores = thread::available_parallelism().map_or(0, |count| count.get());
    println!(
        "machine    {cores} cores, {}",
        cpu_model().as_deref().unwrap_or("unknown CPU")
    );
    println!("kernel     {}", one_line("/proc/sys/kernel/osrelease"));
    println!("load       {} (before)", one_line("/proc/loadavg"));
    let probe = probe(dir).with_context(|| format!("{} cannot be probed", dir.display()))?;
    println!(
        "disk       {}; 4 KiB and fdatasync, p50: {:.0} µs appending, {:.0} µs overwriting",
        filesystem(dir).as_deref().unwrap_or("unknown file system"),
        probe.append.as_secs_f64() * 1e6,
        probe.overwrite.as_secs_f64() * 1e6,
    );
    Ok(())
}

fn one_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|_| "unknown".to_owned());
    text.trim_end().to_owned()
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that `dir` is on.
fn filesystem(dir: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    parse_mounts(&mounts, &dir.canonicalize().ok()?).map(str::to_owned)
}

/// The type of the last mount among those with the longest path above `dir`.
fn parse_mounts<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (path, kind) = (Path::new(fields.next()?), fields.next()?);
            dir.starts_with(path)
                .then(|| (path.components().count(), kind))
        })
        .max_by_key(|&(depth, _)| depth)
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
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n";
        for (dir, kind) in [("/srv", "ext4"), ("/tmp/y", "tmpfs"), ("/tmp/x/y", "xfs")] {
            assert_eq!(parse_mounts(mounts, Path::new(dir)), Some(kind), "{dir}");
        }
        assert_eq!(parse_mounts("", Path::new("/")), None);
    }

    #[test]
    fn a_flush_takes_time_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let probe = probe(dir.path()).unwrap();
        assert!(probe.append > Duration::ZERO && probe.overwrite > Duration::ZERO);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
