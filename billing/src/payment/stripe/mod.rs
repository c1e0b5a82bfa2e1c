//! Stripe: payment intents, hosted pages and webhooks, over its HTTP API.
//!
//! Every request that changes something has an idempotency key that follows from what it is about, so
//! that a repetition gets the first answer.

mod amount;
mod intent;
mod refund;
mod signature;

use std::time::Duration;

use common::{
    id::TenantId,
    payment::{PaymentAttempt, RefundAttempt, SavedMethod},
    time::Micros,
};
pub(super) use intent::SetupDocument;
use intent::{ErrorDocument, IntentDocument, MethodDocument};
use refund::{RefundDocument, RefundsDocument};
use reqwest::{Client, Method, StatusCode, Url, header, redirect};
use serde::{Deserialize, de::DeserializeOwned};
pub use signature::{SignatureError, verify};

use super::provider::{Answer, Intent, PaymentProvider, ProviderError, Refund, SetupPage};

/// Its name in the store.
pub const NAME: &str = "stripe";

/// The address of its API unless the settings name another.
pub const BASE_URL: &str = "https://api.stripe.com";

/// The version of the API that is spoken, whatever the account's own is.
const VERSION: &str = "2024-06-20";

const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Longest time until the last byte of one answer. Stripe itself takes up to half a minute for a bank.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(40);

/// Longest answer that is read.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// The account of an issuer with Stripe.
pub struct Stripe {
    client: Client,
    base: Url,
    issuer: TenantId,
    secret_key: String,
    webhook_secrets: Vec<String>,
}

/// The reason for which an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StripeSetupError {
    /// The address is none.
    #[error("{url} is not the URL of an API: {reason}")]
    Url {
        /// The address.
        url: String,
        /// Fault of the address.
        reason: String,
    },
    /// The client cannot be made.
    #[error("cannot make a client for Stripe: {0}")]
    Client(reqwest::Error),
}

/// A list or a single thing with an error beside it.
#[derive(Deserialize)]
struct Failure {
    error: ErrorDocument,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Session {
    url: Option<String>,
}

impl Stripe {
    /// The account of `issuer` that `secret_key` opens. Webhooks are signed with any of
    /// `webhook_secrets`.
    pub fn new(
        base: &str,
        issuer: TenantId,
        secret_key: String,
        webhook_secrets: Vec<String>,
    ) -> Result<Self, StripeSetupError> {
        let refused = |reason: String| StripeSetupError::Url { url: base.to_owned(), reason };
        let base: Url = base.parse().map_err(|error| refused(format!("{error}")))?;
        if base.cannot_be_a_base() {
            return Err(refused("it has no host".into()));
        }
        // A second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME_LIMIT)
            .timeout(ANSWER_TIME_LIMIT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(StripeSetupError::Client)?;
        Ok(Self { client, base, issuer, secret_key, webhook_secrets })
    }

    /// The tenant that is paid into the account.
    pub const fn issuer(&self) -> TenantId {
        self.issuer
    }

    /// Checks the signature of a webhook.
    pub fn check(&self, header: &str, body: &[u8], now: Micros) -> Result<(), SignatureError> {
        verify(header, body, &self.webhook_secrets, now)
    }

    /// A setup intent, by its id.
    pub(super) async fn setup(&self, id: &str) -> Result<SetupDocument, ProviderError> {
        self.ask(Method::GET, &["setup_intents", id], &[], None).await
    }

    /// A saved method, by its id.
    pub(super) async fn method(&self, id: &str) -> Result<SavedMethod, ProviderError> {
        let method: MethodDocument = self.ask(Method::GET, &["payment_methods", id], &[], None).await?;
        Ok(method.saved())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        parameters: &[(&str, &str)],
        idempotency_key: Option<&str>,
    ) -> Result<T, ProviderError> {
        let mut url = self.base.clone();
        let silent = |reason: String| ProviderError::Silent { provider: NAME, reason };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let is_form = method == Method::POST;
        if !is_form && !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let mut request =
            self.client.request(method, url).bearer_auth(&self.secret_key).header("Stripe-Version", VERSION);
        if is_form {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form(&self.base, parameters));
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.map_err(|error| silent(chain(&error.without_url())))?;
        let status = answer.status();
        let body = read(answer).await.map_err(silent)?;
        if status.is_success() {
            let unexpected = |reason| ProviderError::Unexpected { provider: NAME, reason };
            return serde_json::from_slice(&body).map_err(|error| unexpected(error.to_string()));
        }
        Err(refusal(status, &body))
    }

    async fn intent_of<'a>(
        &'a self,
        method: Method,
        path: &'a [&'a str],
        parameters: &'a [(&'a str, &'a str)],
        key: Option<&'a str>,
    ) -> Result<Intent, ProviderError> {
        let document: IntentDocument = self.ask(method, path, parameters, key).await?;
        document.intent().map_err(unexpected)
    }

