//! Signatures of Stripe's webhooks.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually>: HMAC-SHA-256 of the time, a full stop
//! and the body; the header may hold several signatures while a secret is replaced.

use common::time::Micros;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::payment::provider::{SIGNATURE_TOLERANCE_SECONDS, SignatureError};

/// Longest header that is read.
const HEADER_MAX_BYTES: usize = 4_096;

/// Checks the header of a body against any of `secrets`.
pub fn verify(header: &str, body: &[u8], secrets: &[String], now: Micros) -> Result<(), SignatureError> {
    if header.len() > HEADER_MAX_BYTES {
        return Err(SignatureError::Malformed);
    }
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => time = text.parse::<i64>().ok(),
            Some(("v1", text)) => signatures.extend(bytes_of(text)),
            _ => {}
        }
    }
    let Some(time) = time.filter(|_| !signatures.is_empty()) else { return Err(SignatureError::Malformed) };
    let is_right = secrets.iter().any(|secret| {
        signatures.iter().any(|signature| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
            mac.update(time.to_string().as_bytes());
            mac.update(b".");
            mac.update(body);
            mac.verify_slice(signature).is_ok()
        })
    });
    if !is_right {
        return Err(SignatureError::Wrong);
    }
    let now_seconds = now.0.div_euclid(Micros::PER_SECOND);
    if (now_seconds - time).abs() > SIGNATURE_TOLERANCE_SECONDS {
        return Err(SignatureError::Old(time));
    }
    Ok(())
}

/// The 32 bytes that are written in hexadecimal.
fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(secret: &str, time: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn signature_counts_if_any_secret_made_any_of_them_lately() {
        let secrets = ["whsec_new".to_owned(), "whsec_old".to_owned()];
        let now = Micros(1_000 * Micros::PER_SECOND);
        let (old, new) = (signature("whsec_old", 1_000, "{}"), signature("whsec_new", 1_000, "{}"));
        let check = |header: &str, body: &str| verify(header, body.as_bytes(), &secrets, now);
        assert_eq!(check(&format!("t=1000,v1={new}"), "{}"), Ok(()));
        assert_eq!(check(&format!("t=1000,v1={},v1={old},v0=zz", "0".repeat(64)), "{}"), Ok(()));
        assert_eq!(check(&format!("t=1000,v1={new}"), "{ }"), Err(SignatureError::Wrong));
        assert_eq!(check(&format!("t=1001,v1={new}"), "{}"), Err(SignatureError::Wrong));
        let late = signature("whsec_new", 699, "{}");
        assert_eq!(check(&format!("t=699,v1={late}"), "{}"), Err(SignatureError::Old(699)));
        for header in ["", "t=1000", "v1=00", "t=x,v1=00", "nonsense", &"t=1,".repeat(2_000)] {
            assert_eq!(check(header, "{}"), Err(SignatureError::Malformed), "{header}");
        }
    }
}
