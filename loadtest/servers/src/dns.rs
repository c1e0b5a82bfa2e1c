//! A DNS server (dnsmasq) for names that move, come and go.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::{
    directory::Directory,
    error::ServerError,
    program,
    server::{Program, Server},
};

/// A server that does not listen is not asked for longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The domain whose names it knows; it says of all others in it that they do not exist.
const DOMAIN: &str = "test";

/// File of the names with their addresses.
const HOSTS_FILE: &str = "hosts";

/// File of the services.
const SERVICES_FILE: &str = "services.conf";

/// A DNS server.
pub type Dns = Server<DnsProgram>;

/// A record of a service.
#[derive(Debug, Clone, Copy)]
pub struct ServiceRecord<'a> {
    /// The service, as in `_http._tcp.search.test`.
    pub service: &'a str,
    /// The name of one of its servers.
    pub target: &'a str,
    /// The server's port.
    pub port: u16,
    /// Servers with a lower number go first.
    pub priority: u16,
    /// Its part of the requests among those of its priority.
    pub weight: u16,
}

/// dnsmasq, and how it is run.
#[derive(Debug)]
pub struct DnsProgram {
    program: PathBuf,
    ttl_seconds: u32,
}

impl Program for DnsProgram {
    const NAME: &'static str = "dnsmasq";

    fn prepare(&mut self, directory: &Directory, _port: u16) -> Result<(), ServerError> {
        for file in [HOSTS_FILE, SERVICES_FILE] {
            let path = directory.path().join(file);
            if !path.exists() {
                std::fs::write(&path, "").map_err(ServerError::io("write the records of dnsmasq"))?;
            }
        }
        Ok(())
    }

    fn command(&self, directory: &Directory, port: u16) -> Command {
        let file = |name: &str| directory.path().join(name).display().to_string();
        let mut command = directory.command(&self.program);
        command
            .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--log-facility=-"])
            .args(["--user=", "--pid-file=", "--listen-address=127.0.0.1"])
            .arg(format!("--local=/{DOMAIN}/"))
            .arg(format!("--local-ttl={}", self.ttl_seconds))
            .arg(format!("--conf-file={}", file(SERVICES_FILE)))
            .arg(format!("--addn-hosts={}", file(HOSTS_FILE)))
            .arg(format!("--port={port}"));
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT).is_ok()
    }
}

impl Dns {
    /// Starts a server without names, whose answers count for so many seconds.
    pub fn start(ttl_seconds: u32) -> Result<Self, ServerError> {
        let program = program::find("dnsmasq", "dnsmasq-base").or_else(|missing| {
            // Debian keeps it where only root looks.
            Some(PathBuf::from("/usr/sbin/dnsmasq")).filter(|path| path.is_file()).ok_or(missing)
        })?;
        Self::on_free_port(DnsProgram { program, ttl_seconds }, Directory::create("dnsmasq", &[])?)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// Replaces all names of hosts and services. It answers nothing for a moment meanwhile.
    pub fn set(&mut self, hosts: &[(IpAddr, &str)], services: &[ServiceRecord<'_>]) -> Result<(), ServerError> {
        let (mut names, mut records) = (String::new(), String::new());
        for (address, name) in hosts {
            let _ = writeln!(names, "{address} {name}");
        }
        for ServiceRecord { service, target, port, priority, weight } in services {
            let _ = writeln!(records, "srv-host={service},{target},{port},{priority},{weight}");
        }
        for (file, text) in [(HOSTS_FILE, names), (SERVICES_FILE, records)] {
            let path = self.directory().join(file);
            std::fs::write(path, text).map_err(ServerError::io("write the records of dnsmasq"))?;
        }
        self.restart()
    }
}
