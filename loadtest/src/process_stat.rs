//! CPU time and memory of a process or of the whole machine, from `/proc`.

use std::io;

use nix::unistd::{SysconfVar, sysconf};

/// Position of `utime` behind the process's name in `/proc/<pid>/stat`; `stime` follows it.
const USER_TIME_FIELD: usize = 11;

/// User and system time of a process and all its threads so far, in seconds; its resolution is 10
/// ms.
pub(crate) fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let (file, text) = read(&format!("{pid}/stat"))?;
    cpu_ticks(&text).map(seconds).ok_or_else(|| unreadable(&file))
}

/// Time that all processors together were busy so far, in seconds.
pub(crate) fn machine_cpu_seconds() -> io::Result<f64> {
    let (file, text) = read("stat")?;
    busy_ticks(&text).map(seconds).ok_or_else(|| unreadable(&file))
}

/// Memory that a process occupies (RSS), in MiB.
pub(crate) fn resident_mib(pid: u32) -> io::Result<f64> {
    let (file, text) = read(&format!("{pid}/status"))?;
    Ok(kib(&text, "VmRSS:").ok_or_else(|| unreadable(&file))? as f64 / 1_024.0)
}

/// Most memory that a process has occupied so far (peak RSS), in MiB.
pub(crate) fn peak_resident_mib(pid: u32) -> io::Result<f64> {
    let (file, text) = read(&format!("{pid}/status"))?;
    Ok(kib(&text, "VmHWM:").ok_or_else(|| unreadable(&file))? as f64 / 1_024.0)
}

/// Memory of a process that holds no file, in MiB: its heap and its stacks, as far as they are in
/// use.
pub(crate) fn anonymous_mib(pid: u32) -> io::Result<f64> {
    let (file, text) = read(&format!("{pid}/status"))?;
    Ok(kib(&text, "RssAnon:").ok_or_else(|| unreadable(&file))? as f64 / 1_024.0)
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name stands in parentheses and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(USER_TIME_FIELD);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A line of a process's `status`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// User, nice, system, interrupts: all but idling, waiting for disks, and what other machines took.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks = fields.map(|field| field.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    Some([0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index)).sum())
}

fn seconds(ticks: u64) -> f64 {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    ticks as f64 / ticks_per_second as f64
}

fn read(name: &str) -> io::Result<(String, String)> {
    let file = format!("/proc/{name}");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{file}: {error}"))),
    }
}

fn unreadable(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} has another form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_and_memory_are_read_from_proc() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 5 0 9 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(kib("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t   20480 kB\n", "VmRSS:"), Some(20_480));
        let own = std::process::id();
        assert!(resident_mib(own).unwrap() > anonymous_mib(own).unwrap());
        assert!(anonymous_mib(own).unwrap() > 0.1);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
        assert!(cpu_seconds(u32::MAX).is_err());
        assert_eq!(busy_ticks("cpu  1 2 4 800 900 8 16 1000 0 0\ncpu0 1 2 4 8 9 8 6 0 0 0\n"), Some(31));
        assert!(machine_cpu_seconds().unwrap() > 0.0);
    }
}
