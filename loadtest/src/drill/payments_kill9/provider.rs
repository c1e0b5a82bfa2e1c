//! The provider: localstripe, with faults.

use std::path::Path;

use common::id::TenantId;
use rand::{RngExt as _, seq::IndexedRandom as _};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use servers::LocalStripe;
use tokio::task::spawn_blocking;

use crate::drill::error::DrillError;

const KEY: &str = "sk_test_12345";
const SIGNING: &str = "whsec_of_a_drill";

/// Requests that fail after the provider has done what they ask for, and how.
const PATHS: [&str; 2] = ["payment_intents", "confirm"];
const KINDS: [&str; 3] = ["error", "late", "silent"];

/// The provider, and a client of it.
pub(super) struct Provider {
    stripe: LocalStripe,
    client: Client,
}

/// An intent in the provider's books.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) metadata: Value,
    pub(super) charges: usize,
}

fn failed(error: &dyn std::fmt::Display) -> DrillError {
    DrillError::Patience(format!("localstripe: {error}"))
}

impl Provider {
    pub(super) async fn start() -> Result<Self, DrillError> {
        let stripe = spawn_blocking(LocalStripe::start).await??;
        Ok(Self { stripe, client: Client::new() })
    }

    /// The section `payments` of billing, whose secrets stand in `directory`.
    pub(super) fn settings(&self, directory: &Path, issuer: TenantId) -> Result<Value, DrillError> {
        let [key, signing] = ["stripe-key", "stripe-webhook"].map(|name| directory.join(name));
        std::fs::write(&key, KEY)?;
        std::fs::write(&signing, SIGNING)?;
        let account = json!({
            "issuer": issuer, "base_url": self.stripe.url(), "secret_key_file": key, "webhook_secret_files": [signing],
        });
        let access = json!({ "tenant_requests_per_minute": 10_000_000 });
        Ok(json!({ "payments": { "stripe": [account] }, "access": access }))
    }

    /// Has it tell its events there.
    pub(super) async fn tell(&self, url: &str) -> Result<(), DrillError> {
        self.post("_config/webhooks/drill", &json!({ "url": url, "secret": SIGNING })).await.map(drop)
    }

    /// Has it fail now and then.
    pub(super) async fn fail_at_random(&self) -> Result<(), DrillError> {
        let (path, kind, times) = {
            let mut random = rand::rng();
            let pick = |of: &[&'static str], random: &mut _| of.choose(random).copied().unwrap_or_default();
            (pick(&PATHS, &mut random), pick(&KINDS, &mut random), random.random_range(0..3))
        };
        self.post("_config/faults", &json!({ "path": path, "kind": kind, "times": times })).await.map(drop)
    }

    /// Makes a customer with a saved card; gives their names.
    pub(super) async fn customer(&self, name: &str) -> Result<(String, String), DrillError> {
        let customer = id(&self.post("v1/customers", &json!({ "name": name })).await?)?;
        let card = json!({ "number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123" });
        let method = id(&self.post("v1/payment_methods", &json!({ "type": "card", "card": card })).await?)?;
        self.post(&format!("v1/payment_methods/{method}/attach"), &json!({ "customer": customer })).await?;
        Ok((customer, method))
    }

    /// Its books.
    pub(super) async fn intents(&self) -> Result<Vec<Intent>, DrillError> {
        let url = format!("{}/_config/intents", self.stripe.url());
        let answer = self.client.get(url).send().await.map_err(|error| failed(&error))?;
        answer.json().await.map_err(|error| failed(&error))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, DrillError> {
        let url = format!("{}/{path}", self.stripe.url());
        let answer = self.client.post(url).bearer_auth(KEY).json(body).send().await.map_err(|error| failed(&error))?;
        let text = answer.text().await.map_err(|error| failed(&error))?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

fn id(made: &Value) -> Result<String, DrillError> {
    made["id"].as_str().map(str::to_owned).ok_or_else(|| failed(&made))
}
