//! Role and tenant of a person, from the claims that the settings name.

use common::{
    admin::Role,
    api::{me::PrincipalKind, problem::ProblemCode},
    id::TenantId,
    jwt::{claim, expiry},
    name::{NameError, validate_name},
};
use serde_json::Value;

use super::{OidcConfig, Refused};
use crate::{
    access::{principal::Principal, rules::reaches},
    problem::Problem,
};

/// Longest subject, in bytes: what OIDC allows.
const SUBJECT_LONGEST: usize = 255;

/// The principal of a valid token's claims.
pub(super) fn principal(settings: &OidcConfig, claims: &Value) -> Result<Principal, Refused> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    // Longer than a name of the domain may be, but with the same characters.
    let is_fit = matches!(validate_name(subject), Ok(()) | Err(NameError::TooLong(_)));
    if !(1..=SUBJECT_LONGEST).contains(&subject.len()) || !is_fit {
        return Err(Refused::known("the token's subject is no name"));
    }
    let tenant = claim(claims, &settings.tenant_claim).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let Some(tenant): Option<TenantId> = tenant else {
        return Err(nobody(&format!("the token's claim {} names no tenant", settings.tenant_claim)));
    };
    let Some(role) = claim(claims, &settings.role_claim).and_then(role) else {
        return Err(nobody(&format!("the token's claim {} names no role", settings.role_claim)));
    };
    let Some(expires_at) = expiry(claims) else {
        return Err(Refused::known("the token's claim exp is invalid"));
    };
    Ok(Principal {
        kind: PrincipalKind::Person,
        name: subject.to_owned(),
        tenant: Some(tenant),
        role,
        scopes: Vec::new(),
        expires_at: Some(expires_at),
        session: None,
    })
}

/// The refusal of a valid token that names no tenant or role here.
fn nobody(detail: &str) -> Refused {
    Refused::undecided(Problem::new(ProblemCode::Forbidden, detail))
}

/// The role claim: one role, or a list. The highest known role counts; unknown ones are ignored.
fn role(value: &Value) -> Option<Role> {
    let parse = |value: &Value| value.as_str().and_then(|text| text.parse::<Role>().ok());
    match value {
        Value::Array(values) => {
            values.iter().filter_map(parse).reduce(|held, next| if reaches(next, held) { next } else { held })
        }
        value => parse(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(tenant_claim: &str, role_claim: &str) -> OidcConfig {
        OidcConfig {
            issuer: "https://id.example".into(),
            audience: "tollgate".into(),
            tenant_claim: tenant_claim.into(),
            role_claim: role_claim.into(),
            clock_skew_seconds: 0,
            client_id: None,
            client_secret_file: None,
            scope: "openid".into(),
            resource: None,
        }
    }

    fn found(settings: &OidcConfig, mut claims: Value) -> Result<(String, Role), String> {
        claims["exp"] = 1_800_000_000.into();
        let found = principal(settings, &claims).map_err(|refused| format!("{:?}", refused.problem))?;
        Ok((found.tenant.unwrap().to_string(), found.role))
    }

    #[test]
    fn claim_is_found_by_name_and_by_path() {
        let tenant = TenantId::from_u128(1).to_string();
        let nested = json!({ "sub": "a", "tollgate": { "tenant": tenant, "role": "admin" } });
        let named = json!({ "sub": "a", "https://x.example/tenant": tenant, "realm": { "roles": ["offline", "viewer", "billing"] } });
        let expected = |role| Ok((tenant.clone(), role));
        assert_eq!(found(&settings("tollgate.tenant", "tollgate.role"), nested), expected(Role::Admin));
        assert_eq!(found(&settings("https://x.example/tenant", "realm.roles"), named), expected(Role::Billing));
    }

    #[test]
    fn token_without_tenant_or_role_is_forbidden() {
        let settings = settings("tenant", "role");
        let tenant = TenantId::from_u128(1).to_string();
        for claims in [
            json!({ "sub": "a", "role": "admin" }),
            json!({ "sub": "a", "tenant": "acme", "role": "admin" }),
            json!({ "sub": "a", "tenant": [tenant], "role": "admin" }),
            json!({ "sub": "a", "tenant": tenant }),
            json!({ "sub": "a", "tenant": tenant, "role": "root" }),
            json!({ "sub": "a", "tenant": tenant, "role": ["Owner", 7] }),
            json!({ "sub": "a", "tenant": tenant, "role": {} }),
        ] {
            let refused = found(&settings, claims.clone()).unwrap_err();
            assert!(refused.contains("Forbidden"), "{claims}: {refused}");
        }
    }

    #[test]
    fn subject_with_control_characters_is_refused() {
        let settings = settings("tenant", "role");
        for subject in [json!(""), json!("a\nb"), json!("an\u{202e}na"), json!("x".repeat(256)), json!(7)] {
            let claims = json!({ "sub": subject, "tenant": TenantId::from_u128(1).to_string(), "role": "admin" });
            assert!(found(&settings, claims).unwrap_err().contains("subject"), "{subject}");
        }
    }
}
