//! Scalars without quotes: numbers, switches, nothing, or text.

use super::tree::Scalar;

/// A scalar that is no text.
pub(super) enum Value {
    Nothing,
    Switch(bool),
    Whole(i128),
    Fraction(f64),
}

impl Value {
    /// Returns the value, or none if the scalar is a text.
    pub(super) fn of(scalar: &Scalar) -> Option<Self> {
        if !scalar.is_plain {
            return None;
        }
        let text = scalar.text.as_str();
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Some(Self::Nothing),
            "true" | "True" | "TRUE" => return Some(Self::Switch(true)),
            "false" | "False" | "FALSE" => return Some(Self::Switch(false)),
            _ => {}
        }
        if let Some(number) = whole(text) {
            return Some(Self::Whole(number));
        }
        let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        text.parse().ok().filter(|_| is_number).map(Self::Fraction)
    }
}

/// A whole number: decimal, or with `0x`, `0o` or `0b`. Digits after a 0 are a text, such as a
/// telephone number.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        Some(start) if start.starts_with('0') => return None,
        _ => (digits, 10),
    };
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let number = i128::from_str_radix(digits, radix).ok().filter(|_| sound)?;
    Some(sign * number)
}
