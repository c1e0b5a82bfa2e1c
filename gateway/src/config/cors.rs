//! The section `cors` of a route: which pages of other origins may call it, and how.

use std::{fmt::Write as _, sync::Arc};

use common::config::quoted;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    file::OneOrMore,
    route::{METHODS, RouteCheck, parse_method},
};
use crate::{
    filter::cors::{AllowedHeaders, Cors, OriginPattern, Origins},
    limit::headers::RATE_HEADERS,
};

/// All origins, methods or headers.
const ANY: &str = "*";

/// Headers of a request that pages may set unless the route says otherwise.
const HEADERS: &str = "authorization, content-type, x-api-key, x-request-id";

/// Headers of an answer that pages may always read, beside those of the limits.
const EXPOSED: &str = "retry-after, x-request-id";

/// Longest time that may be said; browsers cut it off at a day or earlier.
const MAX_AGE_LONGEST_SECONDS: u64 = 86_400;

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CorsFile {
    /// Origins whose pages may call, as in `https://app.example.com` or `https://*.example.org`;
    /// `*` for all.
    origins: OneOrMore,
    /// Methods that pages may use; those of the route unless set.
    #[serde(default)]
    methods: OneOrMore,
    /// Headers that pages may set; `*` for all.
    headers: Option<OneOrMore>,
    /// Headers of answers that pages may read, beside those of limits.
    #[serde(default)]
    expose_headers: OneOrMore,
    /// True if pages may send cookies; not with `*`.
    #[serde(default)]
    credentials: bool,
    /// Time for which browsers remember the answer to a preflight.
    #[serde(default = "default_max_age_seconds")]
    max_age_seconds: u64,
}

impl RouteCheck<'_, '_> {
    /// Returns the CORS policy of the route, if it has one.
    pub(super) fn cors(&self) -> Option<Arc<Cors>> {
        let file = self.file.cors.as_ref()?;
        self.check.inside("cors", || {
            let most = MAX_AGE_LONGEST_SECONDS;
            let max_age = self.within("max_age_seconds", Some(file.max_age_seconds), 0, most).unwrap_or_default();
            let (origins, methods) = (self.origins(file), self.cors_methods(file));
            let (headers, exposed) = (self.cors_headers(file), self.exposed(file));
            Some(Arc::new(Cors {
                origins,
                methods: methods?,
                headers: headers?,
                exposed: exposed?,
                credentials: file.credentials,
                max_age: max_age.into(),
            }))
        })
    }

    fn origins(&self, file: &CorsFile) -> Origins {
        let origins = file.origins.items();
        if origins.is_empty() && !self.check.is_unusable() {
            self.refuse("origins", "`origins` is empty: name the origins whose pages may call, or write \"*\" for all");
        }
        if !origins.iter().any(|origin| origin == ANY) {
            return Origins::Listed(self.each("origins", origins, OriginPattern::parse).collect());
        }
        if origins.len() > 1 {
            self.refuse_value("origins", ANY, "`*` is all origins: leave out the others, or the `*`");
        }
        if file.credentials {
            let reason = "`credentials: true` lets pages act as whoever is logged in, and `*` is every page there is: name the \
                          origins that are trusted";
            self.refuse_value("origins", ANY, reason);
        }
        Origins::Any
    }

    /// Methods that pages may use: those of the route unless fewer are named.
    fn cors_methods(&self, file: &CorsFile) -> Option<HeaderValue> {
        let served = &self.file.methods;
        let parse = |text: &str| {
            let method = parse_method(text)?;
            if served.is_empty() || served.iter().any(|served| served == text) {
                return Ok(method.as_str().to_owned());
            }
            Err(format!("the route does not serve {text}: its `methods` are {}", served.join(", ")))
        };
        let named = file.methods.items();
        let methods: Vec<String> = if named.is_empty() {
            let all = METHODS.iter().filter(|method| **method != "TRACE").map(|method| (*method).to_owned());
            if served.is_empty() { all.collect() } else { served.clone() }
        } else {
            self.each("methods", named, parse).collect()
        };
        value(&methods.join(", "))
    }

    fn cors_headers(&self, file: &CorsFile) -> Option<AllowedHeaders> {
        let Some(named) = &file.headers else {
            return value(HEADERS).map(AllowedHeaders::Listed);
        };
        if named.items() == [ANY] {
            if file.credentials {
                let reason = "`credentials: true` needs the headers by name: `*` would let a page send any";
                self.refuse_value("headers", ANY, reason);
            }
            return Some(AllowedHeaders::Any);
        }
        let allowed: Vec<String> = self.each("headers", named.items(), header_name).collect();
        value(&allowed.join(", ")).map(AllowedHeaders::Listed)
    }

