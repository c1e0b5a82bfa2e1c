//! An authority that signs certificates (ACME): Pebble, of Let's Encrypt, for tests of clients.
//!
//! It refuses one good nonce in twenty, on purpose, and forgets everything when it restarts: its
//! accounts, and the root that it signs under.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    certificates::{Authority, Identity},
    directory::Directory,
    error::ServerError,
    go::GoProgram,
    port::free_port,
    program,
    server::{Program, Server},
};

const CONFIGURATION_FILE: &str = "pebble.json";

/// A server that does not listen is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An authority.
pub type Pebble = Server<PebbleProgram>;

/// The way in which an authority proves names and signs certificates.
#[derive(Debug, Clone)]
pub struct PebbleOptions {
    /// The DNS server that it asks.
    pub dns: SocketAddr,
    /// The port that it asks at without TLS (HTTP-01).
    pub http_port: u16,
    /// The port that it asks at with TLS (TLS-ALPN-01).
    pub tls_port: u16,
    /// Name of the only kind of certificate, and its validity in seconds. Of several kinds, it would
    /// choose any where an order names none.
    pub profile: (&'static str, u64),
    /// Identifier and key, in base64url, of a customer that accounts have to be bound to.
    pub external_account: Option<(&'static str, &'static str)>,
}

/// Pebble, and how it is run.
#[derive(Debug)]
pub struct PebbleProgram {
    program: PathBuf,
    options: PebbleOptions,
    management_port: u16,
    identity: Identity,
    ca_file: PathBuf,
}

impl Program for PebbleProgram {
    const NAME: &'static str = "pebble";

    fn prepare(&mut self, directory: &Directory, port: u16) -> Result<(), ServerError> {
        self.management_port = free_port()?;
        let PebbleOptions { http_port, tls_port, profile: (profile, seconds), external_account, .. } = &self.options;
        let external = external_account.map_or(String::new(), |(id, key)| {
            format!(r#""externalAccountBindingRequired": true, "externalAccountMACKeys": {{"{id}": "{key}"}},"#)
        });
        let (certificate, key) = (self.identity.certificate.display(), self.identity.key.display());
        let mut text = String::new();
        let _ = write!(
            text,
            r#"{{"pebble": {{
                "listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{}",
                "certificate": "{certificate}", "privateKey": "{key}", {external}
                "httpPort": {http_port}, "tlsPort": {tls_port}, "keyAlgorithm": "ecdsa",
                "retryAfter": {{"authz": 1, "order": 1}},
                "profiles": {{"{profile}": {{"description": "for tests", "validityPeriod": {seconds}}}}}
            }}}}"#,
            self.management_port
        );
        fs::write(directory.path().join(CONFIGURATION_FILE), text)
            .map_err(ServerError::io("write the configuration of pebble"))
    }

    fn command(&self, directory: &Directory, _port: u16) -> Command {
        let mut command = directory.command(&self.program);
        command
            .args(["-config", CONFIGURATION_FILE, "-dnsserver", &self.options.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1");
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        [port, self.management_port]
            .into_iter()
            .all(|port| TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT).is_ok())
    }
}

impl Pebble {
    /// Starts an authority.
    pub fn start(options: PebbleOptions) -> Result<Self, ServerError> {
        let program = GoProgram {
            module: "github.com/letsencrypt/pebble/v2",
            package: "github.com/letsencrypt/pebble/v2/cmd/pebble",
            requirements: include_str!("../pebble/go.mod"),
            sums: include_str!("../pebble/go.sum"),
        };
        let program = program.path()?;
        let directory = Directory::create("pebble", &[])?;
        let authority = Authority::create(directory.path(), "server")?;
        let identity = authority.sign("127.0.0.1")?;
        let program = PebbleProgram { program, options, management_port: 0, identity, ca_file: authority.file() };
        Self::on_free_port(program, directory)
    }

    /// URL of its directory.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port())
    }

    /// File with the authority that vouches for its own server.
    pub fn ca_file(&self) -> PathBuf {
        self.program.ca_file.clone()
    }

    /// A file with the root that it signs under at present.
    pub fn root_file(&self) -> Result<PathBuf, ServerError> {
        let root = self.manage(&["https://127.0.0.1:PORT/roots/0"])?;
        let file = self.directory().join("root.pem");
        fs::write(&file, root).map_err(ServerError::io("write the root of pebble"))?;
        Ok(file)
    }

    /// Suggests from now on, for the certificate in the file, that it be renewed at once (RFC 9773).
    pub fn suggest_renewal(&self, certificate: &str) -> Result<(), ServerError> {
        let pem = certificate.replace('\n', "\\n");
        let window =
            r#"{\"suggestedWindow\": {\"start\": \"2020-01-01T00:00:00Z\", \"end\": \"2020-01-02T00:00:00Z\"}}"#;
        let body = format!(r#"{{"certificate": "{pem}", "ariResponse": "{window}"}}"#);
        self.manage(&["--fail-with-body", "--data-binary", &body, "https://127.0.0.1:PORT/set-renewal-info/"]).map(drop)
    }

    /// One request by curl to the address that controls it.
    fn manage(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let port = self.program.management_port.to_string();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "10", "--cacert"]).arg(&self.program.ca_file);
        curl.args(arguments.iter().map(|argument| argument.replace("PORT", &port))).stdin(Stdio::null());
        program::run("asking pebble", curl)
    }
}
