//! Console, portal and the API's page: static files that are embedded in this program, and the headers that keep
//! anything else out of them.
//!
//! Invariants: a page loads from this origin alone and runs no inline script; only the API's page has
//! inline styles; a path that is no file
//! gets the page itself, whose script shows what the path means.

mod assets;

use std::sync::Arc;

use assets::{Asset, asset};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use common::session::App;

use crate::config::PagesConfig;

/// Shown in place of a page that this program was built without.
const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tollgate</title>\
    <h1>The console is not part of this build</h1>\
    <p>Run <code>make console</code>, and build <code>billing</code> again. The API works without it: \
    <a href=/openapi.json>openapi.json</a> describes it.</p></html>";

/// The policy of the API's page. Its program styles elements of its own, and asks nobody but this
/// origin; console and portal have stricter ones.
const DOCUMENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
);

/// What does not change between requests.
struct Pages {
    /// Policy of the console.
    console: HeaderValue,
    /// Policy of the portal, which other origins may be allowed to frame.
    portal: HeaderValue,
    is_framed: bool,
}

/// Routes of console and portal. They are open to everybody: all data comes from `/v1`.
pub fn router<S: Clone + Send + Sync + 'static>(config: &PagesConfig) -> Router<S> {
    let pages = Arc::new(Pages {
        console: policy(&[]),
        portal: policy(&config.frame_ancestors),
        is_framed: !config.frame_ancestors.is_empty(),
    });
    let routes = [App::Console, App::Portal].into_iter().fold(Router::new(), |router, app| {
        let page =
            move |State(pages): State<Arc<Pages>>, headers: HeaderMap| async move { show(&pages, app, "", &headers) };
        let file = move |State(pages): State<Arc<Pages>>, Path(path): Path<String>, headers: HeaderMap| async move {
            show(&pages, app, &path, &headers)
        };
        router
            .route(&format!("/{app}"), get(move || async move { Redirect::permanent(&format!("/{app}/")) }))
            .route(&format!("/{app}/"), get(page))
            .route(&format!("/{app}/{{*path}}"), get(file))
    });
    routes.with_state(pages)
}

/// The policy of a page that these origins may frame.
fn policy(frame_ancestors: &[String]) -> HeaderValue {
    let ancestors = if frame_ancestors.is_empty() { "'none'".to_owned() } else { frame_ancestors.join(" ") };
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'self'; form-action 'self'; frame-ancestors {ancestors}"
    );
    // The settings admit only characters of origins.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The page of the API's document.
pub fn document_page(headers: &HeaderMap) -> Response {
    let mut response = match asset("docs.html", accepts_gzip(headers)) {
        Some(found) => file(found, false, headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    };
    protect(response.headers_mut(), DOCUMENT_POLICY, false);
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().starts_with("gzip"))))
}

/// The file at this path, or the page of the app.
fn show(pages: &Pages, app: App, path: &str, headers: &HeaderMap) -> Response {
    let accepts_gzip = accepts_gzip(headers);
    let is_asset = path.starts_with("assets/");
    let found = if is_asset { asset(path, accepts_gzip) } else { asset(&format!("{app}.html"), accepts_gzip) };
    let mut response = match found {
        Some(found) => file(found, is_asset, headers),
        None if is_asset => StatusCode::NOT_FOUND.into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    };
    secure(pages, app, response.headers_mut());
    response
}

fn file(Asset { bytes, kind, etag, is_gzip }: Asset, is_asset: bool, headers: &HeaderMap) -> Response {
    // The name of an asset has a digest of its content.
    let caching = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
    let mut response = if headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], bytes).into_response()
    };
    let told = response.headers_mut();
    if is_gzip {
        told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    told.insert(header::ETAG, etag);
    told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn secure(pages: &Pages, app: App, headers: &mut HeaderMap) {
    let (policy, is_framed) = match app {
        App::Console => (&pages.console, false),
        App::Portal => (&pages.portal, pages.is_framed),
    };
    protect(headers, policy.clone(), is_framed);
}

/// Sets the headers that keep other origins out.
fn protect(headers: &mut HeaderMap, policy: HeaderValue, is_framed: bool) {
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    if !is_framed {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_portal_is_framed_and_only_where_the_settings_say() {
        let framed = policy(&["https://app.example.com".into()]);
        assert!(framed.to_str().unwrap().ends_with("frame-ancestors https://app.example.com"), "{framed:?}");
        assert!(policy(&[]).to_str().unwrap().ends_with("frame-ancestors 'none'"));
        let pages = Pages { console: policy(&[]), portal: framed, is_framed: true };
        let headers = |app| {
            let mut headers = HeaderMap::new();
            secure(&pages, app, &mut headers);
            headers
        };
        assert_eq!(headers(App::Console)["x-frame-options"], "DENY");
        assert!(!headers(App::Portal).contains_key("x-frame-options"));
        for app in [App::Console, App::Portal] {
            let policy = headers(app)["content-security-policy"].to_str().unwrap().to_owned();
            assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'"), "{policy}");
        }
    }
}
