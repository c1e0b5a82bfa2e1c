//! Signing in through the identity provider: an authorization code with PKCE. The code is exchanged
//! here, so that no browser ever holds a token.
//!
//! Invariant: a code is taken only from the browser that began the sign-in, which holds its state and
//! verifier in a cookie.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{
    api::problem::ProblemCode,
    session::{App, SessionSecret, SessionSecretKind},
};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{IdentityProvider, OidcConfig};
use crate::{access::principal::Principal, problem::Problem};

/// Longest time until the provider has answered.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Longest document of the provider that is read.
const DOCUMENT_MAX_BYTES: usize = 256 * 1024;

/// A sign-in that has begun.
pub struct BegunSignIn {
    /// Address at the provider that the browser goes to.
    pub url: String,
    /// State and verifier, for a cookie of that browser.
    pub cookie: String,
}

/// The parts of the provider's description that a sign-in needs.
#[derive(Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

/// The provider's answer to a code.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

impl IdentityProvider {
    /// Returns true if people can sign in to pages through this provider.
    pub fn signs_in(&self) -> bool {
        self.settings.client_id.is_some()
    }

    /// Begins a sign-in to `app`, which ends at `back_to`.
    pub async fn begin(&self, app: App, back_to: &str) -> Result<BegunSignIn, Problem> {
        let client_id = self.client_id()?;
        let (state, verifier) = (random(), random() + &random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let endpoints = self.endpoints(&client()?).await?;
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", back_to),
            ("scope", self.settings.scope.as_str()),
            ("state", state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        if let Some(resource) = &self.settings.resource {
            pairs.push(("resource", resource));
        }
        let url = Url::parse_with_params(&endpoints.authorization_endpoint, &pairs)
            .map_err(|error| unavailable(&format!("its authorization endpoint is no address: {error}")))?;
        Ok(BegunSignIn { url: url.into(), cookie: format!("{app}.{state}.{verifier}") })
    }

    /// Ends a sign-in: exchanges the code for a token, and gives the app and the principal of the token.
    pub async fn finish(
        &self,
        cookie: &str,
        state: &str,
        code: &str,
        back_to: &str,
    ) -> Result<(App, Principal), Problem> {
        let over = || Problem::new(ProblemCode::Unauthorized, "this sign-in was not begun in this browser, or is over");
        let mut parts = cookie.splitn(3, '.');
        let (Some(app), Some(own), Some(verifier)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(over());
        };
        let app: App = app.parse().map_err(|_| over())?;
        if !bool::from(own.as_bytes().ct_eq(state.as_bytes())) {
            return Err(over());
        }
        let token = self.exchange(code, verifier, back_to).await?;
        let principal = self.principal(&token).await.map_err(|refused| refused.problem)?;
        Ok((app, principal))
    }

    async fn exchange(&self, code: &str, verifier: &str, back_to: &str) -> Result<String, Problem> {
        let client = client()?;
        let endpoints = self.endpoints(&client).await?;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back_to),
            ("client_id", self.client_id()?),
            ("code_verifier", verifier),
        ];
        let secret = self.settings.client_secret().map_err(|error| unavailable(&error.to_string()))?;
        if let Some(secret) = &secret {
            pairs.push(("client_secret", secret));
        }
        if let Some(resource) = &self.settings.resource {
            pairs.push(("resource", resource));
        }
        let form =
            Url::parse_with_params("http://form.invalid", &pairs).map_err(|error| unavailable(&error.to_string()))?;
        let request = client
            .post(&endpoints.token_endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        let document = answer(request).await?;
        let tokens: Tokens = serde_json::from_slice(&document)
            .map_err(|_| Problem::new(ProblemCode::Unauthorized, "the identity provider did not accept the code"))?;
        Ok(tokens.access_token)
    }

    async fn endpoints(&self, client: &Client) -> Result<Endpoints, Problem> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = answer(client.get(&url)).await?;
        let endpoints: Endpoints =
            serde_json::from_slice(&document).map_err(|error| unavailable(&format!("{url}: {error}")))?;
        if endpoints.issuer != *issuer {
            return Err(unavailable("it calls itself by another name"));
        }
        Ok(endpoints)
    }

    fn client_id(&self) -> Result<&str, Problem> {
        let missing = || Problem::new(ProblemCode::Conflict, "there is no sign-in through an identity provider here");
        self.settings.client_id.as_deref().ok_or_else(missing)
    }
}

impl OidcConfig {
    /// The secret of the client, if it has one.
    fn client_secret(&self) -> Result<Option<String>, std::io::Error> {
        let secret = self.client_secret_file.as_ref().map(std::fs::read_to_string).transpose()?;
        Ok(secret.map(|secret| secret.trim().to_owned()))
    }
}

fn client() -> Result<Client, Problem> {
    Client::builder()
        .timeout(ANSWER_TIME_LIMIT)
        // A redirect could point into this network.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| unavailable(&error.to_string()))
}

/// The body of an answer, whatever its status.
async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, Problem> {
    let silent = |error: reqwest::Error| unavailable(&error.without_url().to_string());
    let mut response = request.send().await.map_err(silent)?;
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(silent)? {
        if document.len() + chunk.len() > DOCUMENT_MAX_BYTES {
            return Err(unavailable("its answer is too long"));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// 134 bits of randomness, in characters that need no escape.
fn random() -> String {
    SessionSecret::generate(SessionSecretKind::Link).expose().trim_start_matches("lnk_").to_owned()
}

fn unavailable(reason: &str) -> Problem {
    tracing::warn!(event = "identity_provider_unavailable", reason);
    let detail = "the identity provider does not answer as expected; the log of billing says why";
    Problem::new(ProblemCode::IdentityProviderUnavailable, detail)
}
