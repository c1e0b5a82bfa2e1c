//! Redis, in memory only: a killed or stopped server comes back empty.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{StackError, directory::Directory, port::on_free_port, process::Server, program};

/// A silent server is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How to run the server.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// What clients must say first, in letters and digits.
    pub password: Option<String>,
}

/// A Redis server on 127.0.0.1; it is gone when this is dropped or the program ends.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    program: PathBuf,
    port: u16,
    options: RedisOptions,
}

impl Redis {
    /// Starts an empty server.
    pub fn start() -> Result<Self, StackError> {
        Self::start_with(RedisOptions::default())
    }

    /// Starts an empty server.
    pub fn start_with(options: RedisOptions) -> Result<Self, StackError> {
        let program = program::find("redis-server", "redis-server")?;
        let directory = Directory::create("redis", &[])?;
        let mut redis = Self { server: Server::new("redis", directory), program, port: 0, options };
        on_free_port(|port| {
            redis.port = port;
            redis.launch()
        })?;
        Ok(redis)
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where its log is.
    pub fn directory(&self) -> &Path {
        self.server.directory().path()
    }

    /// URL of its first database, with the password.
    pub fn url(&self) -> String {
        let password = self.options.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}/0", self.port)
    }

    /// Whether it answers.
    pub fn is_ready(&self) -> bool {
        is_ready(self.port, &self.options)
    }

    /// Forgets all data and scripts, as a server that crashed would.
    pub fn flush(&self) -> Result<(), StackError> {
        for command in ["FLUSHALL SYNC", "SCRIPT FLUSH SYNC"] {
            ask(self.port, &self.options, command).map_err(StackError::io(format!("tell Redis to {command}")))?;
        }
        Ok(())
    }

    /// Kills the server at once, as a crash would.
    pub fn kill(&mut self) -> Result<(), StackError> {
        self.server.kill()
    }

    /// Halts it: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), StackError> {
        self.server.pause()
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&self) -> Result<(), StackError> {
        self.server.resume()
    }

    /// Stops it in an orderly way.
    pub fn stop(&mut self) -> Result<(), StackError> {
        self.server.stop(Signal::SIGTERM)
    }

    /// Starts it again on the same port, empty, stopping it first if it runs.
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop()?;
        self.launch()
    }

    fn launch(&mut self) -> Result<(), StackError> {
        let mut command = self.server.directory().command(&self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(self.port.to_string());
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password]);
        }
        let (port, options) = (self.port, self.options.clone());
        self.server.start(command, || is_ready(port, &options))
    }
}

fn is_ready(port: u16, options: &RedisOptions) -> bool {
    ask(port, options, "PING").is_ok_and(|answer| answer == "+PONG")
}

/// One command without blanks in its words, on a connection of its own, and the first line of its answer.
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
