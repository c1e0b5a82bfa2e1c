//! JSON web tokens of an issuer: signature, issuer, audience and time.
//!
//! The issuer's keys are kept in memory. Only the first tokens, and those with an unknown key, wait
//! for the issuer. Fetches for unknown keys are limited, so that forged tokens cannot flood the
//! issuer. While the issuer is down, tokens with known keys are still accepted.

mod claims;
mod crypto;
mod fetch;
mod keys;
mod settings;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

pub use claims::{claim, expiry};
use fetch::Fetcher;
pub use fetch::{FetchError, IssuerSetupError};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, errors::ErrorKind};
use keys::{KeySet, PublicKey};
use serde_json::Value;
pub use settings::{CLOCK_SKEW_DEFAULT_SECONDS, CLOCK_SKEW_MAX_SECONDS, IssuerSettings, check_issuer_url};
use tokio::sync::Mutex;

use crate::{
    limit::{Clock, Rate, RateCell},
    plan::{RateLimit, RateWindow},
};

/// Algorithms that a token may be signed with: none with a shared secret, and not `none`.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Accepted types of tokens. Other tokens, such as logout tokens, are signed with the same keys.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Limit of fetches that tokens with unknown keys may cause.
const FETCHES: RateLimit = RateLimit { limit: 6, burst: 4 };

/// Age of the keys after which they are fetched again in the background.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// Reason why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was never one of this issuer, as far as is known: it may be a guess.
    #[error("{0}")]
    Foreign(String),
    /// The issuer made it, and it does not count here or now.
    #[error("{0}")]
    Invalid(String),
    /// The issuer's keys are not known, and it does not tell them.
    #[error("{0}")]
    KeysUnavailable(&'static str),
}

/// An issuer whose tokens are accepted.
#[derive(Clone)]
pub struct TokenIssuer(Arc<Inner>);

struct Inner {
    settings: IssuerSettings,
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

impl TokenIssuer {
    /// An issuer whose keys are not fetched yet. A rustls provider must be installed.
    pub fn new(settings: IssuerSettings) -> Result<Self, IssuerSetupError> {
        crypto::install();
        let fetcher = Fetcher::new(&settings)?;
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

    /// The settings that it was made from.
    pub fn settings(&self) -> &IssuerSettings {
        &self.0.settings
    }

    /// Fetches the keys ahead of the first token; a failure is logged.
    pub async fn learn(&self) {
        let _ = self.0.refresh(0).await;
    }

    /// Number of the fetch that the keys in hand came with. Keys that are old are fetched again
    /// behind the scenes.
    pub fn round(&self) -> u64 {
        let held = self.0.held();
        self.refresh_if_old(&held);
        held.round
    }

    /// Returns the claims of a token that counts here and now.
    pub async fn claims(&self, token: &str) -> Result<Value, TokenError> {
        let header = decode_header(token).map_err(|error| refusal(error.kind()))?;
        check_header(&header)?;
        let key = self.key(&header).await?;
        let data =
            decode::<Value>(token, &key.key, &self.validation(header.alg)).map_err(|error| refusal(error.kind()))?;
        // A list of issuers is refused, even if it contains the right one.
        if data.claims.get("iss").and_then(Value::as_str) != Some(&self.0.settings.issuer) {
            return Err(TokenError::Foreign("the token is of another issuer".into()));
        }
        Ok(data.claims)
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

    /// The key that a token names: a known one, or one that the issuer has published since.
    async fn key(&self, header: &Header) -> Result<Arc<PublicKey>, TokenError> {
        let held = self.0.held();
        if let Some(key) = held.find(header) {
            self.refresh_if_old(&held);
            return Ok(key);
        }
        let foreign = |detail: &str| TokenError::Foreign(detail.into());
        match self.0.refresh(held.round).await {
            Ok(held) => held.find(header).ok_or_else(|| foreign("no key of the issuer made this token")),
            // The reason is in the log, for operators: this client is not authenticated.
            Err(Unrefreshed::Failed) => Err(TokenError::KeysUnavailable(
                "the key of this token is not known yet, and its issuer does not tell it; the log says why",
            )),
            Err(Unrefreshed::TooOften) if held.keys.is_none() => Err(TokenError::KeysUnavailable(
                "the issuer's keys are not known yet: it did not tell them when it was asked",
            )),
            Err(Unrefreshed::TooOften) => Err(foreign("no known key of the issuer made this token")),
        }
    }

    fn refresh_if_old(&self, held: &KnownKeys) {
        // Before the first fetch, the first token fetches; while somebody fetches, nobody else need.
        if held.at.is_none_or(|at| at.elapsed() < FRESH_FOR) || self.0.asking.try_lock().is_err() {
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
    /// The issuer did not answer, or not with keys.
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
                tracing::info!(event = "token_issuer_keys", issuer = self.settings.issuer, keys = keys.len());
                held.keys = Some(Arc::new(keys));
                held.round += 1;
                Ok(held.clone())
            }
            Err(error) => {
                tracing::warn!(event = "token_issuer_unavailable", issuer = self.settings.issuer, %error);
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

fn check_header(header: &Header) -> Result<(), TokenError> {
    let refuse = |detail: &str| Err(TokenError::Foreign(detail.into()));
    if !ALGORITHMS.contains(&header.alg) {
        return refuse("the token is signed in a way that is not accepted: use RS256, ES256 or EdDSA");
    }
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if !TYPES.contains(&typ.as_str()) {
        return refuse("this is not an access token, by its type");
    }
    if header.crit.is_some() {
        return refuse("the token has critical headers, and none is supported");
    }
    Ok(())
}

/// The refusal of a token, and whether the token may be a guess.
fn refusal(kind: &ErrorKind) -> TokenError {
    let foreign = |detail: &str| TokenError::Foreign(detail.into());
    let invalid = |detail: &str| TokenError::Invalid(detail.into());
    match kind {
        ErrorKind::ExpiredSignature => invalid("the token has expired: get a new one"),
        ErrorKind::ImmatureSignature => invalid("the token is not valid yet: compare the clocks"),
        ErrorKind::InvalidAudience => invalid("the token is meant for another audience"),
        ErrorKind::InvalidIssuer => foreign("the token is of another issuer"),
        ErrorKind::InvalidSignature => foreign("the token's signature is wrong"),
        ErrorKind::MissingRequiredClaim(claim) => invalid(&format!("the token lacks the claim {claim}")),
        ErrorKind::InvalidClaimFormat(claim) => invalid(&format!("the token's claim {claim} is invalid")),
        _ => foreign("not a token that is accepted here"),
    }
}
