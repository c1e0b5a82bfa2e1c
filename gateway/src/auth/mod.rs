//! Authentication: the credential of a request becomes a [`Caller`], from memory, without I/O.
//!
//! A text that cannot be a key is refused by its form alone; a key that is not known, by one
//! look-up of its keyed hash. Refusals of a known key name its owner, who is told precisely what is
//! wrong.

pub(crate) mod failures;
mod places;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use common::{
    dunning::Unpaid,
    id::{KeyId, TenantId},
    key::{KeyStatus, Pepper, Secret, SecretError},
    time::Micros,
};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

pub use places::CredentialPlaces;
pub(crate) use places::Presented;
pub use token::{AcceptedIssuer, TokenIssuerSettings, TokenRefusal};
pub(crate) use token::{TokenHolder, TokenTerms};

use crate::catalog::{Caller, Catalog, KeyEntry, Standing, TenantEntry};

/// The header that carries a bare key.
pub const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

const BEARER: &[u8] = b"bearer";

/// Checks credentials against the catalog.
pub struct Authenticator {
    /// Keys and tenants by the hashes of their keys.
    pub catalog: Arc<Catalog>,
    /// The secret that keys are hashed with.
    pub pepper: Pepper,
}

/// The reason for which a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential at all.
    #[error("no API key: send it as `Authorization: Bearer <key>` or `X-Api-Key: <key>`")]
    Missing,
    /// No credential in the places that the route names.
    #[error("no credential where this route expects it")]
    MissingHere,
    /// Two credentials, or one header twice.
    #[error("more than one credential: send the API key once, in one header")]
    Ambiguous,
    /// An `Authorization` header of another kind.
    #[error("`Authorization` must be `Bearer <key>`")]
    Scheme,
    /// Not a key of ours; told without any look-up.
    #[error(transparent)]
    Malformed(#[from] SecretError),
    /// Well-formed, but never issued here.
    #[error("API key is not known")]
    Unknown,
    /// Revoked by an admin.
    #[error("API key was revoked")]
    Revoked,
    /// Past its expiry.
    #[error("API key has expired")]
    Expired,
    /// The tenant or one above it is suspended.
    #[error("tenant is suspended")]
    Suspended,
    /// An invoice of the tenant or of one above it is not paid.
    #[error("{}", unpaid(.0))]
    Unpaid(Arc<Unpaid>),
    /// A budget of the key, of the tenant or of one above it is spent.
    #[error("a budget is spent: requests are served again at {until}")]
    BudgetSpent {
        /// End of the budget's period.
        until: Micros,
        /// Seconds until then.
        retry_after_seconds: u64,
    },
    /// No subscription is in force.
    #[error("tenant has no plan")]
    NoPlan,
}

/// A refusal with its owner, if the key was recognised, so that it can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRefusal {
    /// The reason.
    pub error: AuthError,
    /// Tenant and key, once the key is known.
    pub owner: Option<(TenantId, KeyId)>,
}

impl Authenticator {
    /// The caller behind the credential in `headers` (`Authorization: Bearer` or `X-Api-Key`).
    pub fn authenticate(&self, headers: &http::HeaderMap, now: Micros) -> Result<Caller, AuthRefusal> {
        self.look_up(&read(credential(headers))?, now)
    }

    /// The caller whose key this is.
    pub(crate) fn look_up(&self, secret: &Secret, now: Micros) -> Result<Caller, AuthRefusal> {
        let hash = self.pepper.hash(secret);
        let key = self.catalog.key(&hash).ok_or(AuthRefusal::of_nobody(AuthError::Unknown))?;
        Self::caller(key, now)
    }

    /// The caller whose key has this id: a client certificate stands for it.
    pub(crate) fn look_up_id(&self, id: KeyId, now: Micros) -> Result<Caller, AuthRefusal> {
        let key = self.catalog.key_with_id(id).ok_or(AuthRefusal::of_nobody(AuthError::Unknown))?;
        Self::caller(key, now)
    }

