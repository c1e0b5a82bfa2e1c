//! A server's private directory, and the guard that clears it away.
//!
//! The guard is a small shell process that holds the other end of a pipe. When the program that
//! started it ends, by `kill -9` too, the pipe closes; the guard then kills the server and removes
//! the directory. (The kernel's own parent-death signal would not do: it goes by the thread that
//! started the server, and test threads end early.)

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::unistd::{Uid, User};

use crate::error::ServerError;

const GUARD: &str = r#"
cat > /dev/null
if pid=$(cat "$1/pid" 2> /dev/null); then
    kill -9 $pid $(cat /proc/$pid/task/$pid/children 2> /dev/null) 2> /dev/null
fi
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    rm -rf "$1" 2> /dev/null && break
    sleep 0.1
done
"#;

/// A directory that is gone, with the server in it, when this is dropped or the program ends.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The account that servers run under; none if it is our own.
    account: Option<User>,
    guard: Child,
}

impl Directory {
    /// A new directory. Servers that refuse to run as root run under the first of `accounts` that
    /// exists; where there are none to choose from, the server runs as we do.
    pub(crate) fn create(name: &str, accounts: &[&str]) -> Result<Self, ServerError> {
        let account =
            if Uid::effective().is_root() && !accounts.is_empty() { Some(first_account(accounts)?) } else { None };
        // TMPDIR may lie where only root can go.
        let parent = if account.is_some() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        let path = tempfile::Builder::new()
            .prefix(&format!("tollgate-{name}-"))
            .tempdir_in(&parent)
            .map_err(ServerError::io(format!("make a directory in {}", parent.display())))?
            .keep();
        let guard = start_guard(&path).map_err(ServerError::io("start the guard of a directory"))?;
        let directory = Self { path, account, guard };
        if let Some(account) = &directory.account {
            chown(&directory.path, Some(account.uid.as_raw()), Some(account.gid.as_raw()))
                .map_err(ServerError::io(format!("give {} to {}", directory.path.display(), account.name)))?;
        }
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs under the servers' account, in this directory.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match &self.account {
            None => Command::new(program),
            Some(account) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={}", account.uid))
                    .arg(format!("--regid={}", account.gid))
                    .args(["--init-groups", "--"])
                    .arg(program);
                command
            }
        };
        command.current_dir(&self.path).stdin(Stdio::null());
        command
    }

    /// Writes the id of the process that the guard has to kill.
    pub(crate) fn note_process(&self, pid: u32) -> Result<(), ServerError> {
        fs::write(self.path.join("pid"), pid.to_string()).map_err(ServerError::io("write the guard's pid file"))
    }

    /// Removes the id: the system may soon give the number to another process.
    pub(crate) fn forget_process(&self) {
        // Without the file there was nobody either.
        let _ = fs::remove_file(self.path.join("pid"));
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard cannot fail in a way that could be acted on here.
        let _ = self.guard.wait();
    }
}

fn first_account(names: &[&str]) -> Result<User, ServerError> {
    names.iter().find_map(|name| User::from_name(name).ok().flatten()).ok_or_else(|| ServerError::Io {
        what: format!("run a server as root: none of the accounts {} exists", names.join(", ")),
        source: io::ErrorKind::NotFound.into(),
    })
}

fn start_guard(directory: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(directory)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C ends the program, and its end the guard.
        .process_group(0)
        .spawn()
}
