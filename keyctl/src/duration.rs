//! Spans of time as people type them: `3600`, `90s`, `15m`, `1h`, `90d`, `2w`.

use std::str::FromStr;

/// Longest span that is accepted: a hundred years.
const MAX_SECONDS: u64 = 36_500 * 86_400;

/// A whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

/// A failure to read a text as a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// Not a number with a unit.
    #[error("write a whole number of seconds, or one with a unit of s, m, h, d or w, as in 90d")]
    Malformed,
    /// Beyond a hundred years.
    #[error("at most 36500d")]
    TooLong,
}

impl FromStr for Seconds {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (digits, unit_seconds) = match text.strip_suffix(['s', 'm', 'h', 'd', 'w']) {
            None => (text, 1),
            Some(digits) => (digits, unit_seconds(&text[digits.len()..])),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::Malformed);
        }
        // All digits: only a number too large fails to parse.
        let count: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        let seconds = count.checked_mul(unit_seconds).filter(|seconds| *seconds <= MAX_SECONDS);
        seconds.map(Self).ok_or(DurationError::TooLong)
    }
}

fn unit_seconds(unit: &str) -> u64 {
    match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_units_multiply() {
        for (text, seconds) in
            [("0", 0), ("3600", 3_600), ("90s", 90), ("15m", 900), ("1h", 3_600), ("90d", 7_776_000), ("2w", 1_209_600)]
        {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn invalid_duration_is_refused() {
        for text in ["", "h", "-1h", "+1h", "1.5h", "1h30m", "1 h", "1y", "ten", "1µ", "١h"] {
            assert_eq!(text.parse::<Seconds>(), Err(DurationError::Malformed), "{text}");
        }
        for text in ["36501d", "99999999999999999999", "18446744073709551615w"] {
            assert_eq!(text.parse::<Seconds>(), Err(DurationError::TooLong), "{text}");
        }
    }
}
