//! A disk that is soon full.

use std::{
    io,
    path::Path,
    process::{Command, Output},
};

use nix::unistd::Uid;

/// A file system in memory, unmounted when dropped.
pub(super) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one; without being root, by way of `sudo`.
    pub(super) fn mount(mib: u32) -> io::Result<Self> {
        let disk = Self(tempfile::tempdir()?);
        let size = format!("size={mib}m");
        let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path()).output();
        let Output { status, stderr, .. } = mounted?;
        if status.success() {
            return Ok(disk);
        }
        let reason = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(io::Error::other(format!("a small file system needs root or sudo: {reason}")))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as a process that is about to end may still have a file open. What stays mounted
        // after a failure goes with the machine's memory, and nothing depends on it.
        let _ = as_root("umount").arg("--lazy").arg(self.path()).output();
    }
}

fn as_root(program: &str) -> Command {
    if Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}