    /// Changes an intent; what became of it counts, whatever was answered.
    async fn change_intent(
        &self,
        attempt: &PaymentAttempt,
        intent: &str,
        verb: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Intent, ProviderError> {
        let key = format!("{}-{verb}", attempt.id);
        let changed = self.intent_of(Method::POST, &["payment_intents", intent, verb], parameters, Some(&key)).await;
        match changed {
            Err(ProviderError::Refused { .. } | ProviderError::Declined { .. }) => {
                self.intent_of(Method::GET, &["payment_intents", intent], &[], None).await
            }
            other => other,
        }
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn create_customer<'a>(&'a self, tenant: TenantId, name: &'a str) -> Answer<'a, String> {
        Box::pin(async move {
            let id = tenant.to_string();
            let key = format!("customer-{id}-of-{}", self.issuer);
            let parameters = [("name", name), ("metadata[tollgate_tenant]", id.as_str())];
            let customer: Named = self.ask(Method::POST, &["customers"], &parameters, Some(&key)).await?;
            Ok(customer.id)
        })
    }

    fn setup_page<'a>(&'a self, customer: &'a str, back_to: &'a str) -> Answer<'a, SetupPage> {
        Box::pin(async move {
            let parameters = [
                ("mode", "setup"),
                ("customer", customer),
                ("payment_method_types[0]", "card"),
                ("success_url", back_to),
                ("cancel_url", back_to),
            ];
            let session: Session = self.ask(Method::POST, &["checkout", "sessions"], &parameters, None).await?;
            let missing = || ProviderError::Unexpected { provider: NAME, reason: "the page has no address".into() };
            Ok(SetupPage { url: session.url.ok_or_else(missing)? })
        })
    }

    fn attach_method<'a>(&'a self, customer: &'a str, method: &'a str) -> Answer<'a, SavedMethod> {
        Box::pin(async move {
            let path = ["payment_methods", method, "attach"];
            let method: MethodDocument = self.ask(Method::POST, &path, &[("customer", customer)], None).await?;
            Ok(method.saved())
        })
    }

    fn create_intent<'a>(&'a self, attempt: &'a PaymentAttempt) -> Answer<'a, Intent> {
        Box::pin(async move {
            let amount = amount::to_stripe(attempt.amount).ok_or_else(|| ProviderError::Amount {
                provider: NAME,
                amount: attempt.amount.to_string(),
                reason: "Stripe takes no such amounts",
            })?;
            let currency = attempt.amount.currency().code().to_lowercase();
            let (amount, id, invoice) = (amount.to_string(), attempt.id.to_string(), attempt.invoice.to_string());
            let parameters = [
                ("amount", amount.as_str()),
                ("currency", currency.as_str()),
                ("customer", attempt.customer.as_str()),
                ("payment_method", attempt.method.as_str()),
                ("automatic_payment_methods[enabled]", "true"),
                ("automatic_payment_methods[allow_redirects]", "never"),
                ("metadata[tollgate_attempt]", id.as_str()),
                ("metadata[tollgate_invoice]", invoice.as_str()),
            ];
            self.intent_of(Method::POST, &["payment_intents"], &parameters, Some(&id)).await
        })
    }

    fn confirm_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(self.change_intent(attempt, intent, "confirm", &[("off_session", "true")]))
    }

    fn cancel_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(self.change_intent(attempt, intent, "cancel", &[]))
    }

    fn intent<'a>(&'a self, _attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent> {
        Box::pin(async move { self.intent_of(Method::GET, &["payment_intents", intent], &[], None).await })
    }

    fn find_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Option<Refund>> {
        Box::pin(async move {
            let query = [("payment_intent", attempt.payment.reference.as_str()), ("limit", "100")];
            let found: RefundsDocument = self.ask(Method::GET, &["refunds"], &query, None).await?;
            let id = attempt.id.to_string();
            let own = found.data.into_iter().find(|refund| refund.is_of(&id));
            own.map(|refund| refund.refund().map_err(unexpected)).transpose()
        })
    }

    fn create_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Refund> {
        Box::pin(async move {
            let amount = amount::to_stripe(attempt.amount).filter(|amount| {
                // What is rounded up would be more than is owed.
                amount::of_stripe(*amount, attempt.amount.currency()) == Some(attempt.amount)
            });
            let amount = amount.ok_or_else(|| ProviderError::Amount {
                provider: NAME,
                amount: attempt.amount.to_string(),
                reason: "Stripe takes no such amounts",
            })?;
            let (amount, id) = (amount.to_string(), attempt.id.to_string());
            let parameters = [
                ("payment_intent", attempt.payment.reference.as_str()),
                ("amount", amount.as_str()),
                ("metadata[tollgate_refund]", id.as_str()),
            ];
            let made: RefundDocument = self.ask(Method::POST, &["refunds"], &parameters, Some(&id)).await?;
            made.refund().map_err(unexpected)
        })
    }
}

fn unexpected(reason: String) -> ProviderError {
    ProviderError::Unexpected { provider: NAME, reason }
}

/// Parameters as the body of a form. `base` is any URL, whose machinery escapes them.
fn form(base: &Url, parameters: &[(&str, &str)]) -> String {
    let mut url = base.clone();
    url.query_pairs_mut().clear().extend_pairs(parameters);
    url.query().unwrap_or_default().to_owned()
}

/// The error that an answer with this status tells.
fn refusal(status: StatusCode, body: &[u8]) -> ProviderError {
    let error = serde_json::from_slice::<Failure>(body).map(|failure| failure.error).unwrap_or_default();
    let is_passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT);
    if is_passing {
        return ProviderError::Silent { provider: NAME, reason: format!("status {status}") };
    }
    if status == StatusCode::PAYMENT_REQUIRED {
        return ProviderError::Declined { provider: NAME, failure: error.failure() };
    }
    let code = error.code.clone().unwrap_or_else(|| format!("status {}", status.as_u16()));
    ProviderError::Refused { provider: NAME, code, message: error.message.unwrap_or_default() }
}

/// The body of an answer, if it is not too long.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(format!("its answer is longer than {ANSWER_MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with those that it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
