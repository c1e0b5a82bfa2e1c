//! The settings `request_headers` and `response_headers` of a route: headers that are set, added or
//! removed.

use std::collections::BTreeMap;

use common::config::quoted;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::RouteCheck;
use crate::{filter::header_edits::HeaderEdits, limit::headers::RATE_HEADERS, proxy::reserved};

/// Headers of the connection or of the body's end, in requests and answers.
const FRAMING: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The section as it is written.
#[derive(Deserialize, Default, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeaderEditsFile {
    /// Headers that get this value, whatever they had.
    #[schemars(with = "BTreeMap<String, crate::config::schema::Text>")]
    set: BTreeMap<String, String>,
    /// Headers that get this value beside what they have.
    #[schemars(with = "BTreeMap<String, crate::config::schema::Text>")]
    add: BTreeMap<String, String>,
    /// Headers that are removed.
    remove: Vec<String>,
}

impl RouteCheck<'_, '_> {
    /// Edits of requests and of answers.
    pub(super) fn header_edits(&self) -> (Option<HeaderEdits>, Option<HeaderEdits>) {
        (
            self.edits("request_headers", self.file.request_headers.as_ref(), request_header_name),
            self.edits("response_headers", self.file.response_headers.as_ref(), answer_header_name),
        )
    }

    fn edits(
        &self,
        field: &str,
        file: Option<&HeaderEditsFile>,
        name: fn(&str) -> Result<HeaderName, String>,
    ) -> Option<HeaderEdits> {
        let file = file?;
        self.check.inside(field, || {
            let values = |field: &str, values: &BTreeMap<String, String>| {
                let header = |(text, value): (&String, &String)| {
                    let header = name(text).and_then(|name| Ok((name, header_value(text, value)?)));
                    self.check.inside(field, || header.map_err(|reason| self.refuse(text, &reason)).ok())
                };
                values.iter().filter_map(header).collect::<Vec<_>>()
            };
            let (set, add) = (values("set", &file.set), values("add", &file.add));
            let remove: Vec<HeaderName> = self.each("remove", &file.remove, name).collect();
            let mut names: Vec<&HeaderName> = set.iter().chain(&add).map(|(name, _)| name).chain(&remove).collect();
            names.sort_unstable_by_key(|name| name.as_str());
            for twice in names.windows(2).filter(|pair| pair[0] == pair[1]) {
                let reason =
                    format!("the header `{}` stands in two of `set`, `add` and `remove`: leave it in one", twice[0]);
                self.refuse("", &reason);
            }
            Some(HeaderEdits { set, add, remove })
        })
    }
}

/// A header that a route adds to an answer.
pub(super) fn answer_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    Ok((answer_header_name(name)?, header_value(name, value)?))
}

fn answer_header_name(text: &str) -> Result<HeaderName, String> {
    let name = header_name(text)?;
    if name.as_str().starts_with("access-control-") {
        return Err(format!("the header {} says something of CORS: use `cors`", quoted(text)));
    }
    if RATE_HEADERS.contains(&name) || name == "x-request-id" { Err(own(text)) } else { Ok(name) }
}

fn request_header_name(text: &str) -> Result<HeaderName, String> {
    let name = header_name(text)?;
    if name == http::header::HOST {
        return Err("`Host` is not edited as other headers are: use `rewrite: { host: .. }`".into());
    }
    if reserved::is_reserved(name.as_str()) { Err(own(text)) } else { Ok(name) }
}

/// A name that neither frames a body nor belongs to one connection.
fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_| format!("{} is not the name of a header", quoted(text)))?;
    if FRAMING.contains(&name.as_str()) { Err(own(text)) } else { Ok(name) }
}

fn own(text: &str) -> String {
    format!("the header {} is the gateway's own: it cannot be edited", quoted(text))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, String> {
    let is_sound = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && value.trim() == value;
    let value = HeaderValue::from_str(value).ok().filter(|_| is_sound);
    value.ok_or_else(|| {
        format!(
            "the value of {} cannot be sent: use visible letters of ASCII, without white space around",
            quoted(name)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<(Option<HeaderEdits>, Option<HeaderEdits>), String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n  - {{ name: a, path: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings
            .map(|settings| (settings.routes[0].request_headers.clone(), settings.routes[0].response_headers.clone()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn headers_are_edited_both_ways() {
        assert_eq!(of(""), Ok((None, None)));
        let fields =
            ", request_headers: { set: { X-Api: 2 }, remove: [Cookie] }, response_headers: { add: { X-A: b } }";
        let (request, response) = of(fields).unwrap();
        let name = HeaderName::from_static;
        let set = vec![(name("x-api"), HeaderValue::from_static("2"))];
        assert_eq!(request, Some(HeaderEdits { set, add: vec![], remove: vec![name("cookie")] }));
        let add = vec![(name("x-a"), HeaderValue::from_static("b"))];
        assert_eq!(response, Some(HeaderEdits { add, ..HeaderEdits::default() }));
    }

    #[test]
    fn names_of_the_gateway_and_values_that_cannot_be_sent_are_refused() {
        let own = [
            "Authorization",
            "X-Tenant-Id",
            "x_tenant_id",
            "X-Forwarded-For",
            "traceparent",
            "Transfer-Encoding",
            "TE",
        ];
        for name in own {
            for edit in [format!("set: {{ {name}: a }}"), format!("add: {{ {name}: a }}"), format!("remove: [{name}]")]
            {
                let told = of(&format!(", request_headers: {{ {edit} }}")).unwrap_err();
                assert!(told.starts_with("gateway.yaml:3:") && told.contains("is the gateway's own"), "{edit}: {told}");
            }
        }
        for name in ["Content-Length", "Connection", "RateLimit", "X-RateLimit-Limit", "X-Request-Id", "Upgrade"] {
            let told = of(&format!(", response_headers: {{ set: {{ {name}: a }} }}")).unwrap_err();
            assert!(told.contains("is the gateway's own"), "{name}: {told}");
        }
        let faults = [
            (", request_headers: { set: { Host: a } }", "use `rewrite: { host: .. }`"),
            (", response_headers: { set: { Access-Control-Max-Age: 5 } }", "use `cors`"),
            (", request_headers: { set: { 'X Y': a } }", "is not the name of a header"),
            (", request_headers: { set: { X-A: \"a\\r\\nX-B: c\" } }", "cannot be sent"),
            (", request_headers: { set: { X-A: \" a\" } }", "cannot be sent"),
            (", request_headers: { set: { X-A: \"\u{e4}\" } }", "cannot be sent"),
            (", request_headers: { set: { X-A: a }, remove: [x-a] }", "stands in two of"),
            (", request_headers: { sett: { X-A: a } }", "did you mean `set`?"),
        ];
        for (fields, reason) in faults {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
