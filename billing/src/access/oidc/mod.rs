//! Tokens of people from an OIDC provider: signature, audience, time, and a role at a tenant.
//!
//! The provider's keys are kept in memory. Only the first requests, and those with an unknown key,
//! wait for the provider. Fetches for unknown keys are limited, so that forged tokens cannot flood
//! the provider. While the provider is down, tokens with known keys are still accepted.

mod claims;
mod crypto;
mod fetch;
mod keys;
mod settings;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use common::{
    api::problem::ProblemCode,
    limit::{Clock, Rate, RateCell},
    plan::{RateLimit, RateWindow},
};
use fetch::Fetcher;
pub use fetch::{FetchError, IdentitySetupError};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, errors::ErrorKind};
use keys::{KeySet, PublicKey};
use serde_json::Value;
pub use settings::OidcConfig;
use tokio::sync::Mutex;

use super::{credential::Refused, principal::Principal};
use crate::problem::Problem;

/// Algorithms that a token may be signed with: none with a shared secret, and not `none`.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Accepted types of tokens. Other tokens, such as logout tokens, are signed with the same keys.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Limit of fetches that tokens with unknown keys may cause.
const FETCHES: RateLimit = RateLimit { limit: 6, burst: 4 };

/// Age of the keys after which they are fetched again in the background.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// The OIDC provider whose tokens are accepted.
#[derive(Clone)]
pub struct IdentityProvider(Arc<Inner>);

struct Inner {
    settings: OidcConfig,
    fetcher: Fetcher,
    keys: RwLock<KnownKeys>,
    /// Held while keys are fetched.
    asking: Mutex<()>,
    allowed: Rate,
    asked: RateCell,
    clock: Clock,
}

/// The known keys, with the time of their fetch.
#[derive(Clone, Default)]
struct KnownKeys {
    keys: Option<Arc<KeySet>>,
    /// Time of the last fetch, successful or not.
    at: Option<Instant>,
    /// Number of successful fetches.
    round: u64,
}

impl IdentityProvider {
    /// A provider whose keys are not fetched yet. A rustls provider must be installed.
    pub fn new(settings: OidcConfig) -> Result<Self, IdentitySetupError> {
        crypto::install();
        let fetcher = Fetcher::new(&settings.issuer)?;
        Ok(Self(Arc::new(Inner {
            settings,
            fetcher,
            keys: RwLock::default(),
            asking: Mutex::default(),
            allowed: Rate::new("keys", RateWindow::Minute, FETCHES),
            asked: RateCell::default(),
            clock: Clock::default(),
        })))
    }

    /// Fetches the keys ahead of the first token; a failure is logged.
    pub async fn learn(&self) {
        let _ = self.0.refresh(0).await;
    }

    /// Returns the principal of a token.
    pub(super) async fn principal(&self, token: &str) -> Result<Principal, Refused> {
        let header = decode_header(token).map_err(|error| refusal(error.kind()))?;
        check_header(&header)?;
        let key = self.key(&header).await?;
        let data =
            decode::<Value>(token, &key.key, &self.validation(header.alg)).map_err(|error| refusal(error.kind()))?;
        claims::principal(&self.0.settings, &data.claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let settings = &self.0.settings;
        let mut validation = Validation::new(algorithm);
        validation.leeway = settings.clock_skew_seconds;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation
    }

    /// The key that a token names: a known one, or one that the provider has published since.
    async fn key(&self, header: &Header) -> Result<Arc<PublicKey>, Refused> {
        let held = self.0.held();
        if let Some(key) = held.find(header) {
            self.refresh_if_old(&held);
            return Ok(key);
        }
        match self.0.refresh(held.round).await {
            Ok(held) => {
                held.find(header).ok_or_else(|| Refused::unknown("no key of the identity provider made this token"))
            }
            // The reason is in the log, for operators: this client is not authenticated.
            Err(Unrefreshed::Failed) => Err(Refused::undecided(Problem::new(
                ProblemCode::IdentityProviderUnavailable,
                "the key of this token is not known yet, and the identity provider does not tell it; the log of billing \
                 says why",
            ))),
            Err(Unrefreshed::TooOften) if held.keys.is_none() => Err(Refused::undecided(Problem::new(
                ProblemCode::IdentityProviderUnavailable,
                "the identity provider's keys are not known yet: it did not tell them when it was asked",
            ))),
            Err(Unrefreshed::TooOften) => {
                Err(Refused::unknown("no known key of the identity provider made this token"))
            }
        }
    }

    fn refresh_if_old(&self, held: &KnownKeys) {
        if held.at.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        let (inner, round) = (Arc::clone(&self.0), held.round);
        tokio::spawn(async move { inner.refresh(round).await });
    }
}

/// Reason why no keys were fetched.
enum Unrefreshed {
    /// The limit of fetches is reached.
    TooOften,
    /// The provider did not answer, or not with keys.
    Failed,
}

impl Inner {
    fn held(&self) -> KnownKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys of a later round than `round`: fetched by another task just now, or fetched here.
    async fn refresh(&self, round: u64) -> Result<KnownKeys, Unrefreshed> {
        let _turn = self.asking.lock().await;
        let held = self.held();
        if held.round > round {
            return Ok(held);
        }
        if self.asked.debit(&self.allowed, self.clock.nanos()).is_none() {
            return Err(Unrefreshed::TooOften);
        }
        let fetched = self.fetcher.keys().await;
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        held.at = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                tracing::info!(event = "identity_provider_keys", issuer = self.settings.issuer, keys = keys.len());
                held.keys = Some(Arc::new(keys));
                held.round += 1;
                Ok(held.clone())
            }
            Err(error) => {
                tracing::warn!(event = "identity_provider_unavailable", issuer = self.settings.issuer, %error);
                Err(Unrefreshed::Failed)
            }
        }
    }
}

impl KnownKeys {
    fn find(&self, header: &Header) -> Option<Arc<PublicKey>> {
        self.keys.as_ref()?.find(header.kid.as_deref(), header.alg)
    }
}

fn check_header(header: &Header) -> Result<(), Refused> {
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refused::unknown("the token is signed in a way that is not accepted: use RS256, ES256 or EdDSA"));
    }
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if !TYPES.contains(&typ.as_str()) {
        return Err(Refused::unknown("this is not an access token, by its type"));
    }
    if header.crit.is_some() {
        return Err(Refused::unknown("the token has critical headers, and none is supported"));
    }
    Ok(())
}

/// The refusal of a token, and whether the token may be a guess.
fn refusal(kind: &ErrorKind) -> Refused {
    match kind {
        ErrorKind::ExpiredSignature => Refused::known("the token has expired: get a new one"),
        ErrorKind::ImmatureSignature => Refused::known("the token is not valid yet: compare the clocks"),
        ErrorKind::InvalidAudience => Refused::known("the token is meant for another audience"),
        ErrorKind::InvalidIssuer => Refused::unknown("the token is of another issuer"),
        ErrorKind::InvalidSignature => Refused::unknown("the token's signature is wrong"),
        ErrorKind::MissingRequiredClaim(claim) => Refused::known(&format!("the token lacks the claim {claim}")),
        ErrorKind::InvalidClaimFormat(claim) => Refused::known(&format!("the token's claim {claim} is invalid")),
        _ => Refused::unknown("not a token that is accepted here"),
    }
}
