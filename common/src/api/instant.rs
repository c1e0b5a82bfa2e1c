//! Instants in documents: RFC 3339 in UTC. The store counts microseconds; API clients never see
//! that form.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, Object, RefOr, Schema, SchemaFormat, Type},
};

use crate::time::Micros;

/// The first instant that documents can write, 0001-01-01T00:00:00Z. The last is the last that can
/// be computed with.
const FIRST: Micros = Micros(-62_135_596_800_000_000);

/// An instant in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Micros);

impl Instant {
    /// Parses an instant that documents can also write.
    pub fn parse(text: &str) -> Result<Micros, String> {
        let at = text.parse().ok().filter(|at| *at >= FIRST);
        at.ok_or_else(|| {
            let text: String = text.chars().take(64).collect();
            format!("`{text}` is not an instant: write it as in 2026-11-22T01:30:00Z")
        })
    }
}

impl From<Micros> for Instant {
    fn from(at: Micros) -> Self {
        Self(at)
    }
}

impl From<Instant> for Micros {
    fn from(Instant(at): Instant) -> Self {
        at
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map(Self).map_err(de::Error::custom)
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let mut object = Object::with_type(Type::String);
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime));
        object.description = Some("RFC 3339, in UTC".into());
        object.examples = vec!["2026-11-22T01:30:00Z".into()];
        object.into()
    }
}

impl ToSchema for Instant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_instant_can_be_written() {
        for text in ["2026-11-22T01:30:00Z", "0001-01-01T00:00:00Z", "9999-12-30T21:59:59.999999Z"] {
            assert_eq!(Instant::parse(text).unwrap().to_string(), text);
        }
        for text in ["0000-12-31T23:59:59Z", "-000100-01-01T00:00:00Z", "yesterday", "", "1764000000"] {
            assert!(Instant::parse(text).unwrap_err().contains("as in 2026-11-22T01:30:00Z"), "{text}");
        }
    }
}
