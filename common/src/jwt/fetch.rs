//! Fetches the issuer's keys, from the URL that its discovery document or the settings name.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;

use super::{IssuerSettings, keys::KeySet};

const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Longest time until the last byte of one answer.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(4);

/// Longest document that is read.
const DOCUMENT_MAX_BYTES: usize = 1024 * 1024;

/// Reason why the issuer cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the issuer {issuer}: {reason}")]
pub struct IssuerSetupError {
    issuer: String,
    reason: String,
}

/// Reason why the keys could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The issuer did not answer in time, or broke off.
    #[error("{url} does not answer: {reason}")]
    Silent {
        /// The URL of the request.
        url: Url,
        /// Error of the client.
        reason: Arc<str>,
    },
    /// The issuer answered with another status than 200.
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

/// Fetches keys from the issuer.
pub(super) struct Fetcher {
    client: Client,
    issuer: String,
    source: KeySource,
}

/// The place of the keys.
enum KeySource {
    /// Named by the discovery document at this URL.
    Discovery(Url),
    /// At this URL.
    Keys(Url),
}

/// The part of the issuer's discovery document that is read.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Fetcher {
    pub(super) fn new(settings: &IssuerSettings) -> Result<Self, IssuerSetupError> {
        let issuer = &settings.issuer;
        let refuse = |reason: String| IssuerSetupError { issuer: issuer.clone(), reason };
        let url = |text: &str| text.parse::<Url>().map_err(|error| refuse(format!("{text} is not a URL: {error}")));
        let source = if let Some(keys) = &settings.keys_url {
            KeySource::Keys(url(keys)?)
        } else {
            let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            KeySource::Discovery(url(&discovery)?)
        };
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME_LIMIT)
            .timeout(ANSWER_TIME_LIMIT)
            // A redirect could point into this network.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| refuse(chain(&error)))?;
        Ok(Self { client, issuer: issuer.clone(), source })
    }

    /// Fetches the current keys.
    pub(super) async fn keys(&self) -> Result<KeySet, FetchError> {
        let keys = match &self.source {
            KeySource::Discovery(discovery) => self.discover(discovery).await?,
            KeySource::Keys(keys) => keys.clone(),
        };
        let parsed = KeySet::parse(&self.document(&keys).await?);
        let parsed = parsed.map_err(|error| FetchError::unexpected(&keys, &error.to_string()))?;
        if parsed.len() == 0 {
            return Err(FetchError::unexpected(&keys, "it has no key for RS256, ES256 or EdDSA"));
        }
        Ok(parsed)
    }

    /// Returns the URL of the keys that the discovery document names.
    async fn discover(&self, url: &Url) -> Result<Url, FetchError> {
        let description: Description = serde_json::from_slice(&self.document(url).await?)
            .map_err(|error| FetchError::unexpected(url, &error.to_string()))?;
        if description.issuer != self.issuer {
            let name = description.issuer.escape_default();
            return Err(FetchError::unexpected(url, &format!("it calls itself {name}")));
        }
        let keys: Url =
            description.jwks_uri.parse().map_err(|_| FetchError::unexpected(url, "its jwks_uri is no URL"))?;
        if keys.scheme() != "https" && keys.scheme() != url.scheme() {
            return Err(FetchError::unexpected(url, "its keys are not served by HTTPS"));
        }
        Ok(keys)
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

impl FetchError {
    fn unexpected(url: &Url, reason: &str) -> Self {
        Self::Unexpected { url: url.clone(), reason: reason.into() }
    }
}

/// An error with its causes, which contain the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let behind = std::iter::successors(error.source(), |error| error.source());
    behind.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}
