//! People, by tokens of an OIDC provider: its signature, for us, in time, with a role at a tenant.
//!
//! The provider's keys are kept in memory. No request waits for the provider but the first ones, and those that show a
//! key which is not known yet; how often it is asked for these is limited, so that made-up tokens are no way to flood
//! it. With the provider down, what is signed by a known key goes on working.

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

/// The algorithms that a token may be signed with: none by a shared secret, and `none` is not one.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// What a token may call itself. Tokens that are something else, such as a logout token, are signed by the same keys.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// How often the provider is asked for keys because of what a token says.
const FETCHES: RateLimit = RateLimit { limit: 6, burst: 4 };

/// How long keys are taken as they are, before they are asked for again in the background.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// The OIDC provider whose tokens are accepted.
#[derive(Clone)]
pub struct IdentityProvider(Arc<Inner>);

struct Inner {
    settings: OidcConfig,
    fetcher: Fetcher,
    keys: RwLock<Held>,
    /// One at a time asks.
    asking: Mutex<()>,
    allowed: Rate,
    asked: RateCell,
    clock: Clock,
}

/// The keys, and when they were learned.
#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    /// When they were learned, or last asked for in vain.
    at: Option<Instant>,
    /// Counts how often they were learned.
    round: u64,
}

impl IdentityProvider {
    /// A provider that is yet to be asked for its keys. A rustls provider must be installed.
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

    /// Learns the keys ahead of the first token, and says so if that fails.
    pub async fn learn(&self) {
        let _ = self.0.refresh(0).await;
    }

    /// Whose token it is.
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

    /// The key that a token says it is signed with: one that is known, or that the provider has by now.
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
            // Why is for operators, and in the log: whoever asks here has shown no credential yet.
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

    fn refresh_if_old(&self, held: &Held) {
        if held.at.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        let (inner, round) = (Arc::clone(&self.0), held.round);
        tokio::spawn(async move { inner.refresh(round).await });
    }
}

/// Why no keys were learned.
enum Unrefreshed {
    /// The provider was asked often enough for now.
    TooOften,
    /// It did not answer, or not with keys.
    Failed,
}

impl Inner {
    fn held(&self) -> Held {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys of a later round than `round`: somebody else's, if they have just been learned, or the provider's now.
    async fn refresh(&self, round: u64) -> Result<Held, Unrefreshed> {
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
                tracing::info!(issuer = self.settings.issuer, keys = keys.len(), "identity_provider_keys");
                held.keys = Some(Arc::new(keys));
                held.round += 1;
                Ok(held.clone())
            }
            Err(error) => {
                tracing::warn!(issuer = self.settings.issuer, %error, "identity_provider_unavailable");
                Err(Unrefreshed::Failed)
            }
        }
    }
}

impl Held {
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
        return Err(Refused::unknown("this is no access token: it says it is something else"));
    }
    if header.crit.is_some() {
        return Err(Refused::unknown("the token has critical headers, none of which are known here"));
    }
    Ok(())
}

/// What is wrong with a token, and whether its sender may have made it up.
fn refusal(kind: &ErrorKind) -> Refused {
    match kind {
        ErrorKind::ExpiredSignature => Refused::known("the token has expired: get a new one"),
        ErrorKind::ImmatureSignature => Refused::known("the token is not valid yet: compare the clocks"),
        ErrorKind::InvalidAudience => Refused::known("the token is meant for another audience"),
        ErrorKind::InvalidIssuer => Refused::unknown("the token is of another issuer"),
        ErrorKind::InvalidSignature => Refused::unknown("the token's signature is wrong"),
        ErrorKind::MissingRequiredClaim(claim) => Refused::known(&format!("the token lacks the claim {claim}")),
        ErrorKind::InvalidClaimFormat(claim) => Refused::known(&format!("the token's claim {claim} makes no sense")),
        _ => Refused::unknown("not a token that is accepted here"),
    }
}
