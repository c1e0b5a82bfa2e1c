//! Payments through the API of a `billing serve` that is killed meanwhile. A client repeats what was
//! not acknowledged, as it should.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    time::Duration,
};

use common::{
    id::{InvoiceId, TenantId},
    invoice::{InvoiceFilter, InvoiceStatus},
    store::{PageRequest, Store},
};
use rand::RngExt as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    drill::error::DrillError,
    processes::{self, BillingProcess, Keyctl, KeyctlError},
};

/// Latest moment of a kill.
const SPAN: Duration = Duration::from_millis(400);

/// Longest that a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time after which a request is sent again that was one too many.
const PAUSE: Duration = Duration::from_secs(1);

const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

/// A client of the API, and the API.
pub(super) struct Payments {
    billing: BillingProcess,
    client: Client,
    token: String,
    acknowledged: BTreeMap<InvoiceId, String>,
    /// Payments whose acknowledgement was lost.
    pub(super) repeated: u64,
}

impl Payments {
    pub(super) async fn start(directory: &Path, store: &str, root: TenantId) -> Result<Self, DrillError> {
        let billing = BillingProcess::start(directory, store, 0).await?;
        let keyctl = Keyctl {
            binary: processes::binary("keyctl")?,
            store: store.to_owned(),
            pepper: processes::pepper(directory)?,
        };
        let arguments = ["admin-key", "create", "--name", "bank", "--role", "billing", "--tenant", &root.to_string()];
        let created: Value = serde_json::from_slice(&keyctl.call(arguments).await?).map_err(KeyctlError::from)?;
        let token = created["secret"].as_str().unwrap_or_default().to_owned();
        let client = Client::builder().timeout(PATIENCE).build().map_err(|error| lost(&error))?;
        Ok(Self { billing, client, token, acknowledged: BTreeMap::new(), repeated: 0 })
    }

    /// Pays invoices until the API is killed, at a random moment; then starts it again.
    pub(super) async fn harm(&mut self, store: &Store) -> Result<(), DrillError> {
        let mut open = self.open(store).await?;
        let moment = SPAN.mul_f64(rand::rng().random_range(0.0..1.0));
        let (url, client, token) = (self.billing.url(), self.client.clone(), self.token.clone());
        let paying = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            while let Some((invoice, amount)) = open.pop_front() {
                match pay(&client, &url, &token, invoice, &amount).await {
                    Ok(()) => acknowledged.push(invoice),
                    Err(_) => return (acknowledged, 1),
                }
            }
            (acknowledged, 0)
        });
        sleep(moment).await;
        self.billing.process.kill()?;
        let (acknowledged, lost) = paying.await?;
        self.acknowledged.extend(acknowledged.into_iter().map(|invoice| (invoice, reference(invoice))));
        self.repeated += lost;
        self.billing.restart().await?;
        Ok(())
    }

    /// Pays what is open, undisturbed: also what was paid and not acknowledged.
    pub(super) async fn finish(&mut self, store: &Store) -> Result<(), DrillError> {
        for (invoice, amount) in self.open(store).await? {
            pay(&self.client, &self.billing.url(), &self.token, invoice, &amount).await?;
            self.acknowledged.insert(invoice, reference(invoice));
        }
        Ok(())
    }

    /// Invoices that the client has not seen paid, with their totals.
    async fn open(&self, store: &Store) -> Result<VecDeque<(InvoiceId, String)>, DrillError> {
        let found = store.invoices(InvoiceFilter::default(), ALL).await?.items;
        let unseen = found.into_iter().filter(|invoice| {
            let is_owed = invoice.status != InvoiceStatus::Void && invoice.total.minor() > 0;
            is_owed && !self.acknowledged.contains_key(&invoice.id)
        });
        Ok(unseen.map(|invoice| (invoice.id, invoice.total.digits())).collect())
    }

    /// Payments that the API has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    /// A payment that was acknowledged and is not recorded, or is recorded twice, in words.
    pub(super) fn wrong(&self, recorded: &[(InvoiceId, String)]) -> Option<String> {
        let known: BTreeSet<_> = recorded.iter().map(|(invoice, reference)| (*invoice, reference.as_str())).collect();
        if known.len() != recorded.len() {
            return Some(format!("{} payments are recorded twice", recorded.len() - known.len()));
        }
        let gone = self.acknowledged.iter().filter(|(invoice, name)| !known.contains(&(**invoice, name.as_str())));
        match gone.count() {
            0 => None,
            gone => Some(format!("{gone} payments were acknowledged and are not recorded")),
        }
    }
}

fn reference(invoice: InvoiceId) -> String {
    format!("transfer for {invoice}")
}

fn lost(error: &reqwest::Error) -> DrillError {
    DrillError::Patience(error.to_string())
}

/// Pays an invoice; waits and asks again if the API has been asked too often.
async fn pay(client: &Client, url: &str, token: &str, invoice: InvoiceId, amount: &str) -> Result<(), DrillError> {
    let body = json!({ "amount": amount, "reference": reference(invoice) });
    loop {
        let request = client.post(format!("{url}/v1/invoices/{invoice}/payments")).bearer_auth(token).json(&body);
        let response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status != StatusCode::TOO_MANY_REQUESTS {
            let text = response.text().await.unwrap_or_default();
            return Err(DrillError::Patience(format!("payment of {invoice}: {status} {text}")));
        }
        sleep(PAUSE).await;
    }
}
