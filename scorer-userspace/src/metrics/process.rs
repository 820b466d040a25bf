//! This process, as the kernel counts it (proc(5)), under the names that Prometheus
//! clients share.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// What a scrape tells of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    /// User and system time of all threads.
    pub(super) cpu_seconds: f64,
    /// Resident set, bytes.
    pub(super) resident_bytes: u64,
    /// Open file descriptors.
    pub(super) open_fds: usize,
    /// Start, seconds since 1970.
    pub(super) start: f64,
}

impl Process {
    /// `None` where /proc does not tell.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, which stands in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // Numbered from 3 on in proc_pid_stat(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let of = |variable| sysconf(variable).ok().flatten();
        let ticks = of(SysconfVar::CLK_TCK)? as f64;
        let page = of(SysconfVar::PAGE_SIZE)? as u64;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) as f64 / ticks,
            resident_bytes: field(24)? * page,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count(),
            start: boot.trim().parse::<f64>().ok()? + field(22)? as f64 / ticks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn this_process() {
        let process = Process::read().expect("there is /proc");
        assert!(process.resident_bytes > 1 << 20 && process.open_fds >= 3, "{process:?}");
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!(process.start > now - 86_400.0 && process.start <= now + 2.0, "{process:?}");
    }
}
