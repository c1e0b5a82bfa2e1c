//! PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::{StackError, directory::Directory, port::on_free_port, process::Server, program};

/// The superuser of the private server; it needs no password.
const USER: &str = "tollgate";

/// How to run the server.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions {
    /// Whether a commit waits for the disk. Without it, a killed server loses nothing, a crashed machine may.
    pub fsync: bool,
    /// Most connections at once.
    pub max_connections: u32,
}

/// A PostgreSQL server on 127.0.0.1; it and its data are gone when this is dropped or the program ends.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    programs: PathBuf,
    port: u16,
    options: PostgresOptions,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200 }
    }
}

impl Postgres {
    /// Starts a server with an empty cluster.
    pub fn start() -> Result<Self, StackError> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts a server with an empty cluster.
    pub fn start_with(options: PostgresOptions) -> Result<Self, StackError> {
        let programs = find_programs()?;
        let directory = Directory::create("postgres", &["postgres", "nobody"])?;
        let mut initdb = directory.command(&programs.join("initdb"));
        initdb
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER])
            .args(["--pgdata", "data"]);
        program::run("initdb", initdb)?;
        let mut postgres = Self { server: Server::new("postgres", directory), programs, port: 0, options };
        on_free_port(|port| {
            postgres.port = port;
            postgres.launch()
        })?;
        Ok(postgres)
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where its data and log are.
    pub fn directory(&self) -> &Path {
        self.server.directory().path()
    }

    /// URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Whether it accepts connections.
    pub fn is_ready(&self) -> bool {
        is_ready(&self.programs, self.port)
    }

    /// Makes a new, empty database.
    pub fn create_database(&self, name: &str) -> Result<(), StackError> {
        let mut createdb = self.client("createdb");
        createdb.args(["--maintenance-db=postgres", "--", name]);
        program::run("createdb", createdb).map(drop)
    }

    /// Kills the server and all its children at once, as a crash would.
    pub fn kill(&mut self) -> Result<(), StackError> {
        self.server.kill()
    }

    /// Halts it: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), StackError> {
        self.server.pause()
    }

    /// Lets it go on after [`Postgres::pause`].
    pub fn resume(&self) -> Result<(), StackError> {
        self.server.resume()
    }

    /// Stops it in an orderly way; open connections are closed.
    pub fn stop(&mut self) -> Result<(), StackError> {
        // "Fast shutdown" to PostgreSQL.
        self.server.stop(Signal::SIGINT)
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        self.launch()
    }

    fn launch(&mut self) -> Result<(), StackError> {
        let fsync = if self.options.fsync { "on" } else { "off" };
        let mut command = self.server.directory().command(&self.programs.join("postgres"));
        command.args(["-D", "data", "-h", "127.0.0.1", "-p"]).arg(self.port.to_string());
        for setting in [
            "unix_socket_directories=",
            "shared_buffers=64MB",
            &format!("max_connections={}", self.options.max_connections),
            &format!("fsync={fsync}"),
        ] {
            command.args(["-c", setting]);
        }
        let (programs, port) = (self.programs.clone(), self.port);
        self.server.start(command, || is_ready(&programs, port))
    }

    fn client(&self, program: &str) -> Command {
        client(&self.programs, program, self.port)
    }
}

fn is_ready(programs: &Path, port: u16) -> bool {
    let mut pg_isready = client(programs, "pg_isready", port);
    pg_isready.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
    pg_isready.status().is_ok_and(|status| status.success())
}

fn client(programs: &Path, program: &str, port: u16) -> Command {
    let mut command = Command::new(programs.join(program));
    command.args(["--host=127.0.0.1", "--username", USER]).arg(format!("--port={port}")).stdin(Stdio::null());
    command
}

/// The directory of the newest installation: Debian's own place, then PATH.
fn find_programs() -> Result<PathBuf, StackError> {
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
        .ok_or(StackError::NotInstalled { program: "PostgreSQL", package: "postgresql" })
}
