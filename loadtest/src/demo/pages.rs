//! The way into console and portal: an admin key of the root, and links that sign somebody in.

use std::path::Path;

use common::id::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tenants::Tenants;
use crate::processes::{Keyctl, KeyctlError};

/// Plans that the customers of the demo may change to by themselves.
const SELF_SERVICE: [&str; 3] = ["free", "starter", "growth"];

/// Looks of the reseller's documents and portal.
const COLOUR: &str = "#0f766e";

/// The way into console and portal.
#[derive(Debug, Clone, Serialize)]
pub struct Pages {
    /// Address of the business API.
    pub billing: String,
    /// Address of the gateway.
    pub gateway: String,
    /// An admin key with the role owner at the root.
    pub admin_key: String,
    /// The root.
    pub root: TenantId,
    /// The reseller.
    pub reseller: TenantId,
    /// The customer whose portal it is.
    pub customer: TenantId,
    /// The customer that sends more than its plan allows.
    pub trial: TenantId,
    /// A link into the console; it works once, within ten minutes.
    pub console: String,
    /// A link into the customer's portal; it works once, within ten minutes.
    pub portal: String,
}

/// The pages could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// The admin key could not be created.
    #[error(transparent)]
    Keyctl(#[from] KeyctlError),
    /// The business API did not answer.
    #[error("the business API did not answer: {0}")]
    Call(#[from] reqwest::Error),
    /// The business API refused.
    #[error("the business API refused {path}: {answer}")]
    Refused {
        /// The path of the request.
        path: String,
        /// Its answer.
        answer: String,
    },
    /// The file for programs could not be written.
    #[error("cannot write {0}")]
    File(#[from] std::io::Error),
}

#[derive(Deserialize)]
struct Link {
    url: String,
}

impl Pages {
    /// Opens plans to self-service, and makes an admin key and a link into each of the two.
    pub(super) async fn open(
        keyctl: &Keyctl,
        tenants: &Tenants,
        billing: String,
        gateway: String,
    ) -> Result<Self, PagesError> {
        let admin_key = keyctl.create_admin_key(tenants.root, "demo", "owner").await?;
        let customer = tenants.customers.first().map_or(tenants.trial.tenant, |customer| customer.tenant);
        let api = Api { client: reqwest::Client::new(), base: &billing, key: &admin_key };
        for plan in SELF_SERVICE {
            api.send("PUT", &format!("/v1/plans/{plan}/self-service"), &json!({ "allowed": true })).await?;
        }
        // Looks are tried on a sample first, which takes the program that typesets documents.
        let branding = json!({ "colour": COLOUR, "contact": { "email": "billing@northwind.example" } });
        let _ = api.send("PUT", &format!("/v1/tenants/{}/branding", tenants.reseller), &branding).await;
        let link = async |tenant: TenantId, user: &str, app: &str, role: &str| {
            let body = json!({ "tenant": tenant, "user": user, "app": app, "role": role });
            let made = api.send("POST", "/v1/portal/sessions", &body).await?;
            let Link { url } = serde_json::from_value(made.clone()).map_err(|_| PagesError::Refused {
                path: "/v1/portal/sessions".to_owned(),
                answer: made.to_string(),
            })?;
            Ok::<_, PagesError>(format!("{billing}{url}"))
        };
        let console = link(tenants.root, "demo operator", "console", "admin").await?;
        let portal = link(customer, "demo customer", "portal", "admin").await?;
        let (root, reseller, trial) = (tenants.root, tenants.reseller, tenants.trial.tenant);
        Ok(Self { admin_key, root, reseller, customer, trial, console, portal, gateway, billing: billing.clone() })
    }

    /// Writes the pages for programs: tests begin with them.
    pub(super) fn write(&self, directory: &Path) -> Result<(), PagesError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from)?;
        Ok(std::fs::write(directory.join("pages.json"), text)?)
    }
}

struct Api<'a> {
    client: reqwest::Client,
    base: &'a str,
    key: &'a str,
}

impl Api<'_> {
    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, PagesError> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(self.key);
        let answer = request.json(body).send().await?;
        let is_good = answer.status().is_success();
        let document: Value = answer.json().await?;
        if is_good {
            return Ok(document);
        }
        Err(PagesError::Refused { path: path.to_owned(), answer: document.to_string() })
    }
}
