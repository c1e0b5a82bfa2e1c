//! Claims of a token whose signature is right.

use serde_json::Value;

use crate::time::Micros;

/// The last second that documents can write, 9999-12-30T21:59:59Z.
const LAST_SECOND: i64 = 253_402_207_199;

/// A claim by its name, or by its path with dots.
pub fn claim<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| path.split('.').try_fold(claims, |value, name| value.get(name)))
}

/// The expiry of a token in whole seconds: a fraction is cut off, and a later instant than
/// documents can write becomes the last that they can.
pub fn expiry(claims: &Value) -> Option<Micros> {
    let claim = claims.get("exp")?;
    let seconds: i64 = claim.as_i64().or_else(|| claim.to_string().split('.').next()?.parse().ok())?;
    Some(Micros(seconds.min(LAST_SECOND).saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claim_is_found_by_name_and_by_path() {
        let claims = json!({ "https://x.example/tenant": 1, "realm": { "roles": [2] } });
        assert_eq!(claim(&claims, "https://x.example/tenant"), Some(&json!(1)));
        assert_eq!(claim(&claims, "realm.roles"), Some(&json!([2])));
        assert_eq!(claim(&claims, "realm.role"), None);
    }

    #[test]
    fn expiry_is_in_whole_seconds_that_documents_can_write() {
        let of = |exp: Value| expiry(&json!({ "exp": exp }));
        assert_eq!(of(json!(1_800_000_000)), Some(Micros(1_800_000_000_000_000)));
        assert_eq!(of(json!(1_800_000_000.9)), Some(Micros(1_800_000_000_000_000)));
        assert_eq!(of(json!(i64::MAX)), Some(Micros(LAST_SECOND * 1_000_000)));
        assert_eq!(of(json!("soon")), None);
    }
}
