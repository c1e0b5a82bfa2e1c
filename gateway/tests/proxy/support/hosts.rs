//! A gateway whose `/etc/hosts` is the test's own file: names of servers that move, come and go.

use std::{path::Path, process::Command};

use tempfile::NamedTempFile;

use super::process;

/// The names that a gateway can resolve.
pub(crate) struct Hosts(NamedTempFile);

impl Hosts {
    /// Each address with its name.
    pub(crate) fn new(entries: &[(&str, &str)]) -> Self {
        let hosts = Self(NamedTempFile::new().unwrap());
        hosts.set(entries);
        hosts
    }

    /// Replaces all entries. The file stays the same one: it is mounted.
    pub(crate) fn set(&self, entries: &[(&str, &str)]) {
        let lines: Vec<String> = entries.iter().map(|(address, name)| format!("{address} {name}")).collect();
        std::fs::write(self.0.path(), lines.join("\n") + "\n").unwrap();
    }

    /// The command with the environment of tests, in a mount namespace in which this file is
    /// `/etc/hosts`.
    pub(crate) fn command(&self, config: &Path) -> Command {
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let hosts = self.0.path().to_str().unwrap();
        let words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, hosts];
        process::wrapped(&words, &process::command(config))
    }
}
