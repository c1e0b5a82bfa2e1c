//! Errors of serde in plain words: what is expected and what is there, without the names of types.

use serde::de::{Expected, Unexpected};

use super::fault::quoted;

/// Describes the values that a type takes.
pub(super) fn expected(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let plain = match text.as_str() {
        "a sequence" => "a list",
        "a map" => "a group of settings",
        "a string" | "a borrowed string" | "path string" => "a text",
        "a boolean" => "`true` or `false`",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if text.starts_with("struct ") || text.starts_with("internally tagged enum") => "a group of settings",
        _ => return text,
    };
    plain.to_owned()
}

/// Describes the value that was found instead.
pub(super) fn unexpected(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Char(value) => format!("`{value}`"),
        Unexpected::Str(value) => quoted(value),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a group of settings".into(),
        _ => "something else".into(),
    }
}
