//! `gateway` as a process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use servers::Process;

use super::{KafkaAccess, Launch, ProcessError, binary, pepper, pepper_file, port, wait_ready, write_yaml};

/// Path that answers 200 once catalog and upstreams are there.
const READY_PATH: &str = "/health/ready";

/// Options of a gateway.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Directory of `<name>.yaml`, `<name>.log`, `<name>-journal/` and the pepper.
    pub directory: PathBuf,
    /// Its name: that of its usage streams too.
    pub name: String,
    /// Address for clients; port 0 takes a free one, which it keeps over restarts.
    pub listen: SocketAddr,
    /// Address of health and metrics; port 0 as above.
    pub admin: SocketAddr,
    /// Address of the decision API, if it is on; port 0 as above.
    pub decision: Option<SocketAddr>,
    /// Worker threads.
    pub threads: usize,
    /// URL of the store.
    pub store: String,
    /// The target of its usage.
    pub usage_sink: UsageSink,
    /// Further settings of the section `usage`, such as budgets.
    pub usage: Value,
    /// Settings of the section `limits`, such as the Redis that limits are shared through.
    pub limits: Value,
    /// The servers of the upstream `demo`.
    pub upstream: Vec<SocketAddr>,
    /// Further settings of that upstream, which replace the servers if they name any.
    pub upstream_settings: Value,
    /// The routes, as the configuration file states them.
    pub routes: Value,
    /// Further settings of the file: more groups, more entries of a group, or others instead.
    pub further: Value,
    /// The cores it is held to, in the notation of `taskset`; all if none.
    pub cores: Option<String>,
}

/// The target of a gateway's usage.
#[derive(Debug, Clone)]
pub enum UsageSink {
    /// To billing, at this URL.
    Http(String),
    /// To the topic `usage.events`.
    Kafka(KafkaAccess),
}

/// A running gateway.
#[derive(Debug)]
pub struct GatewayProcess {
    /// The process, to stop, kill, pause or look into.
    pub process: Process,
    options: GatewayOptions,
}

impl GatewayOptions {
    /// A gateway with one thread on free ports that forwards everything to `upstream`.
    pub fn new(directory: &Path, store: &str, usage_sink: UsageSink, upstream: SocketAddr) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            directory: directory.to_owned(),
            name: "gateway".into(),
            listen: any,
            admin: any,
            decision: None,
            threads: 1,
            store: store.to_owned(),
            usage_sink,
            usage: json!({}),
            limits: json!({}),
            upstream: vec![upstream],
            upstream_settings: json!({}),
            routes: whole_path(),
            further: json!({}),
            cores: None,
        }
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join(format!("{}.yaml", self.name))
    }

    fn write_config(&self) -> Result<(), ProcessError> {
        let servers: Vec<_> = self.upstream.iter().map(SocketAddr::to_string).collect();
        let mut upstream = self.upstream_settings.clone();
        if upstream.get("servers").is_none() {
            upstream["servers"] = json!(servers);
        }
        let mut usage = self.usage.clone();
        if usage.get("journal").is_none() {
            usage["journal"] = json!(self.directory.join(format!("{}-journal", self.name)));
        }
        match &self.usage_sink {
            UsageSink::Http(url) => usage["sink"] = json!(url),
            UsageSink::Kafka(KafkaAccess { brokers, properties }) => {
                usage["kafka"] = json!({ "brokers": brokers, "properties": properties });
            }
        }
        let mut settings = json!({
            "name": self.name,
            "listen": self.listen,
            "admin": self.admin,
            "threads": self.threads,
            "store": self.store,
            "pepper_file": pepper_file(&self.directory),
            "usage": usage,
            "limits": self.limits,
            "upstreams": { "demo": upstream },
            "routes": self.routes,
        });
        if let Some(listen) = self.decision {
            settings["decision"] = json!({ "listen": listen });
        }
        merge(&mut settings, &self.further);
        write_yaml(&self.config_file(), &settings)
    }
}

/// Adds `further` settings. `listeners` come instead of `listen`.
fn merge(settings: &mut Value, further: &Value) {
    for (name, value) in further.as_object().into_iter().flatten() {
        match (settings.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
            (Some(group), Some(more)) => group.extend(more.clone()),
            _ => settings[name] = value.clone(),
        }
    }
    if let Some(group) = settings.as_object_mut().filter(|group| group.contains_key("listeners")) {
        group.remove("listen");
    }
}

