//! CPU time, as Linux reports it (proc(5)).

use std::time::{Duration, Instant};

use anyhow::Context;
use procfs::{
    CurrentSI, KernelStats, ProcResult,
    process::{Process, all_processes},
};

/// CPU time up to an instant.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    at: Instant,
    servers: Vec<Duration>,
    own: Duration,
    machine: Duration,
}

/// CPU time between two instants.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// Of each server, user and system.
    pub(crate) servers: Vec<Duration>,
    pub(crate) own: Duration,
    /// Of everything else on the machine, in cores: 1.0 is one core all the time.
    pub(crate) others_cores: f64,
}

impl Usage {
    /// CPU time until now, of the servers with these process ids too.
    pub(crate) fn now(server_ids: &[u32]) -> anyhow::Result<Self> {
        let servers = server_ids.iter().map(|&id| process_time(id));
        Ok(Self {
            at: Instant::now(),
            servers: servers.collect::<anyhow::Result<_>>()?,
            own: process_time(std::process::id())?,
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
    Some(process(id).ok()?.status().ok()?.vmrss? * 1024)
}

/// The processes of the group that this one leads.
pub(crate) fn group(leader_id: u32) -> Vec<u32> {
    let leader_id = leader_id.cast_signed();
    let processes = all_processes().into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| process.stat().ok());
    let members = stats.filter(|stat| stat.pgrp == leader_id);
    members.map(|stat| stat.pid.cast_unsigned()).collect()
}

fn process(id: u32) -> ProcResult<Process> {
    Process::new(id.cast_signed())
}

/// In user and system mode, of all threads.
fn process_time(id: u32) -> anyhow::Result<Duration> {
    let stat = process(id).and_then(|process| process.stat());
    let stat = stat.with_context(|| format!("the CPU time of process {id} cannot be read"))?;
    Ok(duration(stat.utime + stat.stime))
}

/// All time except waiting for work or a disk. The time of guests is part of `user`.
fn machine_time() -> ProcResult<Duration> {
    let time = KernelStats::current()?.total;
    let where_known = [time.irq, time.softirq, time.steal];
    let where_known: u64 = where_known.into_iter().flatten().sum();
    Ok(duration(time.user + time.nice + time.system + where_known))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cpu_time_is_measured() {
        let id = std::process::id();
        let before = Usage::now(&[id]).unwrap();
        let started = Instant::now();
        let mut sum = 0_u64;
        while started.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 1);
        }
        let used = Usage::now(&[id]).unwrap().since(&before);
        assert!(used.own > Duration::ZERO);
        assert_eq!(used.servers.len(), 1);
        assert!(used.servers[0] > Duration::ZERO);
        assert!(resident_size(id).unwrap() > 0);
    }
}
