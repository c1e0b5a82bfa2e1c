//! The servers of the drill's upstream: processes, one of them behind a relay, and one that is known
//! by its name.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use servers::{Dns, Process, free_port};
use tokio::{task::spawn_blocking, time::sleep};

use super::faulty_relay::{self, FaultyRelay};
use crate::{
    drill::error::DrillError,
    processes::{self, Launch, wait_ready},
    upstream::ACCEPTED_PATH,
};

/// Servers that the gateway finds.
pub(super) const SERVERS: usize = 4;

/// The name of the server that moves.
const NAME: &str = "moving.test";

/// Seconds for which an answer of the DNS counts.
const TTL_SECONDS: u32 = 1;

/// All servers.
pub(super) struct Nodes {
    pub(super) killed: Node,
    pub(super) halted: Node,
    pub(super) relay: FaultyRelay,
    _behind_relay: Node,
    /// At the address that the name has now.
    at_name: Node,
    dns: Option<Dns>,
}

/// A server as a process.
pub(super) struct Node {
    pub(super) process: Process,
    address: SocketAddr,
    directory: PathBuf,
}

impl Nodes {
    pub(super) async fn start(directory: &Path) -> Result<Self, DrillError> {
        let any = |last: u8| Ok::<_, DrillError>(SocketAddr::from((loopback(last), free_port()?)));
        let behind_relay = Node::start(directory, "relayed", any(1)?).await?;
        let at_name = Node::start(directory, "moving-2", any(2)?).await?;
        let mut nodes = Self {
            killed: Node::start(directory, "killed", any(1)?).await?,
            halted: Node::start(directory, "halted", any(1)?).await?,
            relay: faulty_relay::before(behind_relay.address).await?,
            _behind_relay: behind_relay,
            at_name,
            dns: Some(spawn_blocking(|| Dns::start(TTL_SECONDS)).await??),
        };
        nodes.name(nodes.at_name.address.ip()).await?;
        Ok(nodes)
    }

    /// The servers, as the configuration names them.
    pub(super) fn servers(&self) -> Value {
        let moving = format!("{NAME}:{}", self.at_name.address.port());
        json!([
            self.killed.address.to_string(),
            self.halted.address.to_string(),
            self.relay.address().to_string(),
            moving
        ])
    }

    /// Address of the DNS server that knows the name.
    pub(super) fn dns_server(&self) -> String {
        self.dns.as_ref().map(|dns| dns.address().to_string()).unwrap_or_default()
    }

    /// Gives the name another address with another server, and ends the old server after a time.
    pub(super) async fn move_name(&mut self, after: Duration) -> Result<(), DrillError> {
        let (IpAddr::V4(old), port) = (self.at_name.address.ip(), self.at_name.address.port()) else {
            return Err(DrillError::Patience("an IPv4 address".into()));
        };
        let last = if old == loopback(2) { 3 } else { 2 };
        let address = SocketAddr::from((loopback(last), port));
        let directory = self.at_name.directory.clone();
        let next = Node::start(&directory, &format!("moving-{last}"), address).await?;
        self.name(address.ip()).await?;
        sleep(after).await;
        let mut old = std::mem::replace(&mut self.at_name, next);
        old.process.stop().await?;
        Ok(())
    }

    async fn name(&mut self, address: IpAddr) -> Result<(), DrillError> {
        let mut dns = self.dns.take().ok_or_else(|| DrillError::Patience("the DNS server".into()))?;
        let dns = spawn_blocking(move || dns.set(&[(address, NAME)], &[]).map(|()| dns)).await??;
        self.dns = Some(dns);
        Ok(())
    }
}

impl Node {
    async fn start(directory: &Path, name: &str, address: SocketAddr) -> Result<Self, DrillError> {
        let launch = Launch {
            name: name.to_owned(),
            program: processes::binary("upstream")?,
            arguments: vec!["--listen".into(), address.to_string().into()],
            directory: directory.to_owned(),
            cores: None,
            yields: false,
        };
        let mut node = Self { process: launch.start()?, address, directory: directory.to_owned() };
        node.wait_ready().await?;
        Ok(node)
    }

    pub(super) fn kill(&mut self) -> Result<(), DrillError> {
        self.process.kill()?;
        Ok(())
    }

    pub(super) async fn start_again(&mut self) -> Result<(), DrillError> {
        self.process.start()?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), DrillError> {
        Ok(wait_ready(&mut self.process, self.address, ACCEPTED_PATH).await?)
    }
}

const fn loopback(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}
