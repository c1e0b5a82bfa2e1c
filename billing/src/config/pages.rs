//! The section `pages`: console and portal, and the sessions of people who use them.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// Longest time without use, in minutes: a day.
const IDLE_MINUTES_MAX: u32 = 1_440;

/// Longest session, in hours: 30 days.
const HOURS_MAX: u32 = 720;

/// Console and portal, and the sessions of people who use them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagesConfig {
    /// Address at which browsers reach this program, as in `https://billing.example.com`: sign-in
    /// links begin with it. Without it, they begin with the path.
    #[serde(deserialize_with = "origin")]
    pub public_url: Option<String>,
    /// Origins whose pages may show the portal in a frame, as in `https://app.example.com`; nobody
    /// may show the console.
    #[serde(deserialize_with = "origins")]
    pub frame_ancestors: Vec<String>,
    /// Minutes without use after which a session ends.
    #[schemars(range(min = 1, max = 1_440))]
    #[serde(deserialize_with = "idle_minutes")]
    pub session_idle_minutes: u32,
    /// Hours after which a session ends.
    #[schemars(range(min = 1, max = 720))]
    #[serde(deserialize_with = "hours")]
    pub session_hours: u32,
}

impl Default for PagesConfig {
    fn default() -> Self {
        Self { public_url: None, frame_ancestors: Vec::new(), session_idle_minutes: 30, session_hours: 12 }
    }
}

fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_origin(&text) {
        return Ok(Some(text));
    }
    Err(de::Error::custom(format!(
        "`{text}` is not an origin: write scheme and host, as in https://billing.example.com"
    )))
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    match origins.iter().find(|text| !is_origin(text)) {
        None => Ok(origins),
        Some(text) => Err(de::Error::custom(format!(
            "`{text}` is not an origin: write scheme and host, as in https://app.example.com"
        ))),
    }
}

/// Returns true for scheme, host and port alone: nothing that could end a header's directive.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    })
}

fn idle_minutes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "session_idle_minutes", IDLE_MINUTES_MAX)
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "session_hours", HOURS_MAX)
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, name: &str, most: u32) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(de::Error::custom(format!("`{name}` must be from 1 to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_that_could_end_a_directive_is_refused() {
        for good in ["https://app.example.com", "http://127.0.0.1:3000", "http://[::1]:80"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["app.example.com", "https://", "https://a.example; script-src *", "https://a/b", "https://*"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
