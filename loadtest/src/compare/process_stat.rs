//! What a process has used, as the kernel tells it.

use std::io;

use nix::unistd::{SysconfVar, sysconf};

use super::CompareError;

/// Position of `utime` behind the process's name in `/proc/<pid>/stat`; `stime` follows it.
const USER_TIME_FIELD: usize = 11;

/// User and system time of a process and all its threads so far, in seconds; its resolution is 10 ms.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64, CompareError> {
    let (file, text) = read(pid, "stat")?;
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let ticks = cpu_ticks(&text).ok_or_else(|| unreadable(&file))?;
    Ok(ticks as f64 / ticks_per_second as f64)
}

/// Memory that a process occupies (RSS), in MiB.
pub(super) fn resident_mib(pid: u32) -> Result<f64, CompareError> {
    let (file, text) = read(pid, "status")?;
    Ok(resident_kib(&text).ok_or_else(|| unreadable(&file))? as f64 / 1_024.0)
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name stands in parentheses and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(USER_TIME_FIELD);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn read(pid: u32, name: &str) -> Result<(String, String), CompareError> {
    let file = format!("/proc/{pid}/{name}");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok((file, text)),
        Err(source) => Err(CompareError::System { what: file, source }),
    }
}

fn unreadable(file: &str) -> CompareError {
    CompareError::System { what: file.to_owned(), source: io::Error::from(io::ErrorKind::InvalidData) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 5 0 9 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(resident_kib("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t   20480 kB\n"), Some(20_480));
        assert!(resident_mib(std::process::id()).unwrap() > 0.1);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
        assert!(cpu_seconds(u32::MAX).is_err());
    }
}
