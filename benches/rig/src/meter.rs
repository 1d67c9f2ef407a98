//! What a gateway costs: processor time, and memory.
//!
//! Processor time comes from a control group of the gateway's own (cgroup v2), which counts every process that was ever
//! in it; without cgroup v2 from `/proc`, in clock ticks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::claim;
use crate::process::{self, Stat};

/// A control group for one gateway; dropping it removes it.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

/// Reads what one running gateway has used.
#[derive(Debug)]
pub struct Meter<'a> {
    /// Its control group.
    pub cgroup: Option<&'a Cgroup>,
    /// Its first process.
    pub root: u32,
}

/// Memory of all the gateway's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Proportional set size in KiB.
    pub pss: f64,
    /// What the kernel holds for them in KiB (sockets, page tables, stacks), where a control group tells.
    pub kernel: Option<f64>,
}

impl Cgroup {
    /// Makes the group, if cgroup v2 is mounted and we may.
    pub fn create() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (at, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then_some(at)
        })?;
        for left in claim::left_behind(Path::new(mount), "gateway") {
            dissolve(&left);
        }
        let directory = Path::new(mount).join(claim::name("gateway"));
        std::fs::create_dir(&directory).ok()?;
        let group = Self(directory);
        group.cpu()?;
        Some(group)
    }

    /// Returns the group's directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    fn cpu(&self) -> Option<Duration> {
        Some(Duration::from_micros(field(
            &self.0.join("cpu.stat"),
            "usage_usec",
        )?))
    }

    fn kernel_memory(&self) -> Option<f64> {
        let stat = self.0.join("memory.stat");
        // `kernel` counts page tables, stacks and slabs, `sock` the buffers of sockets.
        Some((field(&stat, "kernel")? + field(&stat, "sock")?) as f64 / 1024.0)
    }

    fn processes(&self) -> Option<Vec<u32>> {
        let text = std::fs::read_to_string(self.0.join("cgroup.procs")).ok()?;
        Some(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        dissolve(&self.0);
    }
}

/// Ends whatever is in a group, and removes it.
fn dissolve(group: &Path) {
    for _ in 0..200 {
        std::fs::write(group.join("cgroup.kill"), "1").ok();
        if std::fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        // What was killed takes a moment to be gone.
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("bench: control group {} stays", group.display());
}

impl Meter<'_> {
    /// Returns the processor time used so far, user and system.
    pub fn cpu(&self) -> Duration {
        self.cgroup.and_then(Cgroup::cpu).unwrap_or_else(|| {
            let ticks = process::family(self.root)
                .into_iter()
                .filter_map(Stat::read)
                .map(|stat| stat.ticks)
                .sum();
            from_ticks(ticks)
        })
    }

    /// Returns the memory in use.
    pub fn memory(&self) -> Memory {
        let processes = self
            .cgroup
            .and_then(Cgroup::processes)
            .unwrap_or_else(|| process::family(self.root));
        let pss = processes
            .iter()
            .filter_map(|id| field(Path::new(&format!("/proc/{id}/smaps_rollup")), "Pss:"))
            .sum::<u64>() as f64;
        Memory {
            pss,
            kernel: self.cgroup.and_then(Cgroup::kernel_memory),
        }
    }
}

/// Returns the time that the machine's processors have worked since its start, for anybody.
pub fn machine_busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq (proc(5)); stolen time is nobody's work here.
    from_ticks([0, 1, 2, 5, 6].iter().filter_map(|&i| fields.get(i)).sum())
}

/// Returns how many packets the kernel has dropped since its start because too many waited for a processor.
pub fn dropped_packets() -> u64 {
    let text = std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    // One line per processor, hexadecimal; the second column counts drops.
    let drops = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    drops
        .filter_map(|count| u64::from_str_radix(count, 16).ok())
        .sum()
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Reads the number behind a name that begins a line.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_measured_without_a_control_group() {
        let meter = Meter {
            cgroup: None,
            root: std::process::id(),
        };
        let (own, machine) = (meter.cpu(), machine_busy());
        let mut sum = 0_u64;
        while meter.cpu() < own + Duration::from_millis(50) {
            sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(machine_busy() > machine);
        assert!(meter.memory().pss > 100.0);
    }
}
