//! The section `credentials` of a route: where its requests carry their credential.

use std::sync::Arc;

use common::config::{Step, did_you_mean, quoted};
use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::RouteCheck;
use crate::auth::CredentialPlaces;

/// Headers that mean something to HTTP itself, and never carry a key.
const NEVER: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::COOKIE,
];

/// Longest name of a query parameter.
const PARAMETER_MAX_BYTES: usize = 64;

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsFile {
    /// Headers that carry the key; `Authorization` and `X-Api-Key` unless set.
    headers: Option<Vec<String>>,
    /// The query parameter that carries the key.
    query: Option<String>,
    /// Name of the issuer whose tokens are accepted in `Authorization`.
    tokens: Option<String>,
}

impl RouteCheck<'_, '_> {
    /// The places that the route names; none if keys come as on every route.
    pub(super) fn credentials(&self) -> Option<CredentialPlaces> {
        let file = self.file.credentials.as_ref()?;
        Some(self.check.inside("credentials", || {
            let places = CredentialPlaces {
                headers: self.credential_headers(file),
                query: self.credential_parameter(file),
                tokens: self.credential_issuer(file),
            };
            self.check_use(file, &places);
            places
        }))
    }

    fn credential_headers(&self, file: &CredentialsFile) -> Box<[HeaderName]> {
        let Some(names) = &file.headers else {
            return if self.file.public {
                Box::default()
            } else {
                [header::AUTHORIZATION, crate::auth::API_KEY_HEADER].into()
            };
        };
        let parse = |text: &str| {
            let name: HeaderName = text.parse().map_err(|_| format!("{} is not the name of a header", quoted(text)))?;
            if NEVER.contains(&name) {
                return Err(format!("{} has a meaning of its own: keys need another header", quoted(text)));
            }
            Ok(name)
        };
        let mut headers: Vec<HeaderName> = Vec::new();
        for name in self.each("headers", names, parse) {
            if headers.contains(&name) {
                self.refuse_value("headers", name.as_str(), &format!("{} is listed twice", quoted(name.as_str())));
            }
            headers.push(name);
        }
        headers.into()
    }

    fn credential_parameter(&self, file: &CredentialsFile) -> Option<Box<str>> {
        let name = file.query.as_deref()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if !(1..=PARAMETER_MAX_BYTES).contains(&name.len()) || !name.bytes().all(is_plain) {
            let reason = "names of parameters have 1 to 64 characters of A-Z, a-z, 0-9, - _ . and ~";
            self.refuse_value("query", name, &format!("{}: {reason}", quoted(name)));
        }
        Some(name.into())
    }

    fn credential_issuer(&self, file: &CredentialsFile) -> Option<Arc<str>> {
        let name = file.tokens.as_deref()?;
        let known = self.check.tree().keys(&[Step::Key("token_issuers".into())]);
        if !known.contains(&name) {
            let meant = did_you_mean(name, known.iter().copied());
            let all = match (meant.is_empty(), known.is_empty()) {
                (false, _) => meant,
                (true, true) => ": there is no section `token_issuers`".to_owned(),
                (true, false) => format!("; defined are: {}", known.join(", ")),
            };
            self.refuse_value("tokens", name, &format!("token issuer {} is not defined{all}", quoted(name)));
        }
        Some(name.into())
    }

    /// Refuses places that nobody can use, or that a public route has no use for.
    fn check_use(&self, file: &CredentialsFile, places: &CredentialPlaces) {
        if self.file.public {
            if file.query.is_some() || file.tokens.is_some() || !places.headers.is_empty() {
                let reason = "a public route reads no credential: `credentials: { headers: [] }` lets the client's own pass to \
                              the upstream, and is all that it can say";
                self.refuse("headers", reason);
            }
            return;
        }
        if places.headers.is_empty() && places.query.is_none() && places.tokens.is_none() && !self.check.is_unusable() {
            let reason = "nobody could call this route: name a header, a query parameter or a token issuer, or say `public: \
                          true`";
            self.refuse("headers", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<CredentialPlaces>, String> {
        let text = format!(
            "token_issuers: {{ acme: {{ issuer: 'https://id.example', audience: api }} }}\n\
             upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].credentials.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_those_of_every_route_unless_the_route_names_its_own() {
        assert_eq!(of(""), Ok(None));
        let tokens = of(", credentials: { tokens: acme }").unwrap().unwrap();
        assert_eq!((tokens.headers.len(), tokens.tokens.as_deref()), (2, Some("acme")));
        let own = of(", credentials: { headers: [X-Acme-Key], query: api_key }").unwrap().unwrap();
        assert_eq!((own.headers[0].as_str(), own.query.as_deref()), ("x-acme-key", Some("api_key")));
        assert_eq!(of(", public: true, credentials: { headers: [] }").unwrap().unwrap(), CredentialPlaces::default());
    }

    #[test]
    fn places_that_cannot_be_are_refused_with_line_and_reason() {
        for (fields, reason) in [
            ("{ headers: [Host] }", "has a meaning of its own"),
            ("{ headers: ['a b'] }", "is not the name of a header"),
            ("{ headers: [X-A, x-a] }", "is listed twice"),
            ("{ headers: [] }", "nobody could call this route"),
            ("{ query: 'a&b' }", "names of parameters have"),
            ("{ tokens: acm }", "token issuer `acm` is not defined"),
            ("{ token: acme }", "did you mean `tokens`"),
            ("{ headers: [X-A] }, public: true", "a public route reads no credential"),
        ] {
            let told = of(&format!(", credentials: {fields}")).unwrap_err();
            assert!(told.starts_with("gateway.yaml:4:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
