//! A deployment to test: the real binaries on a store of their own, with an upstream that counts
//! what it accepts.
//!
//! End-to-end tests and drills live in it. They harm its parts and then hold [`Books`] against what
//! the client received.

mod books;

use std::path::Path;

pub use books::{Books, KeyBooks, KeyUsage};
use common::{
    id::{KeyId, TenantId},
    key::Mode,
};
use serde_json::{Value, json};
use servers::{Kafka, KafkaOptions, Postgres, Redis, ServerError};

use crate::{
    load::{Load, Request},
    processes::{
        self, BillReader, BillingProcess, GatewayOptions, GatewayProcess, IngestProcess, KafkaAccess, Keyctl,
        KeyctlError, ProcessError, UsageSink,
    },
    upstream::{self, Upstream, UpstreamError},
};

/// Partitions of the topic in a deployment with Kafka.
const PARTITIONS: u32 = 4;

/// Options of a deployment.
#[derive(Debug, Clone)]
pub struct DeploymentOptions {
    /// PostgreSQL instead of a SQLite file.
    pub postgres: bool,
    /// Usage through such a Kafka to `billing ingest`, instead of HTTP to `billing serve`.
    pub kafka: Option<KafkaOptions>,
    /// Further settings of the gateway's section `usage`.
    pub usage: Value,
    /// Gateways, at least one.
    pub gateways: u32,
    /// True if the gateways share limits through a Redis.
    pub redis: bool,
}

/// All processes and servers of a test.
pub struct Deployment {
    /// The gateway, or the first of several.
    pub gateway: GatewayProcess,
    /// The other gateways.
    pub siblings: Vec<GatewayProcess>,
    /// `billing serve`, in a deployment without Kafka.
    pub billing: Option<BillingProcess>,
    /// `billing ingest`, in a deployment with Kafka.
    pub ingest: Vec<IngestProcess>,
    /// The upstream behind the gateways.
    pub upstream: Upstream,
    /// The broker, in a deployment with Kafka.
    pub kafka: Option<Kafka>,
    /// The database server, unless the store is a file.
    pub postgres: Option<Postgres>,
    /// The Redis that gateways share limits through, if they do.
    pub redis: Option<Redis>,
    /// The admin's command line.
    pub keyctl: Keyctl,
    /// Reads the bill.
    pub bills: BillReader,
    root: TenantId,
    store: String,
    directory: tempfile::TempDir,
}

/// A customer with its keys.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its live key.
    pub key: String,
    /// The live key's id, under which the upstream counts.
    pub key_id: KeyId,
    /// Its test key.
    pub test_key: String,
}

/// A deployment could not be built, or its books not be read.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The admin's command line.
    #[error(transparent)]
    Keyctl(#[from] KeyctlError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A thread that starts a server died.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
    /// A command printed other JSON than expected.
    #[error("unexpected output: {0}")]
    Output(#[from] serde_json::Error),
    /// `billing` failed.
    #[error("billing {command}: {message}")]
    Billing {
        /// The subcommand.
        command: String,
        /// Its standard error.
        message: String,
    },
    /// The deployment was built without what is asked of it.
    #[error("the deployment has no Kafka")]
    NoKafka,
    /// The gateway's state cannot be read.
    #[error("the gateway does not tell what its journal holds")]
    Journal,
    /// A state that should come about does not.
    #[error("not in time: {0}")]
    Patience(String),
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self { postgres: false, kafka: None, usage: json!({}), gateways: 1, redis: false }
    }
}

impl DeploymentOptions {
    /// The form at scale: PostgreSQL and Kafka.
    pub fn at_scale() -> Self {
        Self { postgres: true, kafka: Some(KafkaOptions::default()), ..Self::default() }
    }
}

