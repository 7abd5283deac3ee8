//! CPU time, as Linux tells it (proc(5)).

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context;

/// The unit of times in /proc: USER_HZ, 100 a second on every architecture Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time until a moment.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    at: Instant,
    servers: Vec<Duration>,
    own: Duration,
    machine: Duration,
}

/// CPU time between two moments.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// Of each server, user and system.
    pub(crate) servers: Vec<Duration>,
    /// Of this process.
    pub(crate) own: Duration,
    /// Of everything else on the machine, in cores: 1.0 is one core all the time.
    pub(crate) others_cores: f64,
}

impl Usage {
    /// Until now, with the servers that are these processes.
    pub(crate) fn now(server_ids: &[u32]) -> anyhow::Result<Self> {
        let server_time = |id: &u32| {
            process_time(&id.to_string())
                .with_context(|| format!("the CPU time of process {id} cannot be read"))
        };
        Ok(Self {
            at: Instant::now(),
            servers: server_ids
                .iter()
                .map(server_time)
                .collect::<anyhow::Result<_>>()?,
            own: process_time("self").context("our own CPU time cannot be read")?,
            machine: machine_time().context("the CPU time of the machine cannot be read")?,
        })
    }

    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Used {
        let servers: Vec<Duration> = (self.servers.iter().zip(&earlier.servers))
            .map(|(now, earlier)| now.saturating_sub(*earlier))
            .collect();
        let own = self.own.saturating_sub(earlier.own);
        let machine = self.machine.saturating_sub(earlier.machine);
        let others = machine.saturating_sub(servers.iter().sum::<Duration>() + own);
        Used {
            servers,
            own,
            others_cores: others.as_secs_f64() / (self.at - earlier.at).as_secs_f64(),
        }
    }
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_size(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn process_time(id: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    parse_process_stat(&stat).context("/proc/<pid>/stat has an unknown form")
}

fn machine_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    parse_machine_stat(&stat).context("/proc/stat has an unknown form")
}

/// `utime` and `stime`, the 14th and 15th field. The second, the name in parentheses, may hold
/// spaces and parentheses itself.
fn parse_process_stat(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let utime: u32 = fields.next()?.parse().ok()?;
    let stime: u32 = fields.next()?.parse().ok()?;
    Some(TICK * utime.checked_add(stime)?)
}

/// All of the first line but `idle` and `iowait`; `guest` and what follows are part of `user`.
fn parse_machine_stat(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let mut busy_ticks = 0_u64;
    for (at, field) in fields.split_ascii_whitespace().take(8).enumerate() {
        let ticks: u64 = field.parse().ok()?;
        if !matches!(at, 3 | 4) {
            busy_ticks = busy_ticks.checked_add(ticks)?;
        }
    }
    let tick_ms = u64::try_from(TICK.as_millis()).ok()?;
    Some(Duration::from_millis(busy_ticks.checked_mul(tick_ms)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 91 0 0 0 250 50 3 4 20 0 9 0 12 1 2";
        assert_eq!(parse_process_stat(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn waiting_is_not_work() {
        let stat = "cpu  100 200 300 9999 8888 1 2 3 77 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(parse_machine_stat(stat), Some(Duration::from_millis(6060)));
    }

    #[test]
    fn what_is_cut_short_is_no_figure() {
        for stat in [
            "",
            "7 (a",
            "7 (a) S 1 2",
            "7 (a) S 1 7 7 0 -1 4 9 0 0 0 x 5",
        ] {
            assert_eq!(parse_process_stat(stat), None, "{stat:?}");
        }
        for stat in ["", "cpu0 1 2", "cpu  1 x"] {
            assert_eq!(parse_machine_stat(stat), None, "{stat:?}");
        }
    }

    #[test]
    fn our_own_work_is_seen() {
        let id = std::process::id();
        let before = Usage::now(&[id]).unwrap();
        let begun = Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 1);
        }
        let used = Usage::now(&[id]).unwrap().since(&before);
        assert!(used.own > Duration::ZERO);
        assert_eq!(used.servers.len(), 1);
        assert!(used.servers[0] > Duration::ZERO);
        assert!(resident_size(id).unwrap() > 0);
    }
}
