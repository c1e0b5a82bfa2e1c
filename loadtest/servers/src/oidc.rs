//! An OIDC provider: the npm package oidc-provider, with people and machines that are made up as
//! they are named.
//!
//! It comes from npm the first time and stays in the user's cache directory; see `oidc/resolve.sh`,
//! and `oidc/provider.mjs` for whom it knows. It starts in about a second.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    directory::Directory,
    error::ServerError,
    program,
    server::{Program, Server},
};

const RESOLVE: &str = concat!(include_str!("../fetch.sh"), include_str!("../oidc/resolve.sh"));
const PACKAGE: &str = include_str!("../oidc/package.json");
const LOCK: &str = include_str!("../oidc/package-lock.json");
const SCRIPT: &str = include_str!("../oidc/provider.mjs");

const SCRIPT_FILE: &str = "provider.mjs";

/// A silent server is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An OIDC provider.
pub type OpenId = Server<OpenIdProgram>;

/// The provider's program, and where its packages are.
#[derive(Debug)]
pub struct OpenIdProgram {
    modules: PathBuf,
}

impl Program for OpenIdProgram {
    const NAME: &'static str = "oidc-provider";

    fn prepare(&mut self, directory: &Directory, _port: u16) -> Result<(), ServerError> {
        let file = directory.path().join(SCRIPT_FILE);
        fs::write(file, SCRIPT).map_err(ServerError::io("write the OIDC provider's script"))
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.modules.join("node"));
        command.arg(SCRIPT_FILE).arg(&self.modules).arg(port.to_string());
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        ask(port, "GET", "/.well-known/openid-configuration", "").is_ok()
    }
}

impl OpenId {
    /// Starts a provider with keys of its own.
    pub fn start() -> Result<Self, ServerError> {
        let mut resolve = Command::new("sh");
        resolve.args(["-c", RESOLVE, "resolve", PACKAGE, LOCK]).stdin(Stdio::null());
        let modules = program::run("finding the packages of oidc-provider", resolve)?;
        let modules = PathBuf::from(modules.trim_end());
        Self::on_free_port(OpenIdProgram { modules }, Directory::create("oidc", &[])?)
    }

    /// The issuer in its tokens, and the URL under which it describes itself.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Signs with new keys from now on. Those before them are still published, if they are kept.
    pub fn rotate_keys(&self, keep: bool) -> Result<(), ServerError> {
        self.control("/control/rotate", &format!(r#"{{"keep":{keep}}}"#)).map(drop)
    }

    /// A token as `order`, a JSON object, asks for it: `alg`, `header`, `claims`, and `stranger`
    /// for a key that is not the provider's.
    pub fn sign(&self, order: &str) -> Result<String, ServerError> {
        self.control("/control/sign", order)
    }

    /// Requests for each path since the start, as a JSON object.
    pub fn counts(&self) -> Result<String, ServerError> {
        self.control("/control/counts", "")
    }

    fn control(&self, path: &str, body: &str) -> Result<String, ServerError> {
        ask(self.port(), "POST", path, body).map_err(ServerError::io(format!("ask the OIDC provider for {path}")))
    }
}

/// One request on a connection of its own, and the body of its answer, which has to be 200.
fn ask(port: u16, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || io::Error::other(format!("not an answer: {answer}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).ok_or_else(malformed)?;
    if status == "200" { Ok(body.to_owned()) } else { Err(io::Error::other(format!("status {status}: {body}"))) }
}
