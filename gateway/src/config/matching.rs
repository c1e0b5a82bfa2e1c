//! The settings of a route that say which requests it serves: `path`, `path_prefix`, `headers` and
//! `query`.

use std::{collections::BTreeMap, fmt};

use common::config::quoted;
use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{check::is_path, route::RouteCheck};
use crate::route::{Conditions, PathPattern, Spellings, Wanted, decode_path};

/// Longest path of a route, in bytes.
const PATH_MAX_BYTES: usize = 1_024;

/// The value that a condition asks for, as it is written: a text, or `{ present: true }`, or
/// `{ prefix: .. }`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WantedFile {
    Exact(String),
    Rule(RuleFile),
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    /// True if it has to be there, with any value.
    present: Option<bool>,
    /// The beginning that the value must have.
    prefix: Option<String>,
}

impl RouteCheck<'_, '_> {
    /// The paths that the route serves, spelled as `allowed` lets them.
    pub(super) fn path(&self, allowed: Spellings) -> Option<PathPattern> {
        let (path, prefix) = (&self.file.path, &self.file.path_prefix);
        match (path, prefix) {
            (Some(path), None) => {
                let checked = checked_path("path", path, allowed)
                    .and_then(|path| PathPattern::parse(path).map_err(|error| format!("path `{path}`: {error}")));
                checked.map_err(|reason| self.refuse("path", &reason)).ok()
            }
            (None, Some(prefix)) => {
                let trimmed = prefix.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(prefix);
                let checked = checked_path("path_prefix", trimmed, allowed).map(PathPattern::below);
                checked.map_err(|reason| self.refuse("path_prefix", &reason)).ok()
            }
            (Some(_), Some(_)) => {
                let reason = "`path` is one path, and `path_prefix` everything below one: remove one of them, or write a \
                              route for each";
                self.refuse("path", reason);
                None
            }
            (None, None) => {
                // One that could not be read is told already.
                if !["path", "path_prefix"].iter().any(|setting| self.check.has(setting)) {
                    self.refuse("", "`path_prefix` or `path` is missing: say which paths the route serves");
                }
                None
            }
        }
    }

    /// The conditions on headers and query.
    pub(super) fn conditions(&self) -> Conditions {
        let headers = self.each_condition("headers", &self.file.headers, header_name);
        let query = self.each_condition("query", &self.file.query, query_name);
        Conditions::new(headers, query)
    }

