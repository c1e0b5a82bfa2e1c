//! `billing serve` as a process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use serde_json::{Value, json};
use servers::Process;

use super::{Launch, ProcessError, binary, pepper, pepper_file, port, wait_ready, write_yaml};

/// Path of billing's health.
const READY_PATH: &str = "/health";

/// A running `billing serve`.
#[derive(Debug)]
pub struct BillingProcess {
    /// The process, to stop, kill, pause or look into.
    pub process: Process,
    address: SocketAddr,
    store: String,
}

impl BillingProcess {
    /// Starts billing on `store` and waits until it answers. `billing.yaml`, `billing.log` and the
    /// pepper stand in `directory`; port 0 takes a free one, which it keeps over restarts.
    pub async fn start(directory: &Path, store: &str, port: u16) -> Result<Self, ProcessError> {
        Self::start_at(directory, store, port, None, false, &json!({})).await
    }

    /// As [`BillingProcess::start`] on a free port, with more settings.
    pub async fn start_with(directory: &Path, store: &str, settings: &Value) -> Result<Self, ProcessError> {
        Self::start_at(directory, store, 0, None, false, settings).await
    }

    /// As [`BillingProcess::start`], held to `cores`.
    pub async fn start_on_cores(
        directory: &Path,
        store: &str,
        port: u16,
        cores: Option<String>,
    ) -> Result<Self, ProcessError> {
        Self::start_at(directory, store, port, cores, false, &json!({})).await
    }

    /// As [`BillingProcess::start`], giving way to everything else on this machine.
    pub async fn start_yielding(directory: &Path, store: &str, port: u16) -> Result<Self, ProcessError> {
        Self::start_at(directory, store, port, None, true, &json!({})).await
    }

    async fn start_at(
        directory: &Path,
        store: &str,
        port: u16,
        cores: Option<String>,
        yields: bool,
        more: &Value,
    ) -> Result<Self, ProcessError> {
        let address = port::resolve(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "`listen` of billing")?;
        pepper(directory)?;
        let config = directory.join("billing.yaml");
        let mut settings = json!({ "listen": address, "store": store, "pepper_file": pepper_file(directory) });
        if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
            settings.extend(more.clone());
        }
        write_yaml(&config, &settings)?;
        let process = Launch {
            name: "billing".into(),
            program: binary("billing")?,
            arguments: vec!["serve".into(), "--config".into(), config.into()],
            directory: directory.to_owned(),
            cores,
            yields,
        }
        .start()?;
        let mut billing = Self { process, address, store: store.to_owned() };
        billing.wait_ready().await?;
        Ok(billing)
    }

    /// Starts it again on the same address, after it was stopped or killed, and waits until it
    /// answers.
    pub async fn restart(&mut self) -> Result<(), ProcessError> {
        self.process.start()?;
        self.wait_ready().await
    }

    /// Waits until it answers.
    pub async fn wait_ready(&mut self) -> Result<(), ProcessError> {
        wait_ready(&mut self.process, self.address, READY_PATH).await
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, as the gateway's usage sink names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// URL of its store.
    pub fn store(&self) -> &str {
        &self.store
    }
}