/// One route that takes every path to the upstream `demo`.
pub fn whole_path() -> Value {
    json!([{ "name": "all", "path_prefix": "/", "upstream": "demo" }])
}

impl GatewayProcess {
    /// Starts a gateway and waits until it is ready to serve.
    pub async fn start(mut options: GatewayOptions) -> Result<Self, ProcessError> {
        options.listen = port::resolve(options.listen, "`listen` of the gateway")?;
        options.admin = port::resolve(options.admin, "`admin` of the gateway")?;
        let resolve = |address| port::resolve(address, "`decision.listen` of the gateway");
        options.decision = options.decision.map(resolve).transpose()?;
        pepper(&options.directory)?;
        options.write_config()?;
        let process = Launch {
            name: options.name.clone(),
            program: binary("gateway")?,
            arguments: vec!["--config".into(), options.config_file().into()],
            directory: options.directory.clone(),
            cores: options.cores.clone(),
            yields: false,
        }
        .start()?;
        let mut gateway = Self { process, options };
        gateway.wait_ready().await?;
        Ok(gateway)
    }

    /// Starts another gateway that differs in nothing but its name, its addresses and its journal.
    pub async fn start_sibling(&self, name: &str) -> Result<Self, ProcessError> {
        self.start_sibling_on(name, &self.options.store).await
    }

    /// The same with another way to the store.
    pub async fn start_sibling_on(&self, name: &str, store: &str) -> Result<Self, ProcessError> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let decision = self.options.decision.map(|_| any);
        let options = self.options.clone();
        let (name, store) = (name.to_owned(), store.to_owned());
        Self::start(GatewayOptions { name, store, listen: any, admin: any, decision, ..options }).await
    }

    /// Starts it again on the same addresses and journal, after it was stopped or killed, and waits
    /// until it is ready.
    pub async fn restart(&mut self) -> Result<(), ProcessError> {
        self.process.start()?;
        self.wait_ready().await
    }

    /// Starts a second process that takes over the sockets, and waits until the first has ended by
    /// itself.
    pub async fn upgrade(&mut self) -> Result<ExitStatus, ProcessError> {
        let ended = self.begin_upgrade()?.wait_end().await?;
        self.wait_ready().await?;
        Ok(ended)
    }

    /// Starts a second process that takes over the sockets. Returns the first, which serves until
    /// then and ends by itself.
    pub fn begin_upgrade(&mut self) -> Result<Process, ProcessError> {
        let next = Launch {
            name: self.options.name.clone(),
            program: binary("gateway")?,
            arguments: vec!["--config".into(), self.options.config_file().into(), "--upgrade".into()],
            directory: self.options.directory.clone(),
            cores: self.options.cores.clone(),
            yields: false,
        }
        .start()?;
        Ok(std::mem::replace(&mut self.process, next))
    }

    /// Writes routes and further settings into its configuration, and tells it nothing of them.
    pub fn configure(&mut self, routes: Value, further: Value) -> Result<(), ProcessError> {
        self.options.routes = routes;
        self.options.further = further;
        self.options.write_config()
    }

    /// Writes other routes into its configuration and tells it to reload (SIGHUP). The change takes
    /// effect soon after.
    pub fn reload(&mut self, routes: Value) -> Result<(), ProcessError> {
        self.options.routes = routes;
        self.options.write_config()?;
        Ok(self.process.signal(Signal::SIGHUP)?)
    }

    /// The same with other settings of its upstream.
    pub fn reload_with(&mut self, upstream: Value, routes: Value) -> Result<(), ProcessError> {
        self.options.upstream_settings = upstream;
        self.reload(routes)
    }

    /// Waits until it is ready to serve.
    pub async fn wait_ready(&mut self) -> Result<(), ProcessError> {
        wait_ready(&mut self.process, self.options.admin, READY_PATH).await
    }

    /// Address for clients.
    pub fn address(&self) -> SocketAddr {
        self.options.listen
    }

    /// Address of health and metrics.
    pub fn admin(&self) -> SocketAddr {
        self.options.admin
    }

    /// Address of the decision API, if it is on.
    pub fn decision(&self) -> Option<SocketAddr> {
        self.options.decision
    }

    /// Its URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.options.listen)
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.options.config_file()
    }
}
