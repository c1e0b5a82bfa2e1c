//! PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::{
    directory::Directory,
    error::ServerError,
    program,
    server::{Program, Server},
};

/// The superuser of the private server; it needs no password.
const USER: &str = "tollgate";

/// Options of the server.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions {
    /// True if a commit waits for the disk. Without it, a killed server loses nothing, a crashed
    /// machine may.
    pub fsync: bool,
    /// Most connections at once.
    pub max_connections: u32,
}

/// A PostgreSQL server.
pub type Postgres = Server<PostgresProgram>;

/// PostgreSQL's programs, and how they are run.
#[derive(Debug)]
pub struct PostgresProgram {
    programs: PathBuf,
    options: PostgresOptions,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200 }
    }
}

impl Program for PostgresProgram {
    const NAME: &'static str = "postgres";
    /// "Fast shutdown" to PostgreSQL.
    const STOP: Signal = Signal::SIGINT;

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.programs.join("postgres"));
        command.args(["-D", "data", "-h", "127.0.0.1", "-p"]).arg(port.to_string());
        let fsync = if self.options.fsync { "on" } else { "off" };
        for setting in [
            "unix_socket_directories=",
            "shared_buffers=64MB",
            &format!("max_connections={}", self.options.max_connections),
            &format!("fsync={fsync}"),
        ] {
            command.args(["-c", setting]);
        }
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        let mut pg_isready = client(&self.programs, "pg_isready", port);
        pg_isready.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
        pg_isready.status().is_ok_and(|status| status.success())
    }
}

impl Postgres {
    /// Starts a server with an empty cluster.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts a server with an empty cluster.
    pub fn start_with(options: PostgresOptions) -> Result<Self, ServerError> {
        let programs = find_programs()?;
        let directory = Directory::create("postgres", &["postgres", "nobody"])?;
        let mut initdb = directory.command(&programs.join("initdb"));
        initdb
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER])
            .args(["--pgdata", "data"]);
        program::run("initdb", initdb)?;
        Self::on_free_port(PostgresProgram { programs, options }, directory)
    }

    /// URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port())
    }

    /// Makes a new, empty database.
    pub fn create_database(&self, name: &str) -> Result<(), ServerError> {
        let mut createdb = client(&self.program.programs, "createdb", self.port());
        createdb.args(["--maintenance-db=postgres", "--", name]);
        program::run("createdb", createdb).map(drop)
    }
}

fn client(programs: &Path, program: &str, port: u16) -> Command {
    let mut command = Command::new(programs.join(program));
    command.args(["--host=127.0.0.1", "--username", USER]).arg(format!("--port={port}")).stdin(Stdio::null());
    command
}

/// The directory of the newest installation: Debian's own place, then PATH.
fn find_programs() -> Result<PathBuf, ServerError> {
    let complete = |directory: &PathBuf| {
        ["initdb", "postgres", "createdb", "pg_isready"].iter().all(|name| directory.join(name).is_file())
    };
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    debian.sort_unstable_by(|left, right| right.cmp(left));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .into_iter()
        .map(|(_, directory)| directory)
        .chain(std::env::split_paths(&path))
        .find(complete)
        .ok_or(ServerError::NotInstalled { program: "PostgreSQL", package: "postgresql" })
}
