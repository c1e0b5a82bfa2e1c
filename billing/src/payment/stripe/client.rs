//! The client of Stripe's HTTP API.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url, header, redirect};
use serde::{Deserialize, de::DeserializeOwned};

use super::{NAME, StripeSetupError, intent::ErrorDocument};
use crate::payment::provider::ProviderError;

/// The version of the API that is spoken, whatever the account's own is.
const VERSION: &str = "2024-06-20";

const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Longest time until the last byte of one answer. Stripe itself takes up to half a minute for a bank.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(40);

/// Longest answer that is read.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// Most things of a list that are asked for at once; Stripe gives no more.
const PAGE: &str = "100";

/// Most pages of a list that are read.
const PAGES_MAX: usize = 1_000;

/// Speaks to Stripe for one account.
pub(super) struct StripeClient {
    client: Client,
    base: Url,
    secret_key: String,
}

#[derive(Deserialize)]
struct Failure {
    error: ErrorDocument,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

/// A thing of a list, which the next page starts behind.
pub(super) trait Listed {
    /// Its id at Stripe.
    fn id(&self) -> &str;
}

impl StripeClient {
    /// A client of the account that `secret_key` opens.
    pub(super) fn new(base: &str, secret_key: String) -> Result<Self, StripeSetupError> {
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
        Ok(Self { client, base, secret_key })
    }

    /// Reads a thing.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        self.ask(Method::GET, path, parameters, None).await
    }

    /// Changes something. The same again with the same key gets the first answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &[(&str, &str)],
        idempotency_key: Option<&str>,
    ) -> Result<T, ProviderError> {
        self.ask(Method::POST, path, parameters, idempotency_key).await
    }

    /// All things of a list, page by page.
    pub(super) async fn list<T: DeserializeOwned + Listed>(
        &self,
        path: &[&str],
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>, ProviderError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let behind = all.last().map(|last| last.id().to_owned());
            let mut of_page = parameters.to_vec();
            of_page.push(("limit", PAGE));
            if let Some(behind) = &behind {
                of_page.push(("starting_after", behind));
            }
            let page: Page<T> = self.get(path, &of_page).await?;
            let is_last = !page.has_more || page.data.is_empty();
            all.extend(page.data);
            if is_last {
                return Ok(all);
            }
        }
        Err(super::unexpected(format!("a list has more than {PAGES_MAX} pages")))
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
