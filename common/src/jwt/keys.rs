//! The issuer's public keys that tokens may be signed with.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of an issuer that are kept.
const KEYS_MOST: usize = 100;

/// A key with its algorithm.
pub(super) struct PublicKey {
    id: Option<String>,
    algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// All keys of an issuer.
pub(super) struct KeySet(Vec<Arc<PublicKey>>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a JSON web key set. Keys of other algorithms or uses are left out.
    pub(super) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(text)?;
        let keys = document.keys.into_iter().filter_map(PublicKey::parse).take(KEYS_MOST);
        Ok(Self(keys.map(Arc::new).collect()))
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The key of this id for this algorithm. Without an id, the only key of the algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<PublicKey>> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)).cloned(),
            None => fitting.next().filter(|_| fitting.next().is_none()).cloned(),
        }
    }
}

impl PublicKey {
    fn parse(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let common = &jwk.common;
        let is_for = common.key_algorithm.is_none_or(|stated| stated == KeyAlgorithm::from(algorithm));
        let signs = common.public_key_use.as_ref().is_none_or(|stated| *stated == PublicKeyUse::Signature);
        let verifies = common.key_operations.as_ref().is_none_or(|stated| stated.contains(&KeyOperations::Verify));
        if !(is_for && signs && verifies) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithm, key })
    }
}
