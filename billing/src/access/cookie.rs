//! The cookie of a session, as a page of this program sends it.
//!
//! Invariants: a cookie counts only together with the header `Tollgate-App`, which a page of another
//! origin cannot send, and only if the browser says that the page is of this origin; so no other
//! page makes a change in a user's name.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use common::{
    api::problem::ProblemCode,
    session::{App, SessionSecret, SessionSecretKind},
};

use super::credential::Refused;
use crate::problem::Problem;

/// The header by which a page says for which app it acts.
const APP_HEADER: HeaderName = HeaderName::from_static("tollgate-app");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cookie of a sign-in under way at the identity provider.
const SIGN_IN_COOKIE: &str = "tollgate_sign_in";

/// Seconds that such a sign-in may take.
const SIGN_IN_SECONDS: u32 = 600;

pub(super) const ENDED: &str = "your session has ended: sign in again";

/// Rules of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRules {
    /// Minutes without use after which a session ends.
    pub idle_minutes: u32,
    /// Hours after which a session ends.
    pub hours: u32,
    /// True if this program itself speaks TLS.
    pub has_tls: bool,
}

/// The secret of a session, and the app that it is for.
pub(super) struct SessionCookie {
    pub(super) app: App,
    pub(super) secret: SessionSecret,
}

/// The name of an app's cookie where there is no TLS; over TLS, `__Host-` comes before it.
pub fn cookie_name(app: App) -> String {
    format!("tollgate_{app}")
}

impl Default for SessionRules {
    fn default() -> Self {
        Self { idle_minutes: 30, hours: 12, has_tls: false }
    }
}

impl SessionRules {
    /// Longest time that a session lasts, in seconds.
    pub fn seconds(self) -> i64 {
        i64::from(self.hours) * 3_600
    }

    /// The header that sets the cookie of a sign-in under way, which the provider's page leads back to;
    /// without a value, one that deletes it.
    pub fn set_sign_in(self, value: Option<&str>, headers: &HeaderMap) -> HeaderValue {
        let secure = if self.is_secure(headers) { "; Secure" } else { "" };
        let (value, age) = value.map_or(("", 0), |value| (value, SIGN_IN_SECONDS));
        let text =
            format!("{SIGN_IN_COOKIE}={value}; Path=/v1/sessions/oidc; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The value of that cookie.
    pub fn sign_in(headers: &HeaderMap) -> Option<&str> {
        cookies(headers).find(|(found, _)| *found == SIGN_IN_COOKIE).map(|(_, value)| value)
    }

    /// The address of this program as the browser has it, if the settings do not say.
    pub fn origin(self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = if self.is_secure(headers) { "https" } else { "http" };
        format!("{scheme}://{host}")
    }

    /// The name of an app's cookie. A browser takes the prefix `__Host-` only from where it cannot be
    /// overwritten by another host.
    fn cookie(self, app: App, headers: &HeaderMap) -> String {
        let prefix = if self.is_secure(headers) { "__Host-" } else { "" };
        format!("{prefix}{}", cookie_name(app))
    }

    /// Returns true unless the page is asked for by plain HTTP on a loopback address.
    fn is_secure(self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_loopback = name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.has_tls || !is_loopback
    }

    /// The header that sets the cookie of an app; without a secret, one that deletes it.
    pub fn set_cookie(self, app: App, secret: Option<&SessionSecret>, headers: &HeaderMap) -> HeaderValue {
        let name = self.cookie(app, headers);
        let secure = if self.is_secure(headers) { "; Secure" } else { "" };
        let (value, age) = match secret {
            Some(secret) => (secret.expose(), self.seconds()),
            None => ("", 0),
        };
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
        // Every part is visible ASCII.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl SessionCookie {
    /// Reads the cookie of the app that the request names; none if it names none.
    pub(super) fn of(method: &Method, headers: &HeaderMap, rules: SessionRules) -> Result<Option<Self>, Refused> {
        let Some(app) = headers.get(APP_HEADER) else { return Ok(None) };
        let app = app.to_str().ok().and_then(|app| app.parse::<App>().ok());
        let app = app.ok_or_else(|| Refused::known("Tollgate-App: console or portal"))?;
        if !method.is_safe() && !is_of_this_origin(headers) {
            let detail = "a session is changed by pages of this origin only";
            return Err(Refused::undecided(Problem::new(ProblemCode::Forbidden, detail)));
        }
        let name = rules.cookie(app, headers);
        let Some((_, value)) = cookies(headers).find(|(found, _)| *found == name) else {
            return Err(Refused::known("you are not signed in"));
        };
        match SessionSecret::parse(SessionSecretKind::Cookie, value.as_bytes()) {
            Ok(secret) => Ok(Some(Self { app, secret })),
            Err(_) => Err(Refused::unknown(ENDED)),
        }
    }
}

/// Names and values of the cookies of a request.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// Returns true unless the browser says that a page of another origin sends the request.
fn is_of_this_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(FETCH_SITE) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn cookie_is_secure_unless_plain_http_on_loopback() {
        let rules = SessionRules::default();
        let secret = SessionSecret::generate(SessionSecretKind::Cookie);
        for host in ["127.0.0.1:8090", "localhost", "[::1]:8090"] {
            let set = rules.set_cookie(App::Console, Some(&secret), &headers(&[("host", host)]));
            let set = set.to_str().unwrap();
            assert!(set.starts_with("tollgate_console=ses_") && !set.contains("Secure"), "{host}: {set}");
            assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
        }
        for host in ["billing.example.com", "10.0.0.1:8090", "localhost.example.com"] {
            let set = rules.set_cookie(App::Portal, Some(&secret), &headers(&[("host", host)]));
            let set = set.to_str().unwrap();
            assert!(set.starts_with("__Host-tollgate_portal=ses_") && set.ends_with("; Secure"), "{host}: {set}");
        }
        let with_tls = SessionRules { has_tls: true, ..rules };
        let set = with_tls.set_cookie(App::Console, None, &headers(&[("host", "localhost")]));
        assert!(set.to_str().unwrap().starts_with("__Host-tollgate_console=; Path=/; Max-Age=0"), "{set:?}");
    }

    #[test]
    fn page_of_another_origin_changes_nothing() {
        let host = ("host", "billing.example.com");
        for (more, of_this) in [
            (("sec-fetch-site", "same-origin"), true),
            (("sec-fetch-site", "same-site"), false),
            (("sec-fetch-site", "cross-site"), false),
            (("origin", "https://billing.example.com"), true),
            (("origin", "https://evil.example.com"), false),
            (("origin", "null"), false),
        ] {
            assert_eq!(is_of_this_origin(&headers(&[host, more])), of_this, "{more:?}");
        }
        let rules = SessionRules::default();
        let secret = SessionSecret::generate(SessionSecretKind::Cookie);
        let cookie = format!("__Host-tollgate_console={}", secret.expose());
        let with = |more: &[(&'static str, &str)]| {
            let all: Vec<_> = [host, ("cookie", cookie.as_str())].into_iter().chain(more.iter().copied()).collect();
            headers(&all)
        };
        assert!(SessionCookie::of(&Method::POST, &with(&[]), rules).unwrap().is_none(), "a form has no such header");
        let console = ("tollgate-app", "console");
        assert!(SessionCookie::of(&Method::POST, &with(&[console]), rules).unwrap().is_some());
        assert!(SessionCookie::of(&Method::POST, &with(&[console, ("sec-fetch-site", "cross-site")]), rules).is_err());
        assert!(SessionCookie::of(&Method::GET, &with(&[("tollgate-app", "portal")]), rules).is_err());
    }
}
