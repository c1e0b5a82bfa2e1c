//! The setting `balance` of an upstream: which of its servers the next request goes to.

use std::fmt;

use common::config::ConfigError;
use http::HeaderName;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::config::check::Check;

/// The rule by which a request finds its server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// The less loaded one of two that are picked at random.
    LeastLoaded,
    /// Always the same one for the same value.
    Hash(HashBy),
}

/// The value that leads a request to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// The value of a request header.
    Header(HeaderName),
    /// The key of the caller.
    Key,
    /// The tenant of the caller.
    Tenant,
    /// The value of a parameter of the route's path.
    Path(Box<str>),
}

/// The setting as it is written: a name, or `{ hash: { by: key } }`.
#[derive(Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum BalanceFile {
    #[default]
    RoundRobin,
    LeastLoaded,
    Hash {
        by: String,
    },
}

impl Check<'_> {
    pub(super) fn balance(&self, file: &BalanceFile) -> Result<Balance, ConfigError> {
        let by = match file {
            BalanceFile::RoundRobin => return Ok(Balance::RoundRobin),
            BalanceFile::LeastLoaded => return Ok(Balance::LeastLoaded),
            BalanceFile::Hash { by } => by,
        };
        let refuse = || {
            let reason = "is not something to hash by: use key, tenant, header X-Session or path user_id";
            self.inside("balance", || self.inside("hash", || self.at("by", by, reason)))
        };
        Ok(Balance::Hash(match (by.as_str(), by.split_once(' ')) {
            ("key", _) => HashBy::Key,
            ("tenant", _) => HashBy::Tenant,
            (_, Some(("header", name))) => HashBy::Header(name.trim().parse().map_err(|_| refuse())?),
            (_, Some(("path", name))) if is_parameter(name.trim()) => HashBy::Path(name.trim().into()),
            _ => return Err(refuse()),
        }))
    }
}

/// Returns true if a parameter of a path can have this name.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl<'de> Deserialize<'de> for BalanceFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BalanceVisitor)
    }
}

struct BalanceVisitor;

impl<'de> de::Visitor<'de> for BalanceVisitor {
    type Value = BalanceFile;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("round_robin, least_loaded or { hash: { by: key } }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<BalanceFile, E> {
        match name {
            "round_robin" => Ok(BalanceFile::RoundRobin),
            "least_loaded" => Ok(BalanceFile::LeastLoaded),
            _ => Err(E::unknown_variant(name, &["round_robin", "least_loaded", "{ hash: { by: key } }"])),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, entries: A) -> Result<BalanceFile, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entries {
            hash: HashFile,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct HashFile {
            by: String,
        }
        let Entries { hash } = Entries::deserialize(de::value::MapAccessDeserializer::new(entries))?;
        Ok(BalanceFile::Hash { by: hash.by })
    }
}
