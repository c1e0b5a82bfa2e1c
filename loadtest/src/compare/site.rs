//! What all rows share: the upstream, billing with its store, tenants with their keys, and the requests to send.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use common::{
    id::TenantId,
    key::{Mode, Pepper, Secret},
    plan::{PlanFile, PlanId},
    store::{NewKey, NewTenant, Store},
    tenant::TenantKind,
    time::{Clock as _, Micros, SystemClock, Zone},
};
use tempfile::TempDir;

use super::{CompareError, cores::Cores, nginx::find_program};
use crate::{
    fleet::{self, BillingProcess, FleetError, Launch, ServerProcess, wait_ready},
    load::Request,
    upstream::ACCEPTED_PATH,
};

const TENANTS: usize = 10;
const KEYS_PER_TENANT: usize = 10;

/// What every request asks for.
const PATH: &str = "/v1/hello";

/// The enterprise plan with every kind of limit, each too high ever to refuse.
const PLANS: &str = r#"
plans:
  - id: loadtest
    name: Load test
    currency: USD
    flat_fee: "999.00"
    charges:
      - { meter: requests, included: 50000000, tiers: [{ price: { amount: "2.00", per: 1000000 } }] }
    quotas:
      - { meter: requests, per_month: 1000000000000 }
    limits:
      tenant: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
      key: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
"#;

/// What all rows share. Everything in it ends when it is dropped.
pub(super) struct Site {
    pub(super) cores: Cores,
    pub(super) upstream: ServerProcess,
    pub(super) upstream_address: SocketAddr,
    pub(super) billing: BillingProcess,
    pub(super) store: Store,
    /// One for each key, labelled with the key's id.
    pub(super) requests: Vec<Request>,
    /// What the client received from the gateway so far, by key.
    pub(super) received: BTreeMap<String, u64>,
    /// Requests to the gateway that were not answered.
    pub(super) unanswered: u64,
    directory: TempDir,
}

impl Site {
    /// Starts it on the cores that are not the proxies'.
    pub(super) async fn build() -> Result<Self, CompareError> {
        if find_program("taskset").is_none() {
            return Err(CompareError::ProgramMissing { program: "taskset", package: "util-linux", hint: "" });
        }
        let cores = Cores::available()?;
        cores.leave_proxy_core()?;
        let directory = tempfile::Builder::new()
            .prefix("tollgate-loadtest-")
            .tempdir()
            .map_err(|source| CompareError::System { what: "cannot make a temporary directory".into(), source })?;
        let (upstream, upstream_address) = start_upstream(directory.path()).await?;
        let url = format!("sqlite://{}", directory.path().join("tollgate.db").display());
        let billing = BillingProcess::start(directory.path(), &url, 0).await?;
        let store = Store::open(&url).await?;
        let pepper = fleet::pepper(directory.path())?;
        let requests = create_tenants(&store, &pepper).await?;
        Ok(Self {
            cores,
            upstream,
            upstream_address,
            billing,
            store,
            requests,
            received: BTreeMap::new(),
            unanswered: 0,
            directory,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

async fn start_upstream(directory: &Path) -> Result<(ServerProcess, SocketAddr), FleetError> {
    let address = fleet::free_address()?;
    let mut process = ServerProcess::start(Launch {
        name: "upstream".into(),
        program: fleet::binary("upstream")?,
        arguments: vec!["--listen".into(), address.to_string().into()],
        directory: PathBuf::from(directory),
        cores: None,
    })?;
    wait_ready(&mut process, address, ACCEPTED_PATH).await?;
    Ok((process, address))
}

/// Creates the plan, a root, its customers and their keys; gives back a request for each key.
async fn create_tenants(store: &Store, pepper: &str) -> Result<Vec<Request>, CompareError> {
    let now = SystemClock.now();
    let pepper = Pepper::new(pepper.as_bytes())
        .map_err(|error| CompareError::System { what: "pepper".into(), source: std::io::Error::other(error) })?;
    let plans = PlanFile::parse(PLANS, "the plan of the comparison")?.plans;
    store.apply_plans(&plans, now).await?;
    let plan = plans.first().map(|plan| plan.id.clone());
    let root = create_tenant(store, TenantKind::Root, None, None, now).await?;
    let mut requests = Vec::new();
    for _ in 0..TENANTS {
        let tenant = create_tenant(store, TenantKind::Customer, Some(root), plan.clone(), now).await?;
        for _ in 0..KEYS_PER_TENANT {
            let secret = Secret::generate(Mode::Live);
            let new = NewKey {
                tenant,
                name: "load test".into(),
                mode: Mode::Live,
                hash: pepper.hash(&secret),
                pepper_id: pepper.id().to_owned(),
                hint: secret.hint().to_owned(),
                expires_at: None,
            };
            let key = store.create_key(&new, now).await?;
            requests.push(Request::get(&key.id.to_string(), PATH).bearer(secret.expose()));
        }
    }
    Ok(requests)
}

async fn create_tenant(
    store: &Store,
    kind: TenantKind,
    parent: Option<TenantId>,
    plan: Option<PlanId>,
    now: Micros,
) -> Result<TenantId, CompareError> {
    let new = NewTenant { parent, kind, name: format!("Load test {kind}"), zone: Zone::utc(), plan };
    Ok(store.create_tenant(&new, now).await?.id)
}
