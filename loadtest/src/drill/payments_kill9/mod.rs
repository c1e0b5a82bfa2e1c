//! `kill -9` of `billing serve` while it collects payments and takes webhooks, with a provider that
//! answers late, never, or with an error after it has charged: nobody is charged twice, nobody is
//! forgotten, and the provider's own books agree.

mod buyers;
pub(super) mod charges;
mod provider;

use std::time::Duration;

use common::{
    id::InvoiceId,
    time::{Clock as _, SystemClock},
};
use rand::RngExt as _;
use reqwest::Client;
use serde_json::{Value, json};
use servers::Postgres;
use tokio::{task::spawn_blocking, time::sleep};

use self::{buyers::Buyers, provider::Provider};
use super::{
    error::DrillError,
    harm::Times,
    outcome::{Drill, Outcome},
};
use crate::{
    deployment::billing_command,
    processes::{self, BillingProcess, Keyctl, KeyctlError},
};

pub(super) const DRILL: Drill = Drill {
    name: "payments-kill9",
    about: "kill -9 of billing serve while it collects payments from a provider that fails as well",
    faults: 50,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Invoices that are issued before each fault.
const INVOICES: usize = 6;

/// Latest moment of a kill.
const SPAN: Duration = Duration::from_millis(900);

/// Longest that a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks of the job at the end, each as if minutes later.
const LOOKS: i64 = 20;

/// Time between two such looks, on the clock that travels.
const LOOK_SECONDS: i64 = 120;

async fn run(faults: u32, _times: Times) -> Result<Outcome, DrillError> {
    // A second provider of cryptography would be one installed already: either serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir()?;
    let postgres = spawn_blocking(Postgres::start).await??;
    let url = postgres.url("postgres");
    let provider = Provider::start().await?;
    let buyers = Buyers::build(&url, &provider).await?;
    let settings = provider.settings(directory.path(), buyers.root)?;
    let mut billing = BillingProcess::start_with(directory.path(), &url, &settings).await?;
    provider.tell(&format!("{}/v1/providers/stripe/{}/events", billing.url(), buyers.root)).await?;
    let client = Collector::new(directory.path(), &url, &billing, &buyers).await?;
    let mut repeated = 0;
    for _ in 0..faults {
        let invoices = buyers.issue(INVOICES).await?;
        provider.fail_at_random().await?;
        let collecting = tokio::spawn(client.clone().collect(invoices));
        sleep(SPAN.mul_f64(rand::rng().random_range(0.0..1.0))).await;
        billing.process.kill()?;
        repeated += collecting.await?;
        billing.restart().await?;
    }
    // What is left over is the job's, on a clock that travels.
    let config = directory.path().join("billing.yaml").display().to_string();
    for look in 1..=LOOKS {
        let now = SystemClock.now().plus_seconds(look * LOOK_SECONDS).to_string();
        billing_command(&["jobs", "run", "--now", &now, "--config", &config]).await?;
        if buyers.unpaid().await? == 0 {
            break;
        }
    }
    let charges = buyers.charges(&provider.intents().await?).await?;
    let audit = billing_command(&["audit", "--store", &url]).await.err().map(|error| error.to_string());
    let wrong = charges.wrong().or(audit);
    Ok(Outcome {
        faults,
        at_risk: repeated,
        received: charges.charged as u64,
        billed: charges.expected as u64,
        ok: wrong.is_none(),
        wrong,
        charges: Some(charges),
        ..Outcome::of(DRILL.name)
    })
}

/// A client that asks the API to collect invoices.
#[derive(Clone)]
struct Collector {
    client: Client,
    url: String,
    token: String,
}

impl Collector {
    async fn new(
        directory: &std::path::Path,
        store: &str,
        billing: &BillingProcess,
        buyers: &Buyers,
    ) -> Result<Self, DrillError> {
        let keyctl = Keyctl {
            binary: processes::binary("keyctl")?,
            store: store.to_owned(),
            pepper: processes::pepper(directory)?,
        };
        let root = buyers.root.to_string();
        let arguments = ["admin-key", "create", "--name", "collector", "--role", "billing", "--tenant", &root];
        let created: Value = serde_json::from_slice(&keyctl.call(arguments).await?).map_err(KeyctlError::from)?;
        let token = created["secret"].as_str().unwrap_or_default().to_owned();
        let client = Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| DrillError::Patience(error.to_string()))?;
        Ok(Self { client, url: billing.url(), token })
    }

    /// Asks for each of the invoices, twice; gives the requests without an answer.
    async fn collect(self, invoices: Vec<InvoiceId>) -> u64 {
        let mut lost = 0;
        for invoice in invoices.iter().chain(&invoices) {
            let url = format!("{}/v1/invoices/{invoice}/payment-attempts", self.url);
            let asked = self.client.post(url).bearer_auth(&self.token).json(&json!({})).send().await;
            lost += u64::from(asked.is_err());
        }
        lost
    }
}
