//! What the sections that speak with Kafka have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

/// Text that has to say something.
pub(super) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() || text.contains('\0') {
        return Err(de::Error::custom("must not be empty: leave the setting out for its default"));
    }
    Ok(text)
}

/// The name of a topic.
pub(super) fn topic<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_name = (1..=249).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_name {
        return Ok(name);
    }
    Err(de::Error::custom(format!("`{name}` is not a topic: use up to 249 letters, digits, `.`, `_` and `-`")))
}

/// What YAML may write for a property; the client takes text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Flag(bool),
    Number(i64),
    Text(String),
}

/// Properties of the client, without those that are `reserved`, each with what to do instead.
pub(super) fn properties_except<'de, D: Deserializer<'de>>(
    deserializer: D,
    reserved: &[(&str, &str)],
) -> Result<BTreeMap<String, String>, D::Error> {
    let given: BTreeMap<String, Scalar> = BTreeMap::deserialize(deserializer)?;
    for (name, why) in reserved {
        if given.contains_key(*name) {
            return Err(de::Error::custom(format!("`{name}` cannot be set here: {why}")));
        }
    }
    let text = |scalar| match scalar {
        Scalar::Flag(flag) => flag.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    };
    let texts: BTreeMap<_, _> = given.into_iter().map(|(name, scalar)| (name, text(scalar))).collect();
    match texts.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(de::Error::custom(format!("`{}` contains a NUL character", name.escape_default()))),
        None => Ok(texts),
    }
}
