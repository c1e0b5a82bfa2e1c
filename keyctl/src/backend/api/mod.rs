//! The admin API of `billing serve`. Changes are logged under the owner of the token.

mod bank;
mod call;
mod coupons;
pub(crate) mod error;
mod exports;
mod invoices;
mod keys;
mod notifications;
mod plans;
mod records;
mod tenants;
mod wallets;

use std::{convert::Infallible, fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use common::tls::ClientTls;
use error::{ApiError, with_causes};
use reqwest::{Certificate, Client, Identity, Url, header::HeaderValue, redirect};

use super::Backend;

/// Longest time that the API may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An admin key or a token of the identity provider. It is never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

/// An admin API and a token for it.
pub(crate) struct ApiBackend {
    client: Client,
    base: Url,
    authorization: HeaderValue,
}

impl ApiBackend {
    /// The API at `url`, such as `https://billing.example.com`, over TLS as `tls` says. Each request
    /// may take `timeout`.
    pub(crate) fn new(url: &str, token: &Token, tls: &ClientTls, timeout: Duration) -> Result<Self, ApiError> {
        let base = base(url)?;
        let Token(token) = token;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ApiError::Token)?;
        authorization.set_sensitive(true);
        // An error means that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A server that redirects is not the API, and must not get the token.
        let setup = |error: reqwest::Error| ApiError::Setup(with_causes(&error));
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(redirect::Policy::none());
        let files = tls.load()?;
        if let Some(pem) = files.authorities {
            client = client.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(setup)?);
        }
        if let Some(pem) = files.identity {
            client = client.identity(Identity::from_pem(&pem).map_err(setup)?);
        }
        Ok(Self { client: client.build().map_err(setup)?, base, authorization })
    }
}

#[async_trait]
impl Backend for ApiBackend {
    async fn close(&self) {}
}

/// Parses a URL that paths can be appended to. An error does not repeat the URL, as it may contain
/// a password.
fn base(url: &str) -> Result<Url, ApiError> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let plain = parsed.filter(|url| {
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    });
    plain.ok_or(ApiError::Url)
}

// === impl Token ===

impl FromStr for Token {
    type Err = Infallible;

    /// Never refuses: the refusal would repeat the token.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_url_only_is_accepted_as_api() {
        for url in ["http://127.0.0.1:8090", "https://billing.example.com/", "https://example.com/admin"] {
            assert!(base(url).is_ok(), "{url}");
        }
        for url in
            ["", "example.com", "ftp://example.com", "https://user:hunter2@example.com", "http://a?b", "sqlite://a"]
        {
            let error = base(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn token_is_not_shown() {
        let token: Token = "adm_hunter2\n".parse().unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
        let bad: Token = "hunter2\u{7}".parse().unwrap();
        let error = ApiBackend::new("http://127.0.0.1:1", &bad, &ClientTls::default(), CONNECT_TIMEOUT).err().unwrap();
        assert!(matches!(error, ApiError::Token) && !error.to_string().contains("hunter2"), "{error}");
    }
}