impl Deployment {
    /// Builds a deployment and waits until everything in it is ready.
    pub async fn build(options: DeploymentOptions) -> Result<Self, DeploymentError> {
        // A second provider would be one installed already: either serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let postgres = if options.postgres { Some(in_background(Postgres::start).await?) } else { None };
        let kafka = match options.kafka {
            Some(options) => Some(in_background(move || Kafka::start_with(options)).await?),
            None => None,
        };
        let redis = if options.redis { Some(in_background(Redis::start).await?) } else { None };
        // All clients have one address, also those whose keys are revoked.
        let mut limits = json!({ "failed_credentials": { "enabled": false } });
        if let Some(redis) = &redis {
            limits["redis"] = json!({ "url": redis.url(), "gateways": options.gateways });
        }
        let store = match &postgres {
            Some(postgres) => postgres.url("postgres"),
            None => format!("sqlite://{}/tollgate.db", path.display()),
        };
        let upstream = upstream::spawn(([127, 0, 0, 1], 0).into()).await?;
        let (mut billing, mut ingest) = (None, Vec::new());
        let sink = match &kafka {
            None => {
                let started = BillingProcess::start(path, &store, 0).await?;
                let url = started.url();
                billing = Some(started);
                UsageSink::Http(url)
            }
            Some(kafka) => {
                billing_command(&["migrate", "--store", &store]).await?;
                kafka.create_topic("usage.events", PARTITIONS)?;
                let access = KafkaAccess::from(kafka);
                ingest.push(IngestProcess::start(path, "ingest-1", &store, &access, false).await?);
                UsageSink::Kafka(access)
            }
        };
        let keyctl =
            Keyctl { binary: processes::binary("keyctl")?, store: store.clone(), pepper: processes::pepper(path)? };
        keyctl.apply_plans(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/plans.yaml")).await?;
        let root = keyctl.create_tenant("Root", "root", None, None).await?;
        let gateway = GatewayOptions {
            threads: 2,
            routes: routes(),
            usage: options.usage,
            limits,
            ..GatewayOptions::new(path, &store, sink, upstream.address())
        };
        let (gateway, siblings) = start_gateways(gateway, options.gateways).await?;
        let bills = BillReader { binary: processes::binary("billing")?, store: store.clone() };
        Ok(Self {
            gateway,
            siblings,
            billing,
            ingest,
            upstream,
            kafka,
            postgres,
            redis,
            keyctl,
            bills,
            root,
            store,
            directory,
        })
    }

    /// A customer of the root, with a live and a test key.
    pub async fn customer(&self, name: &str, plan: &str) -> Result<Customer, DeploymentError> {
        let tenant = self.keyctl.create_tenant(name, "customer", Some(self.root), Some(plan)).await?;
        let live = self.keyctl.create_key(tenant, "live", Mode::Live).await?;
        let test = self.keyctl.create_key(tenant, "test", Mode::Test).await?;
        Ok(Customer { tenant, key: live.secret, key_id: live.id, test_key: test.secret })
    }

    /// Returns the customer with another live key.
    pub async fn another_key(&self, customer: &Customer, name: &str) -> Result<Customer, DeploymentError> {
        let key = self.keyctl.create_key(customer.tenant, name, Mode::Live).await?;
        Ok(Customer { key: key.secret, key_id: key.id, ..customer.clone() })
    }

    /// All gateways.
    pub fn gateways(&self) -> impl Iterator<Item = &GatewayProcess> {
        std::iter::once(&self.gateway).chain(&self.siblings)
    }

    /// All gateways, to harm.
    pub fn gateways_mut(&mut self) -> impl Iterator<Item = &mut GatewayProcess> {
        std::iter::once(&mut self.gateway).chain(&mut self.siblings)
    }

    /// Load from these customers in turn, counted under their key ids; its pace and length are the
    /// caller's.
    pub fn load(&self, customers: &[Customer]) -> Load {
        let request =
            |customer: &Customer| Request::get(&customer.key_id.to_string(), "/v1/hello").bearer(&customer.key);
        Load::new(self.gateway.address(), customers.iter().map(request).collect())
    }

    /// Starts one more ingester of the same group.
    pub async fn add_ingest(&mut self) -> Result<(), DeploymentError> {
        let name = format!("ingest-{}", self.ingest.len() + 1);
        let added = self.start_ingest(&name, &self.store, false).await?;
        self.ingest.push(added);
        Ok(())
    }

    /// Starts an ingester that books the topic into `store`, and waits until it consumes. The
    /// caller keeps it.
    pub async fn start_ingest(
        &self,
        name: &str,
        store: &str,
        from_beginning: bool,
    ) -> Result<IngestProcess, DeploymentError> {
        let access = KafkaAccess::from(self.kafka.as_ref().ok_or(DeploymentError::NoKafka)?);
        Ok(IngestProcess::start(self.directory.path(), name, store, &access, from_beginning).await?)
    }

    /// The tenant above all others.
    pub const fn root(&self) -> TenantId {
        self.root
    }

    /// URL of the store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Directory of configuration, logs and journal.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A gateway, and as many more like it as make `count`.
async fn start_gateways(
    options: GatewayOptions,
    count: u32,
) -> Result<(GatewayProcess, Vec<GatewayProcess>), ProcessError> {
    let gateway = GatewayProcess::start(options).await?;
    let mut siblings = Vec::new();
    for number in 2..=count {
        siblings.push(gateway.start_sibling(&format!("gateway-{number}")).await?);
    }
    Ok((gateway, siblings))
}

/// A route whose requests cost one unit, and one whose upstream says what they cost.
fn routes() -> Value {
    json!([
        { "name": "api", "path_prefix": "/v1", "strip_prefix": true, "upstream": "demo" },
        {
            "name": "bulk", "path_prefix": "/bulk", "strip_prefix": true, "upstream": "demo",
            "units": { "header": "X-Usage-Units", "default": 1 },
        },
    ])
}

/// Runs `billing` and returns what it printed.
pub(crate) async fn billing_command(arguments: &[&str]) -> Result<Vec<u8>, DeploymentError> {
    let finished = tokio::process::Command::new(processes::binary("billing")?).args(arguments).output().await?;
    if finished.status.success() {
        return Ok(finished.stdout);
    }
    Err(DeploymentError::Billing {
        command: arguments.join(" "),
        message: format!(
            "{}{}",
            String::from_utf8_lossy(&finished.stderr).trim(),
            String::from_utf8_lossy(&finished.stdout).trim(),
        ),
    })
}

async fn in_background<T: Send + 'static>(
    start: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, DeploymentError> {
    Ok(tokio::task::spawn_blocking(start).await??)
}
