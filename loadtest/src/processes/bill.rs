//! The bill as finance sees it: what `billing run --dry-run --output json` prints.

use std::path::PathBuf;

use common::{id::TenantId, time::Period};
use serde::Deserialize;
use tokio::process::Command;

/// Every invoice draft of a period.
#[derive(Debug, Clone, Deserialize)]
pub struct Bill {
    /// One per subscribed tenant.
    pub invoices: Vec<Invoice>,
}

/// The fields of an invoice that the demo reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Invoice {
    /// The tenant that pays.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// The currency of the total.
    pub currency: String,
    /// Requests recorded in the period, billed or not.
    pub requests: u64,
    /// Requests that count.
    pub billable_requests: u64,
    /// Units that count.
    pub billable_units: u64,
    /// Requests under test keys.
    pub test_requests: u64,
    /// Requests that the gateway refused.
    pub refused_requests: u64,
    /// The sum of the lines, in minor units.
    pub total_minor: i64,
    /// The sum of the lines, as printed.
    pub total: String,
}

/// The bill cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// The binary could not be started.
    #[error("cannot start `billing run`: {0}")]
    Start(#[from] std::io::Error),
    /// It ran and failed.
    #[error("`billing run` failed: {0}")]
    Failed(String),
    /// It printed something else than the JSON expected.
    #[error("`billing run` printed something unexpected: {0}")]
    Output(#[from] serde_json::Error),
}

/// Runs `billing run --dry-run` against one store.
#[derive(Debug, Clone)]
pub struct BillReader {
    /// The binary.
    pub binary: PathBuf,
    /// URL of the store.
    pub store: String,
}

impl BillReader {
    /// The drafts of `period`.
    pub async fn read(&self, period: Period) -> Result<Bill, BillError> {
        let finished = Command::new(&self.binary)
            .args(["run", "--dry-run", "--output", "json", "--store", &self.store, "--period", &period.to_string()])
            .output()
            .await?;
        if !finished.status.success() {
            return Err(BillError::Failed(String::from_utf8_lossy(&finished.stderr).trim().to_owned()));
        }
        Ok(serde_json::from_slice(&finished.stdout)?)
    }
}

impl Bill {
    /// The invoice of one tenant.
    pub fn of(&self, tenant: TenantId) -> Option<&Invoice> {
        self.invoices.iter().find(|invoice| invoice.tenant == tenant)
    }
}
