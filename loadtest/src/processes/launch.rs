//! Starting a program under the supervisor, with its log in a directory of the caller.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::PathBuf,
    process::Command,
};

use servers::Process;

use super::{ProcessError, probe};

/// Variables that would override what is written into configuration files.
const OVERRIDES: [&str; 5] =
    ["TOLLGATE_STORE", "TOLLGATE_REDIS", "TOLLGATE_KAFKA", "TOLLGATE_PEPPER", "TOLLGATE_BOOTSTRAP_TOKEN"];

/// A program to start, and the surroundings that it gets.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The name that errors call it by; its log is `<name>.log`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The directory of its log.
    pub directory: PathBuf,
    /// The cores it is held to, in the notation of `taskset`; all if none.
    pub cores: Option<String>,
    /// True for a program that gives way to everything else on this machine.
    pub yields: bool,
}

impl Launch {
    /// Starts the process.
    pub fn start(self) -> Result<Process, ProcessError> {
        let log = self.directory.join(format!("{}.log", self.name));
        let command = self.command();
        let mut process = Process::new(self.name, command, log);
        process.start()?;
        Ok(process)
    }

    fn command(&self) -> Command {
        // taskset and nice become the program, so the process id is that of the program.
        let cores = self.cores.iter().flat_map(|cores| ["taskset", "-c", cores]);
        let priority = if self.yields { &["nice", "-n", "19"][..] } else { &[] };
        let mut words = cores.chain(priority.iter().copied()).map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.arguments);
        for variable in OVERRIDES {
            command.env_remove(variable);
        }
        command
    }
}

/// Waits until `process` answers `path` at `address` with 200. Fails early if the process ends
/// instead.
pub async fn wait_ready(process: &mut Process, address: SocketAddr, path: &str) -> Result<(), ProcessError> {
    let probe = async || match probe::get(address, path).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("http://{address}{path} says {} {}", answer.status, answer.body.trim())),
        Err(error) => Err(format!("http://{address}{path}: {error}")),
    };
    Ok(process.wait_ready(probe).await?)
}
