//! Settings of Kafka clients that all programs read and apply alike. The clients themselves are the
//! programs' own.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

/// Longest name of a topic, in bytes: Kafka's own limit.
const TOPIC_MAX_BYTES: usize = 249;

/// Properties of every producer, which no configuration may change: a message is written once, to
/// all replicas, and a key stays on its partition, whichever program sends it. Java's own clients
/// partition alike.
pub const PRODUCER: [(&str, &str); 4] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("allow.auto.create.topics", "false"),
];

/// Defaults of a producer's connections: a broken one is noticed, and tried again soon.
pub const CONNECTIONS: [(&str, &str); 3] =
    [("socket.keepalive.enable", "true"), ("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "1000")];

/// A value of a property, written with or without quotes; the client takes text.
#[derive(Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Scalar {
    /// `ssl`.
    Text(String),
    /// `true`.
    Switch(bool),
    /// `6000`.
    Whole(i64),
    /// `0.5`.
    Fraction(f64),
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Switch(switch) => switch.fmt(formatter),
            Self::Whole(number) => number.fmt(formatter),
            Self::Fraction(number) => number.fmt(formatter),
        }
    }
}

/// Returns the properties of a client in the order in which they apply, each in place of an earlier
/// one of its name: the program's defaults, the configured ones, and those that no configuration
/// may change.
pub fn layered<'a>(
    defaults: impl IntoIterator<Item = (&'a str, &'a str)>,
    configured: &'a BTreeMap<String, String>,
    fixed: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let configured = configured.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    defaults.into_iter().chain(configured).chain(fixed)
}

/// Returns true if Kafka takes this name for a topic.
pub fn is_topic(name: &str) -> bool {
    (1..=TOPIC_MAX_BYTES).contains(&name.len())
        && ![".", ".."].contains(&name)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Reads a text that must not be empty.
pub fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() || text.contains('\0') {
        return Err(de::Error::custom("must not be empty: leave the setting out for its default"));
    }
    Ok(text)
}

/// Reads the name of a topic.
pub fn topic<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if is_topic(&name) {
        return Ok(name);
    }
    Err(de::Error::custom(format!("`{name}` is not a topic: use up to 249 letters, digits, `.`, `_` and `-`")))
}

/// Reads properties of the client. Each of the `reserved` ones is refused, with the reason.
pub fn properties_except<'de, D: Deserializer<'de>>(
    deserializer: D,
    reserved: &[(&str, &str)],
) -> Result<BTreeMap<String, String>, D::Error> {
    let given: BTreeMap<String, Scalar> = BTreeMap::deserialize(deserializer)?;
    for (name, reason) in reserved {
        if given.contains_key(*name) {
            return Err(de::Error::custom(format!("`{name}` cannot be set here: {reason}")));
        }
    }
    let texts: BTreeMap<_, _> = given.into_iter().map(|(name, scalar)| (name, scalar.to_string())).collect();
    match texts.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        Some((name, _)) => Err(de::Error::custom(format!("`{}` contains a NUL character", name.escape_default()))),
        None => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layer_replaces_property_of_an_earlier_one() {
        let configured = [("acks".to_owned(), "1".to_owned()), ("linger.ms".to_owned(), "5".to_owned())].into();
        let layers = layered([("linger.ms", "0")], &configured, PRODUCER);
        let applied: BTreeMap<&str, &str> = layers.collect();
        assert_eq!((applied["linger.ms"], applied["acks"]), ("5", "all"));
    }

    #[test]
    fn topic_name_follows_the_rule_of_kafka() {
        assert!(is_topic("usage.events") && is_topic(&"a".repeat(TOPIC_MAX_BYTES)));
        for name in ["", ".", "..", "a b", "a/b", &"a".repeat(TOPIC_MAX_BYTES + 1)] {
            assert!(!is_topic(name), "{name}");
        }
    }
}
