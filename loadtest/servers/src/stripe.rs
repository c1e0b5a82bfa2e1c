//! Stand-ins for Stripe that others wrote: localstripe (a Python package), which keeps customers, methods and
//! intents and signs webhooks, and stripe-mock, Stripe's own, which checks requests against its OpenAPI
//! document and keeps nothing.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::{
    directory::Directory,
    error::ServerError,
    go::GoProgram,
    python,
    server::{Program, Server},
};

const REQUIREMENTS: &str = include_str!("../stripe/requirements.txt");
const SCRIPT: &str = include_str!("../stripe/serve.py");
const SCRIPT_FILE: &str = "serve.py";

/// A server that does not listen is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A Stripe that keeps what it is told; see `stripe/serve.py` for the faults that it can be asked for.
pub type LocalStripe = Server<LocalStripeProgram>;

/// A Stripe that checks the form of requests.
pub type StripeMock = Server<StripeMockProgram>;

/// localstripe, and where its packages are.
#[derive(Debug)]
pub struct LocalStripeProgram {
    python: PathBuf,
}

/// stripe-mock.
#[derive(Debug)]
pub struct StripeMockProgram {
    program: PathBuf,
}

impl Program for LocalStripeProgram {
    const NAME: &'static str = "localstripe";

    fn prepare(&mut self, directory: &Directory, _port: u16) -> Result<(), ServerError> {
        let file = directory.path().join(SCRIPT_FILE);
        fs::write(file, SCRIPT).map_err(ServerError::io("write the script of localstripe"))
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.python);
        command.arg(SCRIPT_FILE).arg(port.to_string());
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        listens(port)
    }
}

impl Program for StripeMockProgram {
    const NAME: &'static str = "stripe-mock";

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let mut command = directory.command(&self.program);
        // It listens with TLS as well: on any port, as nobody asks there.
        command.args(["-http-addr", &format!("127.0.0.1:{port}"), "-https-addr", "127.0.0.1:0"]);
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        listens(port)
    }
}

impl LocalStripe {
    /// Starts a Stripe that knows nobody.
    pub fn start() -> Result<Self, ServerError> {
        let python = python::programs("localstripe", REQUIREMENTS)?.join("python");
        Self::on_free_port(LocalStripeProgram { python }, Directory::create("localstripe", &[])?)
    }

    /// Address of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

impl StripeMock {
    /// Its log: each request, what is wrong with it, and the status.
    pub fn log(&self) -> Result<String, ServerError> {
        fs::read_to_string(self.directory().join("server.log")).map_err(ServerError::io("read the log of stripe-mock"))
    }

    /// Starts a Stripe that checks requests.
    pub fn start() -> Result<Self, ServerError> {
        let program = GoProgram {
            module: "github.com/stripe/stripe-mock",
            package: "github.com/stripe/stripe-mock",
            requirements: include_str!("../stripe/go.mod"),
            sums: include_str!("../stripe/go.sum"),
        };
        let program = program.path()?;
        Self::on_free_port(StripeMockProgram { program }, Directory::create("stripe-mock", &[])?)
    }

    /// Address of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT).is_ok()
}
