//! Redis, in memory only: a killed or stopped server comes back empty.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    certificates::Certificates,
    directory::Directory,
    error::ServerError,
    port::free_port,
    program,
    server::{Program, Server},
};

/// A silent server is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Options of the server.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The password that clients have to send first, in letters and digits.
    pub password: Option<String>,
    /// True if clients may connect by TLS as well; see [`Redis::secured_url`].
    pub secured: bool,
}

/// A Redis server.
pub type Redis = Server<RedisProgram>;

/// Redis, and how it is run.
#[derive(Debug)]
pub struct RedisProgram {
    program: PathBuf,
    options: RedisOptions,
    /// The port for TLS, and what the server shows there.
    secured: Option<(u16, Certificates)>,
}

impl Program for RedisProgram {
    const NAME: &'static str = "redis";

    fn prepare(&mut self, directory: &Directory, _port: u16) -> Result<(), ServerError> {
        if self.options.secured {
            self.secured = Some((free_port()?, Certificates::create(directory.path())?));
        }
        Ok(())
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password]);
        }
        if let Some((port, Certificates { server, authority })) = &self.secured {
            command.arg("--tls-port").arg(port.to_string()).args(["--tls-auth-clients", "no", "--tls-cert-file"]);
            command.arg(server).arg("--tls-key-file").arg(server).arg("--tls-ca-cert-file").arg(authority);
        }
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        ask(port, &self.options, "PING").is_ok_and(|answer| answer == "+PONG")
    }
}

impl Redis {
    /// Starts an empty server.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(RedisOptions::default())
    }

    /// Starts an empty server.
    pub fn start_with(options: RedisOptions) -> Result<Self, ServerError> {
        let program = program::find("redis-server", "redis-server")?;
        Self::on_free_port(RedisProgram { program, options, secured: None }, Directory::create("redis", &[])?)
    }

    /// URL of its first database, with the password.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}/0", self.account(), self.port())
    }

    /// The same by TLS, and the file with the authority that vouches for the server; nothing unless
    /// it is [`RedisOptions::secured`].
    pub fn secured_url(&self) -> Option<(String, &Path)> {
        let (port, certificates) = self.program.secured.as_ref()?;
        Some((format!("rediss://{}127.0.0.1:{port}/0", self.account()), &certificates.authority))
    }

    fn account(&self) -> String {
        let password = self.program.options.password.as_ref();
        password.map(|password| format!(":{password}@")).unwrap_or_default()
    }

    /// Forgets all data and scripts, as a server that crashed would.
    pub fn flush(&self) -> Result<(), ServerError> {
        for command in ["FLUSHALL SYNC", "SCRIPT FLUSH SYNC"] {
            ask(self.port(), &self.program.options, command)
                .map_err(ServerError::io(format!("tell Redis to {command}")))?;
        }
        Ok(())
    }
}

/// One command without blanks in its words, on a connection of its own, and the first line of its
/// answer.
fn ask(port: u16, options: &RedisOptions, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let greeting = options.password.as_ref().map(|password| format!("AUTH {password}\r\n"));
    for line in greeting.into_iter().chain([format!("{command}\r\n")]) {
        stream.write_all(line.as_bytes())?;
    }
    let mut answers = BufReader::new(stream).lines();
    let mut next = || answers.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let mut answer = next()?;
    if options.password.is_some() && answer == "+OK" {
        answer = next()?;
    }
    if let Some(error) = answer.strip_prefix('-') {
        return Err(io::Error::other(error.to_owned()));
    }
    Ok(answer)
}
