//! An SMTP server: the Python package aiosmtpd, with a script that takes mail, refuses some, delays
//! some and breaks off.
//!
//! See `smtp/server.py` for the addresses that it misbehaves for.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::{
    directory::Directory,
    error::ServerError,
    python,
    server::{Program, Server},
};

const REQUIREMENTS: &str = include_str!("../smtp/requirements.txt");
const SCRIPT: &str = include_str!("../smtp/server.py");
const SCRIPT_FILE: &str = "server.py";

/// A silent server is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An SMTP server.
pub type Smtp = Server<SmtpProgram>;

/// The server's program and its settings.
#[derive(Debug)]
pub struct SmtpProgram {
    programs: PathBuf,
    secured: Option<SmtpAccess>,
}

/// TLS and password of a server that takes mail only with both.
#[derive(Debug, Clone)]
pub struct SmtpAccess {
    /// PEM file with its certificate.
    pub certificate: PathBuf,
    /// PEM file with the key of that certificate.
    pub key: PathBuf,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Program for SmtpProgram {
    const NAME: &'static str = "aiosmtpd";

    fn prepare(&mut self, directory: &Directory, _port: u16) -> Result<(), ServerError> {
        let file = directory.path().join(SCRIPT_FILE);
        fs::write(file, SCRIPT).map_err(ServerError::io("write the script of the SMTP server"))
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.programs.join("python"));
        command.arg(SCRIPT_FILE).arg(port.to_string());
        if let Some(SmtpAccess { certificate, key, user, password }) = &self.secured {
            command.arg(certificate).arg(key).arg(user).arg(password);
        }
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let Ok(mut stream) = TcpStream::connect_timeout(&address, TIMEOUT) else { return false };
        let mut greeting = [0; 3];
        stream.set_read_timeout(Some(TIMEOUT)).is_ok()
            && stream.read_exact(&mut greeting).is_ok()
            && &greeting == b"220"
    }
}

impl Smtp {
    /// Starts a server without TLS.
    pub fn start() -> Result<Self, ServerError> {
        Self::with(None)
    }

    /// Starts a server that takes mail over STARTTLS only, and after the password.
    pub fn secured(access: SmtpAccess) -> Result<Self, ServerError> {
        Self::with(Some(access))
    }

    fn with(secured: Option<SmtpAccess>) -> Result<Self, ServerError> {
        let programs = python::programs("aiosmtpd", REQUIREMENTS)?;
        Self::on_free_port(SmtpProgram { programs, secured }, Directory::create("smtp", &[])?)
    }

    /// The mail that it has taken: JSON objects with `from`, `to` and `raw`, one a line.
    pub fn taken(&self) -> Result<String, ServerError> {
        let file = self.directory().join("mail.jsonl");
        match fs::read_to_string(file) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(ServerError::io("read the mail that was taken")(error)),
        }
    }
}
