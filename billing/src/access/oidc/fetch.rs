//! Fetches the provider's keys: first their URL by discovery, then the keys.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;

use super::keys::KeySet;

const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Longest time until the last byte of one answer.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(4);

/// Longest document that is read.
const DOCUMENT_MAX_BYTES: usize = 1024 * 1024;

/// Reason why the provider cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the identity provider {issuer}: {reason}")]
pub struct IdentitySetupError {
    issuer: String,
    reason: String,
}

/// Reason why the keys could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The provider did not answer in time, or broke off.
    #[error("{url} does not answer: {reason}")]
    Silent {
        /// The URL of the request.
        url: Url,
        /// Error of the client.
        reason: Arc<str>,
    },
    /// The provider answered with another status than 200.
    #[error("{url} answered with status {status}")]
    Status {
        /// The URL of the request.
        url: Url,
        /// The status.
        status: StatusCode,
    },
    /// The answer is too long.
    #[error("{url} answered with more than {DOCUMENT_MAX_BYTES} bytes")]
    TooLong {
        /// The URL of the request.
        url: Url,
    },
    /// The answer is not the expected document.
    #[error("{url} answered with something else than expected: {reason}")]
    Unexpected {
        /// The URL of the request.
        url: Url,
        /// Fault of the document.
        reason: Arc<str>,
    },
}

/// Fetches keys from the provider.
pub(super) struct Fetcher {
    client: Client,
    issuer: String,
    discovery: Url,
}

/// The part of the provider's discovery document that is read.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Fetcher {
    pub(super) fn new(issuer: &str) -> Result<Self, IdentitySetupError> {
        let refuse = |reason: String| IdentitySetupError { issuer: issuer.to_owned(), reason };
        let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Url = discovery.parse().map_err(|error| refuse(format!("not a URL: {error}")))?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME_LIMIT)
            .timeout(ANSWER_TIME_LIMIT)
            // A redirect could point into this network.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| refuse(chain(&error)))?;
        Ok(Self { client, issuer: issuer.to_owned(), discovery })
    }

    /// Fetches the current keys.
    pub(super) async fn keys(&self) -> Result<KeySet, FetchError> {
        let url = &self.discovery;
        let unexpected = |url: &Url, reason: &str| FetchError::Unexpected { url: url.clone(), reason: reason.into() };
        let description: Description =
            serde_json::from_slice(&self.document(url).await?).map_err(|error| unexpected(url, &error.to_string()))?;
        if description.issuer != self.issuer {
            return Err(unexpected(url, &format!("it calls itself {}", description.issuer.escape_default())));
        }
        let keys: Url = description.jwks_uri.parse().map_err(|_| unexpected(url, "its jwks_uri is no URL"))?;
        if keys.scheme() != "https" && keys.scheme() != url.scheme() {
            return Err(unexpected(url, "its keys are not served by HTTPS"));
        }
        let parsed = KeySet::parse(&self.document(&keys).await?);
        let parsed = parsed.map_err(|error| unexpected(&keys, &error.to_string()))?;
        if parsed.len() == 0 {
            return Err(unexpected(&keys, "it has no key for RS256, ES256 or EdDSA"));
        }
        Ok(parsed)
    }

    async fn document(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let silent =
            |error: reqwest::Error| FetchError::Silent { url: url.clone(), reason: chain(&error.without_url()).into() };
        let mut response = self.client.get(url.clone()).send().await.map_err(silent)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { url: url.clone(), status: response.status() });
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if document.len() + chunk.len() > DOCUMENT_MAX_BYTES {
                return Err(FetchError::TooLong { url: url.clone() });
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

/// An error with its causes, which contain the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let behind = std::iter::successors(error.source(), |error| error.source());
    behind.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}
