//! Who is calling: the credential of a request becomes a [`Caller`], from memory, without I/O.

use std::sync::Arc;

use common::{key::Pepper, time::Micros};

use crate::catalog::{Catalog, KeyEntry, TenantEntry};

/// Checks credentials against the catalog.
pub struct Authenticator {
    pub catalog: Arc<Catalog>,
    pub pepper: Pepper,
}

/// An authenticated key with its tenant.
#[derive(Clone)]
pub struct Caller {
    pub key: Arc<KeyEntry>,
    pub tenant: Arc<TenantEntry>,
}

/// Why a request is not let in. Once the key is known, the refusal names its owner, so that it can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("no API key: send it as `Authorization: Bearer <key>` or `X-Api-Key: <key>`")]
    Missing,
    #[error("more than one credential: send the API key once, in one header")]
    Ambiguous,
    #[error("`Authorization` must be `Bearer <key>`")]
    Scheme,
    #[error(transparent)]
    Malformed(#[from] common::key::SecretError),
    #[error("API key is not known")]
    Unknown,
    #[error("API key was revoked")]
    Revoked,
    #[error("API key has expired")]
    Expired,
    #[error("tenant is suspended")]
    Suspended,
    #[error("tenant has no plan")]
    NoPlan,
}

/// A refusal with its owner, if the key was recognised.
#[derive(Debug, Clone, Copy)]
pub struct AuthRefusal {
    pub error: AuthError,
    pub owner: Option<(common::id::TenantId, common::id::KeyId)>,
}

impl Authenticator {
    /// The caller behind the credential in `headers` (`Authorization: Bearer` or `X-Api-Key`).
    pub fn authenticate(&self, headers: &http::HeaderMap, now: Micros) -> Result<Caller, AuthRefusal> {
        let _ = (headers, now);
        todo!()
    }
}
