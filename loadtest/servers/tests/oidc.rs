//! An OIDC provider that rotates its keys or goes away: tests rely on this behaviour.

use servers::OpenId;

#[test]
fn restarted_provider_signs_with_the_same_keys_until_they_rotate() {
    let mut provider = OpenId::start().unwrap();
    let order = r#"{"alg":"EdDSA","claims":{"sub":"a"}}"#;
    let token = provider.sign(order).unwrap();
    assert_eq!(token.split('.').count(), 3);
    let issuer = provider.issuer();
    provider.kill().unwrap();
    assert!(!provider.is_ready());
    provider.restart().unwrap();
    assert_eq!(provider.issuer(), issuer);
    // The same key makes the same signature of the same claims.
    assert_eq!(provider.sign(order).unwrap(), token);
    provider.rotate_keys(true).unwrap();
    assert_ne!(provider.sign(order).unwrap(), token);
    let foreign = provider.sign(r#"{"alg":"EdDSA","claims":{"sub":"a"},"stranger":true}"#).unwrap();
    assert_ne!(foreign, provider.sign(order).unwrap());
    assert!(provider.counts().unwrap().contains("/control/sign"));
}
