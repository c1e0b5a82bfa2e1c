//! The state of the caller's limits in headers: those of the IETF draft, and the older ones that
//! most clients read.

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::limit::{
    LimitState,
    headers::{LIMIT, POLICY, RATE_LIMIT, REMAINING, RESET},
};

/// Room for what is told of one limit.
const LIMIT_BYTES: usize = 48;

/// Largest integer of a structured field.
const STRUCTURED_INTEGER_MAX: u64 = 999_999_999_999_999;

/// The headers that tell limits.
pub type RateHeaders = SmallVec<[(HeaderName, HeaderValue); 5]>;

/// The headers for these limits, of which the first is closest to refusing; none if there are no
/// limits.
pub fn rate_headers(limits: &[LimitState]) -> RateHeaders {
    // The older headers show one limit. A concurrency limit says nothing of requests one after the
    // other.
    let tells = |limit: &&LimitState| !limit.is_concurrency() || limit.remaining == 0;
    let Some(strictest) = limits.iter().find(tells).or(limits.first()) else {
        return RateHeaders::new();
    };
    let mut state = String::with_capacity(LIMIT_BYTES * limits.len());
    let mut policy = String::with_capacity(LIMIT_BYTES * limits.len());
    for limit in limits {
        begin(&mut state, limit, "r", told_remaining(limit));
        begin(&mut policy, limit, "q", limit.quota);
        if limit.is_concurrency() {
            policy.push_str(";qu=\"concurrent-requests\"");
        } else {
            parameter(&mut state, "t", limit.reset_seconds);
            parameter(&mut policy, "w", limit.window_seconds.max(1));
        }
    }
    let text = |name, value: String| HeaderValue::try_from(value).ok().map(|value| (name, value));
    [text(RATE_LIMIT, state), text(POLICY, policy)]
        .into_iter()
        .flatten()
        .chain([
            (LIMIT, HeaderValue::from(strictest.quota)),
            (REMAINING, HeaderValue::from(told_remaining(strictest))),
            (RESET, HeaderValue::from(strictest.reset_seconds)),
        ])
        .collect()
}

/// Writes the name of a limit and its first parameter.
fn begin(text: &mut String, limit: &LimitState, first: &str, number: u64) {
    text.push_str(if text.is_empty() { "\"" } else { ", \"" });
    text.push_str(limit.policy);
    text.push('"');
    parameter(text, first, number);
}

fn parameter(text: &mut String, name: &str, number: u64) {
    text.push(';');
    text.push_str(name);
    text.push('=');
    text.push_str(itoa::Buffer::new().format(number.min(STRUCTURED_INTEGER_MAX)));
}

/// Returns the remaining requests as clients are told them. A saved-up burst is not promised: the
/// limit is the most that is told.
pub fn told_remaining(limit: &LimitState) -> u64 {
    limit.remaining.min(limit.quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: LimitState =
        LimitState { policy: "key-second", quota: 5, window_seconds: 1, remaining: 0, reset_seconds: 1 };
    const MONTH: LimitState = LimitState {
        policy: "quota-month",
        quota: u64::MAX,
        window_seconds: 2_592_000,
        remaining: 84_211,
        reset_seconds: 86_399,
    };

    fn value(limits: &[LimitState], name: &str) -> String {
        let headers = rate_headers(limits);
        let (_, value) = headers.iter().find(|(header, _)| header == name).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn structured_fields_parse_and_say_what_the_limits_say() {
        for (name, first, second) in [("ratelimit", "r", "t"), ("ratelimit-policy", "q", "w")] {
            let text = value(&[SECOND, MONTH], name);
            let list: sfv::List = sfv::Parser::new(&text).parse().unwrap();
            assert_eq!(list.len(), 2);
            for entry in list {
                let sfv::ListEntry::Item(item) = entry else { panic!("{text}: not an item") };
                assert!(item.bare_item.as_string().is_some(), "{text}");
                for parameter in [first, second] {
                    let key = sfv::KeyRef::from_str(parameter).unwrap();
                    assert!(item.params.get(key).is_some_and(|value| value.as_integer().is_some()), "{text}");
                }
            }
        }
        assert_eq!(value(&[SECOND], "ratelimit"), "\"key-second\";r=0;t=1");
        assert_eq!(value(&[SECOND], "ratelimit-policy"), "\"key-second\";q=5;w=1");
    }

    #[test]
    fn concurrency_has_unit_and_no_window() {
        let at_once =
            LimitState { policy: "key-concurrent", quota: 8, window_seconds: 0, remaining: 3, reset_seconds: 0 };
        let limits = [at_once, LimitState { remaining: 4, ..SECOND }];
        assert_eq!(value(&limits, "ratelimit"), "\"key-concurrent\";r=3, \"key-second\";r=4;t=1");
        let policy = value(&limits, "ratelimit-policy");
        assert_eq!(policy, "\"key-concurrent\";q=8;qu=\"concurrent-requests\", \"key-second\";q=5;w=1");
        assert_eq!(sfv::Parser::new(&policy).parse::<sfv::List>().unwrap().len(), 2);
        assert_eq!(value(&limits, "x-ratelimit-limit"), "5", "one after the other, there are five");
        assert_eq!(value(&[LimitState { remaining: 0, ..at_once }, SECOND], "x-ratelimit-limit"), "8");
    }

    #[test]
    fn older_headers_show_the_strictest_limit() {
        assert_eq!(value(&[SECOND, MONTH], "x-ratelimit-limit"), "5");
        assert_eq!(value(&[SECOND, MONTH], "x-ratelimit-remaining"), "0");
        assert_eq!(value(&[SECOND, MONTH], "x-ratelimit-reset"), "1");
        assert!(rate_headers(&[]).is_empty());
    }

    #[test]
    fn no_more_remains_than_the_limit() {
        let bursting = LimitState { remaining: 9, ..SECOND };
        assert_eq!(value(&[bursting], "x-ratelimit-remaining"), "5");
        assert_eq!(value(&[bursting], "ratelimit"), "\"key-second\";r=5;t=1");
    }
}