    /// The caller of a key, if the key and its tenant are served.
    pub(crate) fn caller(key: Arc<KeyEntry>, now: Micros) -> Result<Caller, AuthRefusal> {
        match standing(&key, now) {
            Ok(tenant) => {
                key.touch(now);
                Ok(Caller { key, tenant })
            }
            Err(error) => Err(AuthRefusal { error, owner: Some((key.tenant, key.id)) }),
        }
    }
}

impl AuthError {
    /// Returns true if a key was looked up and is not, or not any more, one that lets anybody in.
    pub(crate) const fn is_failed_key(&self) -> bool {
        matches!(self, Self::Unknown | Self::Revoked | Self::Expired)
    }
}

impl AuthRefusal {
    const fn of_nobody(error: AuthError) -> Self {
        Self { error, owner: None }
    }
}

/// The tenant of a key, if both are served.
fn standing(key: &KeyEntry, now: Micros) -> Result<Arc<TenantEntry>, AuthError> {
    match key.status(now) {
        KeyStatus::Active => {}
        KeyStatus::Revoked => return Err(AuthError::Revoked),
        KeyStatus::Expired => return Err(AuthError::Expired),
    }
    match key.standing() {
        Standing::Served(tenant) => match key.spent_until(&tenant, now) {
            None => Ok(tenant),
            Some(until) => Err(AuthError::BudgetSpent { until, retry_after_seconds: seconds_between(now, until) }),
        },
        Standing::Suspended => Err(AuthError::Suspended),
        Standing::Unpaid(unpaid) => Err(AuthError::Unpaid(unpaid)),
        // Its keys were revoked with it.
        Standing::Deleted => Err(AuthError::Revoked),
        Standing::NoPlan => Err(AuthError::NoPlan),
    }
}

/// Whole seconds from one instant to a later one, rounded up.
fn seconds_between(now: Micros, until: Micros) -> u64 {
    until.0.saturating_sub(now.0).unsigned_abs().div_ceil(Micros::PER_SECOND.unsigned_abs())
}

fn unpaid(unpaid: &Unpaid) -> String {
    let Unpaid { invoice, pay_at } = unpaid;
    let place = pay_at.as_ref().map_or_else(String::new, |address| format!(" at {address}"));
    format!("invoice {invoice} is not paid: requests are served again once it is paid{place}")
}

/// The key in a credential that [`credential`] or [`one_of`] found; what cannot be one is refused
/// by its form alone.
pub(crate) fn read(credential: Result<&[u8], AuthError>) -> Result<Secret, AuthRefusal> {
    credential.and_then(|text| Ok(Secret::parse(text)?)).map_err(AuthRefusal::of_nobody)
}

/// The one credential that a request carries, as it stands there.
pub(crate) fn credential(headers: &http::HeaderMap) -> Result<&[u8], AuthError> {
    one_of(only(headers, &AUTHORIZATION)?, only(headers, &API_KEY_HEADER)?)
}

/// The credential in the value of `Authorization`, or the bare key: whichever of the two there is.
pub(crate) fn one_of<'a>(authorization: Option<&'a [u8]>, api_key: Option<&'a [u8]>) -> Result<&'a [u8], AuthError> {
    match (authorization, api_key) {
        (None, None) => Err(AuthError::Missing),
        (Some(_), Some(_)) => Err(AuthError::Ambiguous),
        (None, Some(key)) => Ok(key.trim_ascii()),
        (Some(value), None) => bearer(value).ok_or(AuthError::Scheme),
    }
}

/// The value of a header that may stand once at most.
fn only<'a>(headers: &'a http::HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthError::Ambiguous);
    }
    Ok(first.map(HeaderValue::as_bytes))
}

/// Returns the text behind the scheme `Bearer`, whose case does not matter.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.trim_ascii_start().split_at_checked(BEARER.len())?;
    let separated = rest.first().is_none_or(u8::is_ascii_whitespace);
    (scheme.eq_ignore_ascii_case(BEARER) && separated).then(|| rest.trim_ascii())
}
