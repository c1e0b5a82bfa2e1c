//! Requests received, billed and accepted, per key.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use servers::within;

use super::{Deployment, DeploymentError, PARTITIONS, billing_command};
use crate::{
    load::LoadResult,
    processes::{self, Keyctl},
};

/// Longest time from the gateway's journal to the bill, after an outage of minutes.
const PATIENCE: Duration = Duration::from_mins(5);

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Looks in a row that must show the same bill before it counts as final.
const SAME_LOOKS: u32 = 10;

/// The client's counts of a test, and the bill beside them.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// By key id.
    pub keys: BTreeMap<String, KeyBooks>,
    /// Requests that were open during a fault and got no answer.
    pub at_risk: u64,
    /// Requests that the gateway served without a record, by the policy `serve_unmetered`.
    pub unmetered: u64,
    /// Requests that other servers than the deployment's upstream accepted, by key id.
    pub accepted_elsewhere: BTreeMap<String, u64>,
}

/// The three numbers of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyBooks {
    /// Answers that the client received in full.
    pub received: u64,
    /// Requests on the bill.
    pub billed: u64,
    /// Requests that the upstream accepted.
    pub accepted: u64,
}

/// Usage of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct KeyUsage {
    /// Requests recorded.
    pub requests: u64,
    /// Requests among them whose client left before the answer.
    pub aborted: u64,
    /// Their units.
    pub units: u64,
    /// Billable units.
    pub billable_units: u64,
}

impl Books {
    /// Adds what a load received.
    pub fn add(&mut self, result: &LoadResult) {
        for (key, by_status) in &result.by_label {
            self.keys.entry(key.clone()).or_default().received += by_status.get(&200).copied().unwrap_or(0);
        }
        self.at_risk += result.failures.closed + result.failures.timeout;
    }

    /// Sums over all keys.
    pub fn total(&self) -> KeyBooks {
        self.keys.values().fold(KeyBooks::default(), |sum, key| KeyBooks {
            received: sum.received + key.received,
            billed: sum.billed + key.billed,
            accepted: sum.accepted + key.accepted,
        })
    }

    /// Returns true if `received <= billed <= accepted` for every key, and anything was received at
    /// all. Unmetered requests are known as a sum only, so they are allowed for in the sum.
    pub fn balance(&self) -> bool {
        let total = self.total();
        let nothing_invented = self.keys.values().all(|key| key.billed <= key.accepted);
        let nothing_lost = match self.unmetered {
            0 => self.keys.values().all(|key| key.received <= key.billed),
            unmetered => total.received <= total.billed + unmetered && total.billed + unmetered <= total.accepted,
        };
        total.received > 0 && nothing_invented && nothing_lost
    }
}

impl Deployment {
    /// Waits until the gateways' journals are empty and the bill stands still, then fills in what
    /// was billed and accepted.
    pub async fn reconcile(&mut self, books: &mut Books) -> Result<(), DeploymentError> {
        self.journals_are_empty().await?;
        // What is not acknowledged leaves with the gateway; what is, may still be on its way
        // through the broker.
        for gateway in self.gateways_mut() {
            gateway.process.stop().await?;
        }
        let (mut before, mut same) = (BTreeMap::new(), 0);
        let stands_still = within(PATIENCE, LOOK_INTERVAL, async || {
            let billed = self.billed().await?;
            let missing = |(key, counted): (&String, &KeyBooks)| {
                counted.received.saturating_sub(billed.get(key).copied().unwrap_or(0))
            };
            let reached = books.keys.iter().map(missing).sum::<u64>() <= books.unmetered;
            same = if reached && billed == before { same + 1 } else { 0 };
            before = billed;
            Ok::<_, DeploymentError>(same == SAME_LOOKS)
        });
        // A bill that never stands still is compared as it was last seen.
        stands_still.await.transpose()?;
        let accepted = self.upstream.accepted().by_key;
        let count = |counts: &BTreeMap<String, u64>, key: &String| counts.get(key).copied().unwrap_or(0);
        for (key, counted) in &mut books.keys {
            counted.billed = count(&before, key);
            counted.accepted = count(&accepted, key) + count(&books.accepted_elsewhere, key);
        }
        Ok(())
    }

    /// Runs `billing audit`, which fails if the books are wrong.
    pub async fn audit(&self) -> Result<(), DeploymentError> {
        billing_command(&["audit", "--store", self.store()]).await.map(drop)
    }

    /// Waits until all records of the gateways are acknowledged.
    pub async fn journals_are_empty(&self) -> Result<(), DeploymentError> {
        #[derive(Deserialize)]
        struct Ready {
            journal: Journal,
        }
        #[derive(Deserialize)]
        struct Journal {
            entries: f64,
        }

        for gateway in self.gateways() {
            let mut entries = 0.0;
            let is_empty = within(PATIENCE, LOOK_INTERVAL, async || {
                let answer = processes::get(gateway.admin(), "/health/ready").await?;
                let ready: Ready = serde_json::from_str(&answer.body).map_err(|_| DeploymentError::Journal)?;
                entries = ready.journal.entries;
                Ok::<_, DeploymentError>(entries <= 0.0)
            });
            let is_empty = is_empty.await.transpose()?;
            is_empty.ok_or_else(|| DeploymentError::Patience(format!("{entries} entries are still in a journal")))?;
        }
        Ok(())
    }

    /// Requests on the bill, by key id.
    async fn billed(&self) -> Result<BTreeMap<String, u64>, DeploymentError> {
        let usage = self.usage_in(self.store()).await?;
        Ok(usage.into_iter().map(|(key, usage)| (key, usage.requests)).collect())
    }

    /// Usage in a store, by key id.
    pub async fn usage_in(&self, store: &str) -> Result<BTreeMap<String, KeyUsage>, DeploymentError> {
        #[derive(Deserialize)]
        struct Report {
            rows: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Row {
            key: String,
            #[serde(flatten)]
            usage: KeyUsage,
        }

        let keyctl = Keyctl { store: store.to_owned(), ..self.keyctl.clone() };
        let report: Report = serde_json::from_slice(&keyctl.call(["usage", "show", "--by", "key"]).await?)?;
        let mut keys = BTreeMap::<_, KeyUsage>::new();
        for row in report.rows {
            let sum = keys.entry(row.key).or_default();
            sum.requests += row.usage.requests;
            sum.aborted += row.usage.aborted;
            sum.units += row.usage.units;
            sum.billable_units += row.usage.billable_units;
        }
        Ok(keys)
    }

    /// Waits until the ingesters have consumed all of the topic, as their own metrics say.
    pub async fn consumed_everything(&self) -> Result<(), DeploymentError> {
        for ingest in &self.ingest {
            let has_caught_up = within(PATIENCE, LOOK_INTERVAL, async || {
                ingest.lag(PARTITIONS as usize).await.map(|lag| lag == Some(0))
            });
            let has_caught_up = has_caught_up.await.transpose()?;
            has_caught_up.ok_or_else(|| DeploymentError::Patience("an ingester still lags behind".into()))?;
        }
        Ok(())
    }
}
