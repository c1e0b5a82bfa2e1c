//! The part that all rows share: the upstream, billing with its store, Redis if a row needs it, and
//! the keys.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use common::{plan::PlanLimits, store::Store};
use servers::Redis;
use tempfile::TempDir;

use super::{
    CompareError,
    cores::Cores,
    customers::{Customers, Key},
    nginx::find_program,
};
use crate::{
    processes::{self, BillingProcess, GatewayOptions, Launch, Process, ProcessError, UsageSink, wait_ready},
    upstream::ACCEPTED_PATH,
};

/// The part that all rows share. Everything in it ends when it is dropped.
pub(super) struct Fixture {
    pub(super) cores: Cores,
    pub(super) upstream: Process,
    pub(super) upstream_address: SocketAddr,
    pub(super) billing: BillingProcess,
    /// Started by the rows that need it.
    pub(super) redis: Option<Redis>,
    pub(super) store: Store,
    pub(super) keys: Vec<Key>,
    /// Limits of the keys and of their tenants.
    pub(super) limits: PlanLimits,
    /// Answers that the client received, by key. The store has to show all of them but the denials.
    pub(super) received: BTreeMap<String, u64>,
    /// Requests for which no answer came although there may be usage.
    pub(super) unanswered: u64,
    /// Answers among them that are denials, under all keys together: they make no usage.
    pub(super) denied: u64,
    directory: TempDir,
}

impl Fixture {
    /// Starts everything on the cores that are not the contestants'.
    pub(super) async fn build(customers: &Customers) -> Result<Self, CompareError> {
        if find_program("taskset").is_none() {
            return Err(CompareError::ProgramMissing { program: "taskset", package: "util-linux", hint: "" });
        }
        let cores = Cores::available()?;
        cores.leave_contestants_core()?;
        let directory = tempfile::Builder::new()
            .prefix("tollgate-loadtest-")
            .tempdir()
            .map_err(|source| CompareError::System { what: "cannot make a temporary directory".into(), source })?;
        let (upstream, upstream_address) = start_upstream(directory.path()).await?;
        let url = format!("sqlite://{}", directory.path().join("tollgate.db").display());
        // It is not compared: the client must not wait for it on the cores that both run on.
        let billing = BillingProcess::start_yielding(directory.path(), &url, 0).await?;
        let store = Store::open(&url).await?;
        let pepper = processes::pepper(directory.path())?;
        let (limits, keys) = customers.create(&store, &pepper).await?;
        Ok(Self {
            cores,
            upstream,
            upstream_address,
            billing,
            redis: None,
            store,
            keys,
            limits,
            received: BTreeMap::new(),
            unanswered: 0,
            denied: 0,
            directory,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Options of a gateway that is measured.
    pub(super) fn gateway(&self) -> GatewayOptions {
        let sink = UsageSink::Http(self.billing.url());
        GatewayOptions {
            cores: Some(self.cores.contestant()),
            ..GatewayOptions::new(self.directory(), self.billing.store(), sink, self.upstream_address)
        }
    }

    /// Starts another program that is measured and waits until it answers on `health`.
    pub(super) async fn launch(
        &self,
        program: &str,
        arguments: Vec<OsString>,
        address: SocketAddr,
        health: &str,
    ) -> Result<Process, ProcessError> {
        let mut process = Launch {
            name: program.into(),
            program: processes::binary(program)?,
            arguments,
            directory: self.directory().to_owned(),
            cores: Some(self.cores.contestant()),
            yields: false,
        }
        .start()?;
        wait_ready(&mut process, address, health).await?;
        Ok(process)
    }
}

async fn start_upstream(directory: &Path) -> Result<(Process, SocketAddr), ProcessError> {
    let address = processes::free_address()?;
    let mut process = Launch {
        name: "upstream".into(),
        program: processes::binary("upstream")?,
        arguments: vec!["--listen".into(), address.to_string().into()],
        directory: PathBuf::from(directory),
        cores: None,
        yields: false,
    }
    .start()?;
    wait_ready(&mut process, address, ACCEPTED_PATH).await?;
    Ok((process, address))
}
