//! The settings of a route that answers by itself: `redirect` and `respond`.

use std::collections::BTreeMap;

use bytes::Bytes;
use common::config::quoted;
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{header_edits::answer_header, route::RouteCheck};
use crate::{
    filter::reply::{Reply, has_no_body},
    route::{PathPattern, Template},
};

/// Largest fixed answer, in bytes.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// Settings that only matter where an upstream is asked.
const FOR_UPSTREAMS: [&str; 16] = [
    "split_by",
    "strip_prefix",
    "timeout_ms",
    "timeouts",
    "body_bytes",
    "on_abort",
    "abort_timeout_ms",
    "abort_bytes",
    "bill",
    "upgrade",
    "upgrade_units",
    "upgrade_idle_seconds",
    "retries",
    "rewrite",
    "request_headers",
    "response_headers",
];

/// `redirect` as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedirectFile {
    /// The URL or path, with parameters of the route, `{path}` and `{query}`.
    to: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "default_redirect_status")]
    status: u16,
    /// True if the answer is metered, on a route with a key.
    #[serde(default)]
    pub(super) metered: bool,
}

/// `respond` as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RespondFile {
    /// The status.
    #[serde(default = "default_respond_status")]
    status: u16,
    /// Headers of the answer.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, crate::config::schema::Text>")]
    headers: BTreeMap<String, String>,
    /// Body of the answer.
    #[serde(default)]
    body: String,
    /// True if the answer is metered, on a route with a key.
    #[serde(default)]
    pub(super) metered: bool,
}

impl RouteCheck<'_, '_> {
    pub(super) fn redirect(&self, file: &RedirectFile, path: Option<&PathPattern>) -> Option<Reply> {
        let status = file.status;
        let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
        if !is_redirect {
            self.refuse("status", &format!("a redirect is answered with 301, 302, 303, 307 or 308, not {status}"));
        }
        let location = path.and_then(|path| match location(&file.to, path) {
            Ok(location) => Some(location),
            Err(reason) => {
                self.refuse("to", &format!("`to`: {} {reason}", quoted(&file.to)));
                None
            }
        });
        let status = StatusCode::from_u16(status).ok().filter(|_| is_redirect)?;
        let (headers, body) = (Vec::new(), Bytes::new());
        Some(Reply { status, headers, body, location: Some(location?), metered: file.metered })
    }

    pub(super) fn respond(&self, file: &RespondFile) -> Option<Reply> {
        let status = StatusCode::from_u16(file.status).ok().filter(|_| (200..=599).contains(&file.status));
        if status.is_none() {
            self.refuse("status", "`status` must be between 200 and 599");
        }
        if file.body.len() > BODY_MAX_BYTES {
            self.refuse("body", &format!("`body` has {} bytes; at most {BODY_MAX_BYTES} are allowed", file.body.len()));
        }
        if status.is_some_and(has_no_body) && !file.body.is_empty() {
            self.refuse("body", "an answer with status 204 or 304 has no body: remove it, or use another status");
        }
        let mut headers: Vec<(HeaderName, HeaderValue)> = self.check.inside("headers", || {
            let header = |(name, value): (&String, &String)| {
                answer_header(name, value).map_err(|reason| self.refuse(name, &reason)).ok()
            };
            file.headers.iter().filter_map(header).collect()
        });
        if !file.body.is_empty() && headers.iter().all(|(name, _)| name != header::CONTENT_TYPE) {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")));
        }
        let body = Bytes::copy_from_slice(file.body.as_bytes());
        Some(Reply { status: status?, headers, body, location: None, metered: file.metered })
    }

    /// Refuses settings that make no difference to a route that answers by itself.
    pub(super) fn check_reply(&self, metered: bool) {
        for setting in FOR_UPSTREAMS.into_iter().filter(|setting| self.check.has(setting)) {
            self.refuse(
                setting,
                &format!("`{setting}` needs an upstream, and this route answers by itself: remove it"),
            );
        }
        if metered && self.file.public {
            self.refuse(
                "metered",
                "`metered: true` needs a caller with a key, and `public: true` serves everybody without one",
            );
        }
        if self.file.units.header.is_some() || self.file.units.bytes.is_some() {
            let reason = "`units` of a header or of bytes need an upstream: use `units: { fixed: .. }`";
            self.refuse("units", reason);
        }
        for setting in ["meter", "units", "billable"].into_iter().filter(|setting| !metered && self.check.has(setting))
        {
            let reason =
                format!("`{setting}` needs `metered: true`: without it, the route's own answers are not recorded");
            self.refuse(setting, &reason);
        }
    }
}

const fn default_redirect_status() -> u16 {
    307
}

const fn default_respond_status() -> u16 {
    200
}

/// The location of a redirect: a URL, or a path on the same host.
fn location(text: &str, pattern: &PathPattern) -> Result<Template, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be written without white space, and decoded letters in %".into());
    }
    let template = Template::parse(text, pattern, true).map_err(|error| format!("is no location: {error}"))?;
    let start = template.start();
    if start.is_empty() {
        return if template.begins_with_path() {
            Ok(template)
        } else {
            Err("must begin with https://, http:// or /".into())
        };
    }
    if start.starts_with('/') {
        return if start.starts_with("//") {
            Err("names no scheme: write https:// before it".into())
        } else {
            Ok(template)
        };
    }
    let Some(authority) = start.strip_prefix("https://").or_else(|| start.strip_prefix("http://")) else {
        return Err("must begin with https://, http:// or /".into());
    };
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let is_complete = host.len() < authority.len() || start == text || template.continues_with_path();
    let is_sound = !host.is_empty() && host.parse::<http::uri::Authority>().is_ok() && !host.contains('@');
    if (is_complete && is_sound) || template.has_host_of_request() {
        return Ok(template);
    }
    Err("must name a whole host, or {host} for that of the request, before any other parameter".into())
}
