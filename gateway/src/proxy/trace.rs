//! W3C trace context: a client's trace goes on with a span of the gateway's own; a broken one
//! starts anew.

use common::hex;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_core::{ErrorType, OrErr as _};
use smallvec::SmallVec;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Room for version, trace, span and flags, with the dashes between them: 55 bytes.
const HEADER_ROOM: usize = 64;

/// Replaces `traceparent` by one that names this gateway as the parent.
pub(super) fn propagate(headers: &mut HeaderMap) -> pingora_core::Result<()> {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let only = sent.next().filter(|_| sent.next().is_none());
    let continued = only.and_then(|value| value.to_str().ok()).and_then(parse);
    let value = match continued {
        Some((trace, flags)) => written(trace.as_bytes(), flags.as_bytes()),
        None => written(&hex::digits(rand::random::<u128>() | 1), b"00"),
    };
    if continued.is_none() {
        // The state belongs to the trace that was dropped.
        headers.remove(TRACESTATE);
    }
    let value =
        HeaderValue::from_bytes(&value).or_err(ErrorType::InternalError, "a trace context that is no header")?;
    headers.insert(TRACEPARENT, value);
    Ok(())
}

/// The header with a new span; 32 digits of the trace, 2 of its flags.
fn written(trace: &[u8], flags: &[u8]) -> SmallVec<[u8; HEADER_ROOM]> {
    let span = hex::digits(u128::from(rand::random::<u64>() | 1));
    let mut value = SmallVec::new();
    for part in [b"00-", trace, b"-", &span[16..], b"-", flags] {
        value.extend_from_slice(part);
    }
    value
}

/// Trace id and flags of a valid header.
fn parse(value: &str) -> Option<(&str, &str)> {
    let mut parts = value.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let not_zero = |text: &str| text.bytes().any(|byte| byte != b'0');
    // Later versions may add parts; version 00 has none, and ff is not a version.
    let version_is_known = lower_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let valid = version_is_known
        && lower_hex(trace, 32)
        && not_zero(trace)
        && lower_hex(span, 16)
        && not_zero(span)
        && lower_hex(flags, 2);
    valid.then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn propagated(sent: &[&str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        propagate(&mut headers).unwrap();
        let value = headers[TRACEPARENT].to_str().unwrap().to_owned();
        assert!(parse(&value).is_some(), "{value}");
        (value, headers.contains_key(TRACESTATE))
    }

    #[test]
    fn valid_trace_goes_on_with_a_new_span() {
        let (value, state_kept) = propagated(&[SENT]);
        assert!(value.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && value.ends_with("-01"), "{value}");
        assert!(!value.contains("00f067aa0ba902b7") && state_kept);
    }

    #[test]
    fn anything_else_starts_a_new_trace() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = SENT.to_uppercase();
        let longer = format!("{SENT}-00");
        for sent in [&[][..], &["nonsense"], &[zero], &[&upper], &[&longer], &[SENT, SENT]] {
            let (value, state_kept) = propagated(sent);
            assert!(!value.contains("4bf92f3577b34da6a3ce929d0e0e4736") && !state_kept, "{sent:?}: {value}");
        }
    }
}
