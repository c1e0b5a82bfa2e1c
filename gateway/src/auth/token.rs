//! Tokens (JWT) of an issuer, each of which stands for an API key.
//!
//! A claim of the token names the key, by its id or through a table of the configuration. Limits,
//! plan, restrictions and usage are those of that key: whoever revokes the key ends its tokens.
//! Tokens that were accepted are remembered, so that a signature is checked once and not with each
//! request.

use std::{collections::BTreeMap, sync::Arc};

use common::{
    id::KeyId,
    jwt::{IssuerSettings, IssuerSetupError, TokenError, TokenIssuer, claim, expiry},
    time::Micros,
};
use dashmap::DashMap;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::catalog::{Catalog, KeyEntry};

/// Most tokens that are remembered of one issuer; beyond it, all are forgotten and checked again.
const REMEMBERED_MOST: usize = 16_384;

/// An issuer of the configuration, and which key its tokens stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuerSettings {
    /// Name by which routes refer to it.
    pub name: Arc<str>,
    /// The issuer, and what its tokens must say.
    pub issuer: IssuerSettings,
    /// The claim that says which key a token stands for; dots lead inside.
    pub key_claim: Box<str>,
    /// Keys by the value of that claim; without a table, the value is the id of the key.
    pub keys: Option<BTreeMap<String, KeyId>>,
    /// The claim with the scopes of a token, if they count beside those of the key.
    pub scope_claim: Option<Box<str>>,
}

/// An issuer whose tokens are accepted.
pub struct AcceptedIssuer {
    settings: Arc<TokenIssuerSettings>,
    issuer: TokenIssuer,
    remembered: DashMap<[u8; 32], Remembered>,
}

/// A token that was accepted.
struct Remembered {
    holder: TokenHolder,
    /// The round of the issuer's keys in which its signature was checked.
    round: u64,
}

/// The key that a token stands for, and what the token itself says.
#[derive(Clone)]
pub(crate) struct TokenHolder {
    pub(crate) key: Arc<KeyEntry>,
    pub(crate) terms: TokenTerms,
}

/// The terms of a token beside those of its key.
#[derive(Clone)]
pub(crate) struct TokenTerms {
    /// Its scopes, if they count.
    scopes: Option<Arc<[Box<str>]>>,
    /// The end of its time, clock skew included.
    pub(crate) expires_at: Micros,
}

/// The reason for which a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The token itself is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token counts, and names no key here.
    #[error("the token's claim {claim} names no API key here")]
    NoKey {
        /// The claim.
        claim: Box<str>,
    },
}

impl AcceptedIssuer {
    /// Accepts tokens of this issuer. Its keys are fetched with the first token, unless
    /// [`Self::learn`] comes first.
    pub fn new(settings: Arc<TokenIssuerSettings>) -> Result<Self, IssuerSetupError> {
        Ok(Self { issuer: TokenIssuer::new(settings.issuer.clone())?, settings, remembered: DashMap::new() })
    }

    /// The settings that it was made from.
    pub const fn settings(&self) -> &Arc<TokenIssuerSettings> {
        &self.settings
    }

    /// Fetches the issuer's keys ahead of the first token.
    pub async fn learn(&self) {
        self.issuer.learn().await;
    }

    /// Returns the key that a token stands for. Waits for the issuer only if its keys are not known
    /// yet, or not the one that the token names.
    pub(crate) async fn holder(
        &self,
        token: &str,
        catalog: &Catalog,
        now: Micros,
    ) -> Result<TokenHolder, TokenRefusal> {
        let (hash, round) = (Sha256::digest(token).into(), self.issuer.round());
        if let Some(known) = self.remembered.get(&hash)
            && known.round == round
            && known.holder.terms.expires_at > now
        {
            return Ok(known.holder.clone());
        }
        let claims = self.issuer.claims(token).await?;
        let holder = self.holder_of(&claims, catalog)?;
        if self.remembered.len() >= REMEMBERED_MOST {
            self.remembered.clear();
        }
        self.remembered.insert(hash, Remembered { holder: holder.clone(), round: self.issuer.round() });
        Ok(holder)
    }

    fn holder_of(&self, claims: &Value, catalog: &Catalog) -> Result<TokenHolder, TokenRefusal> {
        let settings = &self.settings;
        let id = claim(claims, &settings.key_claim).and_then(Value::as_str).and_then(|value| match &settings.keys {
            Some(keys) => keys.get(value).copied(),
            None => value.parse().ok(),
        });
        let key = id.and_then(|id| catalog.key_with_id(id));
        let key = key.ok_or_else(|| TokenRefusal::NoKey { claim: settings.key_claim.clone() })?;
        let skew = i64::try_from(settings.issuer.clock_skew_seconds).unwrap_or(0);
        let expires_at =
            expiry(claims).ok_or_else(|| TokenError::Invalid("the token's claim exp is invalid".into()))?;
        let scopes = settings.scope_claim.as_ref().map(|name| scopes(claim(claims, name)));
        Ok(TokenHolder { key, terms: TokenTerms { scopes, expires_at: expires_at.plus_seconds(skew) } })
    }
}

impl TokenTerms {
    /// Returns true if the token may be used for what asks for `scope`.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|known| **known == *scope))
    }
}

/// The scopes of a claim: a text with spaces between (RFC 8693), or a list.
fn scopes(claim: Option<&Value>) -> Arc<[Box<str>]> {
    match claim {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(Into::into).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(Into::into).collect(),
        _ => Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scopes_are_a_text_or_a_list_and_none_allow_nothing() {
        let terms = |claim: Option<Value>| TokenTerms { scopes: Some(scopes(claim.as_ref())), expires_at: Micros(0) };
        for claim in [json!("read write"), json!(["read", 7, "write"])] {
            let terms = terms(Some(claim));
            assert!(terms.has_scope("write") && !terms.has_scope("admin"));
        }
        assert!(!terms(None).has_scope("read") && !terms(Some(json!(7))).has_scope("7"));
        assert!(TokenTerms { scopes: None, expires_at: Micros(0) }.has_scope("anything"));
    }
}
