//! `billing ingest` as a process.

use std::{net::SocketAddr, path::Path};

use serde_json::json;
use servers::Process;

use super::{KafkaAccess, Launch, ProcessError, binary, pepper, pepper_file, port, probe, wait_ready, write_yaml};

/// Path that answers 200 while ingest consumes.
const READY_PATH: &str = "/health";

/// A running `billing ingest`.
#[derive(Debug)]
pub struct IngestProcess {
    /// The process, to stop, kill, pause or look into.
    pub process: Process,
    address: SocketAddr,
}

impl IngestProcess {
    /// Starts an ingester called `name` that books the topic `usage.events` of `kafka` into
    /// `store`, and waits until it consumes.
    pub async fn start(
        directory: &Path,
        name: &str,
        store: &str,
        kafka: &KafkaAccess,
        from_beginning: bool,
    ) -> Result<Self, ProcessError> {
        let mut ingest = Self::spawn(directory, name, store, kafka, from_beginning)?;
        ingest.wait_ready().await?;
        Ok(ingest)
    }

    /// As [`IngestProcess::start`], without waiting. Broker time-outs are short, as drills have no
    /// patience for the usual ones.
    pub fn spawn(
        directory: &Path,
        name: &str,
        store: &str,
        kafka: &KafkaAccess,
        from_beginning: bool,
    ) -> Result<Self, ProcessError> {
        let address = port::free_address()?;
        pepper(directory)?;
        let config = directory.join(format!("{name}.yaml"));
        let mut properties = kafka.properties.clone();
        for (property, milliseconds) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")] {
            properties.insert(property.into(), milliseconds.into());
        }
        let settings = json!({
            "store": store,
            "pepper_file": pepper_file(directory),
            "ingest": { "listen": address, "brokers": kafka.brokers, "properties": properties },
        });
        write_yaml(&config, &settings)?;
        let mut arguments = vec!["ingest".into(), "--config".into(), config.into()];
        if from_beginning {
            arguments.push("--from-beginning".into());
        }
        let process = Launch {
            name: name.into(),
            program: binary("billing")?,
            arguments,
            directory: directory.to_owned(),
            cores: None,
            yields: false,
        }
        .start()?;
        Ok(Self { process, address })
    }

    /// Address of its health and metrics.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again, after it was stopped or killed, and waits until it consumes.
    pub async fn restart(&mut self) -> Result<(), ProcessError> {
        self.process.start()?;
        self.wait_ready().await
    }

    /// Waits until it consumes.
    pub async fn wait_ready(&mut self) -> Result<(), ProcessError> {
        wait_ready(&mut self.process, self.address, READY_PATH).await
    }

    /// Messages of a topic of so many partitions that are not booked yet, once it has looked at
    /// every partition.
    pub async fn lag(&self, partitions: usize) -> Result<Option<u64>, ProcessError> {
        let answer = probe::get(self.address, "/metrics").await;
        let failed = |source| ProcessError::NoAnswer { name: self.process.name().to_owned(), source };
        let metrics = answer.map_err(failed)?.body;
        let lags = metrics.lines().filter(|line| line.starts_with("tollgate_ingest_lag_messages{"));
        let lags: Vec<_> =
            lags.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok())).collect();
        Ok(if lags.len() < partitions { None } else { lags.into_iter().sum() })
    }
}
