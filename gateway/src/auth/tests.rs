//! Each kind of credential and its answer.

use common::{
    key::{Key, Mode},
    tenant::TenantStatus,
};
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::catalog::fixture::Rows;

const NOW: Micros = Micros(1_800_000_000_000_000);

struct Fixture {
    secret: Secret,
    key: Key,
    authenticator: Authenticator,
}

/// A customer under a reseller under a root, with one key; `change` edits the rows before they are
/// loaded.
fn fixture(change: impl FnOnce(&mut Rows)) -> Fixture {
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    let secret = Secret::generate(Mode::Live);
    let mut rows = Rows::three_levels(NOW);
    let key = rows.add_key(2, pepper.hash(&secret), Mode::Live);
    change(&mut rows);
    let catalog = Arc::new(Catalog::from_rows(rows.into_catalog(), NOW));
    Fixture { secret, key, authenticator: Authenticator { catalog, pepper } }
}

impl Fixture {
    fn with(&self, headers: &[(&'static str, &str)]) -> Result<Caller, AuthRefusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        self.authenticator.authenticate(&map, NOW)
    }

    fn refusal(&self, headers: &[(&'static str, &str)]) -> AuthError {
        let refusal = self.with(headers).err().expect("a refusal");
        assert_eq!(refusal.owner, None);
        refusal.error
    }

    /// The refusal of the key itself, which must name its owner.
    fn refusal_of_key(&self) -> AuthError {
        let refusal = self.with(&[("x-api-key", self.secret.expose())]).err().expect("a refusal");
        assert_eq!(refusal.owner, Some((self.key.tenant, self.key.id)));
        refusal.error
    }
}

#[test]
fn key_is_known_in_either_header_whatever_the_case_of_the_scheme() {
    let fixture = fixture(|_| {});
    let key = fixture.secret.expose();
    for value in [format!("Bearer {key}"), format!("bearer {key}"), format!("BEARER   {key} ")] {
        let caller = fixture.with(&[("authorization", &value)]).expect("a caller");
        assert_eq!((caller.key.id, caller.tenant.id), (fixture.key.id, fixture.key.tenant));
    }
    assert!(fixture.with(&[("x-api-key", key)]).is_ok());
}

#[test]
fn missing_double_or_foreign_credential_is_named() {
    let fixture = fixture(|_| {});
    let key = fixture.secret.expose();
    let bearer = format!("Bearer {key}");
    assert_eq!(fixture.refusal(&[]), AuthError::Missing);
    for twice in [
        [("authorization", bearer.as_str()), ("x-api-key", key)],
        [("authorization", &bearer), ("authorization", &bearer)],
        [("x-api-key", key), ("x-api-key", key)],
    ] {
        assert_eq!(fixture.refusal(&twice), AuthError::Ambiguous);
    }
    for value in [key, "Basic dXNlcjpwYXNz", "Bear", "", &format!("Bearer{key}")] {
        assert_eq!(fixture.refusal(&[("authorization", value)]), AuthError::Scheme, "{value}");
    }
    assert_eq!(fixture.refusal(&[("authorization", "Bearer")]), AuthError::Malformed(SecretError::Prefix));
    assert_eq!(fixture.refusal(&[("x-api-key", &key[..39])]), AuthError::Malformed(SecretError::Length(39)));
}

#[test]
fn well_formed_key_that_was_never_issued_is_unknown() {
    let stranger = Secret::generate(Mode::Live);
    assert_eq!(fixture(|_| {}).refusal(&[("x-api-key", stranger.expose())]), AuthError::Unknown);
}

#[test]
fn revoked_and_expired_keys_are_told_apart() {
    let revoked = fixture(|rows| rows.keys[0].revoked_at = Some(NOW));
    assert_eq!(revoked.refusal_of_key(), AuthError::Revoked);
    let expired = fixture(|rows| rows.keys[0].expires_at = Some(NOW));
    assert_eq!(expired.refusal_of_key(), AuthError::Expired);
    let not_yet = fixture(|rows| rows.keys[0].expires_at = Some(Micros(NOW.0 + 1)));
    assert!(not_yet.with(&[("x-api-key", not_yet.secret.expose())]).is_ok());
}

#[test]
fn suspended_ancestor_refuses_the_whole_subtree() {
    for level in 0..3 {
        let suspended = fixture(|rows| rows.tenants[level].status = TenantStatus::Suspended);
        assert_eq!(suspended.refusal_of_key(), AuthError::Suspended, "level {level}");
    }
}

#[test]
fn tenant_without_a_subscription_in_force_has_no_plan() {
    let none = fixture(|rows| rows.subscriptions.clear());
    assert_eq!(none.refusal_of_key(), AuthError::NoPlan);
    let ended = fixture(|rows| rows.subscriptions[0].ends_at = Some(NOW));
    assert_eq!(ended.refusal_of_key(), AuthError::NoPlan);
    let later = fixture(|rows| rows.subscriptions[0].starts_at = Micros(NOW.0 + 1));
    assert_eq!(later.refusal_of_key(), AuthError::NoPlan);
}