    /// Headers that pages may read: those of the gateway's own answers, and those that are named.
    fn exposed(&self, file: &CorsFile) -> Option<HeaderValue> {
        let mut all = EXPOSED.to_owned();
        for name in &RATE_HEADERS {
            let _ = write!(all, ", {name}");
        }
        let named = file.expose_headers.items();
        let is_any = |text: &str| text == ANY && !file.credentials;
        let parse = |text: &str| if is_any(text) { Ok(ANY.to_owned()) } else { header_name(text) };
        for name in self.each("expose_headers", named, parse) {
            let _ = write!(all, ", {name}");
        }
        value(&all)
    }
}

fn header_name(text: &str) -> Result<String, String> {
    let name = text.parse::<HeaderName>().ok().filter(|_| text != ANY);
    name.map(|name| name.to_string()).ok_or_else(|| format!("{} is not the name of a header", quoted(text)))
}

/// Text of names and commas as the value of a header.
fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

const fn default_max_age_seconds() -> u64 {
    600
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(route: &str, cors: &str) -> Result<Cors, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{route}, cors: {{ {cors} }} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings
            .map(|settings| (**settings.routes[0].cors.as_ref().unwrap()).clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn missing_settings_have_defaults() {
        let cors = of("", "origins: 'https://a.test'").unwrap();
        assert_eq!(cors.origins, Origins::Listed(vec![OriginPattern::parse("https://a.test").unwrap()]));
        assert_eq!(cors.methods, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        assert_eq!(cors.headers, AllowedHeaders::Listed(HeaderValue::from_static(HEADERS)));
        assert_eq!(
            cors.exposed,
            "retry-after, x-request-id, ratelimit, ratelimit-policy, x-ratelimit-limit, x-ratelimit-remaining, \
             x-ratelimit-reset"
        );
        assert_eq!((cors.credentials, cors.max_age.to_str().unwrap()), (false, "600"));
        assert_eq!(of(", methods: [GET, POST]", "origins: '*'").unwrap().methods, "GET, POST");
    }

    #[test]
    fn everything_can_be_said() {
        let cors = of(
            ", methods: [GET, POST]",
            "origins: ['https://a.test', 'https://*.b.test'], methods: [GET], headers: [X-Own, Authorization], \
             expose_headers: X-Total, credentials: true, max_age_seconds: 0",
        )
        .unwrap();
        assert_eq!((cors.methods.to_str().unwrap(), cors.credentials), ("GET", true));
        assert_eq!(cors.headers, AllowedHeaders::Listed(HeaderValue::from_static("x-own, authorization")));
        assert!(cors.exposed.to_str().unwrap().ends_with(", x-total"));
        assert_eq!(cors.max_age, "0");
        let any = of("", "origins: ['*'], headers: '*', expose_headers: '*'").unwrap();
        assert_eq!((any.origins, any.headers), (Origins::Any, AllowedHeaders::Any));
        assert!(any.exposed.to_str().unwrap().ends_with(", *"));
    }

    #[test]
    fn faults_name_place_and_reason() {
        let faults = [
            ("", "methods: [GET]", "`origins` is missing"),
            ("", "origins: []", "`origins` is empty"),
            ("", "origins: ['*', 'https://a.test']", "`*` is all origins"),
            ("", "origins: '*', credentials: true", "name the origins that are trusted"),
            ("", "origins: 'https://a.test', headers: '*', credentials: true", "needs the headers by name"),
            (
                "",
                "origins: 'https://a.test', expose_headers: '*', credentials: true",
                "`*` is not the name of a header",
            ),
            ("", "origins: 'null'", "`null` is not an origin"),
            ("", "origins: ['https://a.test/']", "is not an origin"),
            ("", "origins: '*', methods: [FETCH]", "is not a method"),
            (", methods: [GET]", "origins: '*', methods: [PUT]", "the route does not serve PUT"),
            ("", "origins: '*', headers: ['a b']", "is not the name of a header"),
            ("", "origins: '*', expose_headers: ['a b']", "is not the name of a header"),
            ("", "origins: '*', max_age_seconds: 86401", "must be between 0 and 86400"),
            ("", "origins: '*', max_age_second: 1", "did you mean `max_age_seconds`?"),
        ];
        for (route, cors, reason) in faults {
            let told = of(route, cors).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{cors}: {told}");
        }
        let several = of("", "origins: [a, b], methods: [X], headers: ['a b'], max_age_seconds: 86401").unwrap_err();
        assert_eq!(several.matches("gateway.yaml:3:").count(), 5, "{several}");
    }
}