    /// Each condition that makes sense; the faults of the others are noted.
    fn each_condition<T>(
        &self,
        field: &str,
        conditions: &BTreeMap<String, WantedFile>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(T, Wanted)> {
        let told = |name: &str, reason: String| self.check.inside(field, || self.refuse(name, &reason));
        let condition = |(name, wanted): (&String, &WantedFile)| {
            let wanted =
                wanted.checked().map_err(|reason| told(name, format!("`{field}`: {}: {reason}", quoted(name))));
            let parsed = parse(name).map_err(|reason| told(name, reason));
            Some((parsed.ok()?, wanted.ok()?))
        };
        conditions.iter().filter_map(condition).collect()
    }
}

impl WantedFile {
    fn checked(&self) -> Result<Wanted, String> {
        match self {
            Self::Exact(text) => Ok(Wanted::Exact(text.as_str().into())),
            Self::Rule(RuleFile { present: None, prefix: Some(prefix) }) if !prefix.is_empty() => {
                Ok(Wanted::Prefix(prefix.as_str().into()))
            }
            Self::Rule(RuleFile { present: Some(true), prefix: None }) => Ok(Wanted::Present),
            Self::Rule(_) => Err("write a value, { present: true }, or { prefix: \"2.\" }".into()),
        }
    }
}

impl<'de> Deserialize<'de> for WantedFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = WantedFile;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, { present: true } or { prefix: .. }")
            }

            fn visit_str<E>(self, text: &str) -> Result<WantedFile, E> {
                Ok(WantedFile::Exact(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<WantedFile, E> {
                Ok(WantedFile::Exact(number.to_string()))
            }

            fn visit_bool<E>(self, switch: bool) -> Result<WantedFile, E> {
                Ok(WantedFile::Exact(switch.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<WantedFile, E> {
                Err(E::custom(format!("{number} may be spelled in several ways: write the text in quotes")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WantedFile, A::Error> {
                RuleFile::deserialize(MapAccessDeserializer::new(map)).map(WantedFile::Rule).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Values)
    }
}

/// The path, if it stands as it will be compared: decoded, and spelled as `allowed` lets it.
fn checked_path<'t>(field: &str, text: &'t str, allowed: Spellings) -> Result<&'t str, String> {
    let decoded = decode_path(text).map_err(|error| format!("{field} `{text}`: {error}"))?;
    decoded.check(allowed).map_err(|error| format!("{field} `{text}`: {error}"))?;
    if decoded.as_bytes() == text.as_bytes() && is_path(text) && text.len() <= PATH_MAX_BYTES {
        return Ok(text);
    }
    Err(format!("{field} `{text}`: write it decoded, without query, fragment or white space"))
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    match text.parse::<HeaderName>() {
        Ok(header::HOST) => Err("`headers`: use `hosts` for conditions on `Host`".into()),
        Ok(name) => Ok(name),
        Err(_) => Err(format!("`headers`: {} is not the name of a header", quoted(text))),
    }
}

fn query_name(text: &str) -> Result<Box<str>, String> {
    if text.is_empty() { Err("`query`: the name of a parameter is empty".into()) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<(PathPattern, Conditions), String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n  - {{ name: a, upstream: a, {fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings
            .map(|settings| (settings.routes[0].path.clone(), settings.routes[0].conditions.clone()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn path_is_exact_or_has_parameters_or_is_a_prefix() {
        assert_eq!(of("path: '/v1/users/{id}'").unwrap().0, PathPattern::parse("/v1/users/{id}").unwrap());
        assert_eq!(of("path: /v1/").unwrap().0, PathPattern::parse("/v1/").unwrap());
        assert_eq!(of("path_prefix: /v1/").unwrap().0, PathPattern::below("/v1"));
        assert!(of("path: '/a;b', allow_in_path: [parameters]").is_ok());
    }

    #[test]
    fn conditions_are_values_beginnings_or_presence() {
        let fields =
            "path: /, headers: { X-Version: '2', x-a: { present: true } }, query: { beta: 1, v: { prefix: '2.' } }";
        let name = HeaderName::from_static;
        let headers = vec![(name("x-a"), Wanted::Present), (name("x-version"), Wanted::Exact("2".into()))];
        let query = vec![("beta".into(), Wanted::Exact("1".into())), ("v".into(), Wanted::Prefix("2.".into()))];
        assert_eq!(of(fields).unwrap().1, Conditions::new(headers, query));
        assert!(of("path: /").unwrap().1.is_empty());
    }

    #[test]
    fn faults_name_place_and_reason() {
        let faults = [
            ("methods: [GET]", "`path_prefix` or `path` is missing"),
            ("path: /a, path_prefix: /a", "remove one of them"),
            ("path: a", "path `a`: path must start with a slash"),
            ("path: /a/../b", "path must not have a `.`"),
            ("path: /caf%C3%A9", "write it decoded"),
            ("path: '/a/{id'", "a parameter is a whole segment"),
            ("path: '/{rest...}/b'", "must be the last segment"),
            ("path: '/{id}/{id}'", "stands twice"),
            ("path: '/a;b'", "path has a `;`"),
            ("path: '/a/{id}', strip_prefix: true", "`strip_prefix` needs a prefix"),
            ("path: /, headers: { 'X Y': a }", "is not the name of a header"),
            ("path: /, headers: { Host: a }", "use `hosts`"),
            ("path: /, headers: { X-A: { present: false } }", "write a value, { present: true }"),
            ("path: /, headers: { X-A: { prefix: '' } }", "write a value, { present: true }"),
            ("path: /, headers: { X-A: { exact: a } }", "`exact`"),
            ("path: /, headers: { X-A: [a] }", "a text, { present: true }"),
            ("path: /, headers: { X-A: 1.0 }", "write the text in quotes"),
            ("path: /, query: { '': a }", "is empty"),
        ];
        for (fields, reason) in faults {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
        let several = of("path: a, headers: { 'X Y': { prefix: '' } }, query: { '': a }").unwrap_err();
        assert_eq!(several.matches("gateway.yaml:3:").count(), 4, "{several}");
    }
}
