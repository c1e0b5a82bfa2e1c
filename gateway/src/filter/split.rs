//! Upstreams that share the requests of a route: a canary beside what stands.
//!
//! Invariant: with a basis, one value always leads to one upstream, on every gateway and after
//! every restart. It keeps its upstream while the last one of the list grows.

use std::sync::Arc;

use common::id::{KeyId, TenantId};
use http::{HeaderMap, HeaderName, header};

/// All requests, in percent.
pub(crate) const WHOLE: u32 = 100;

/// Upstreams and their shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Name of each upstream, and the sum of the shares up to and with its own, in percent.
    shares: Box<[(Arc<str>, u32)]>,
    basis: Option<Basis>,
}

/// The value of a request that decides between the upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The value of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The caller's key.
    Key,
    /// The caller's tenant.
    Tenant,
}

impl Split {
    /// Upstreams with shares in percent, whose sum is [`WHOLE`]. Without a basis, each request is
    /// drawn by itself.
    pub(crate) fn new(shares: impl IntoIterator<Item = (Arc<str>, u32)>, basis: Option<Basis>) -> Self {
        let mut sum = 0;
        let summed = shares.into_iter().map(|(name, share)| {
            sum += share;
            (name, sum)
        });
        Self { shares: summed.collect(), basis }
    }

    /// Names of the upstreams.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<str>> {
        self.shares.iter().map(|(name, _)| name)
    }

    /// The upstream of a request. One that does not have the basis is drawn by itself.
    pub(crate) fn choose(&self, headers: &HeaderMap, caller: Option<(TenantId, KeyId)>) -> Option<&Arc<str>> {
        let hash = match &self.basis {
            None => None,
            Some(Basis::Header(name)) => headers.get(name).map(|value| hash(value.as_bytes())),
            Some(Basis::Cookie(name)) => cookie(headers, name.as_bytes()).map(hash),
            Some(Basis::Key) => caller.map(|(_, key)| hash(&key.as_u128().to_be_bytes())),
            Some(Basis::Tenant) => caller.map(|(tenant, _)| hash(&tenant.as_u128().to_be_bytes())),
        };
        let point = hash.unwrap_or_else(rand::random::<u64>) % u64::from(WHOLE);
        self.shares.iter().find(|(_, sum)| point < u64::from(*sum)).map(|(name, _)| name)
    }
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// FNV-1a, and the finalizer of `MurmurHash3`, so that all bits count. Every gateway must come to
/// the same number: a hasher of the standard library may change.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::HeaderValue;

    use super::*;

    fn split(canary: u32, basis: Option<Basis>) -> Split {
        Split::new([("stable".into(), WHOLE - canary), ("canary".into(), canary)], basis)
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    fn counts<'a>(chosen: impl Iterator<Item = &'a Arc<str>>) -> HashMap<&'a str, usize> {
        let mut counts = HashMap::new();
        chosen.for_each(|name| *counts.entry(&**name).or_default() += 1);
        counts
    }

    #[test]
    fn requests_are_shared_by_percent() {
        let by_user = split(5, Some(Basis::Header(HeaderName::from_static("x-user"))));
        let drawn = split(5, None);
        let users: Vec<HeaderMap> = (0..20_000).map(|user| with("x-user", &format!("user-{user}"))).collect();
        for split in [&by_user, &drawn] {
            let counts = counts(users.iter().map(|headers| split.choose(headers, None).unwrap()));
            assert!((800..1_200).contains(&counts["canary"]), "{counts:?}");
        }
        let none = split(0, None);
        assert!(users.iter().all(|headers| &**none.choose(headers, None).unwrap() == "stable"));
        let all = split(100, None);
        assert!(users.iter().all(|headers| &**all.choose(headers, None).unwrap() == "canary"));
    }

    #[test]
    fn one_value_keeps_its_upstream_while_a_canary_grows() {
        let basis = || Some(Basis::Cookie("session".into()));
        let growing: Vec<Split> = [1, 5, 20, 50, 100].map(|canary| split(canary, basis())).into();
        for session in 0..500 {
            let headers = with("cookie", &format!("a=b; session=s{session}; c=d"));
            let chosen: Vec<&str> = growing.iter().map(|split| &**split.choose(&headers, None).unwrap()).collect();
            assert!(chosen.is_sorted_by(|one, other| one == other || *other == "canary"), "{chosen:?}");
        }
    }

    #[test]
    fn every_gateway_chooses_alike() {
        // Changing this moves every session of every canary.
        assert_eq!(hash(b"user-1") % 100, 77);
        let (tenant, key) = (TenantId::from_u128(1), KeyId::from_u128(2));
        for basis in [Basis::Key, Basis::Tenant] {
            let split = split(50, Some(basis));
            let chosen = split.choose(&HeaderMap::new(), Some((tenant, key)));
            assert!((0..10).all(|_| split.choose(&HeaderMap::new(), Some((tenant, key))) == chosen));
        }
    }

    #[test]
    fn cookie_is_found_by_its_whole_name() {
        let headers = with("cookie", "xsession=1; session=2;session=3; session");
        assert_eq!(cookie(&headers, b"session"), Some(&b"2"[..]));
        assert_eq!(cookie(&headers, b"sess"), None);
        assert_eq!(cookie(&HeaderMap::new(), b"session"), None);
    }
}
