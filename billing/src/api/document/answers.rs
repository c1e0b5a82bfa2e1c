//! Parts of the document that all operations share: required role, and possible problems. Both are
//! derived from the operation and from the table of permissions, so that none can be forgotten.

use axum::http::StatusCode;
use common::{admin::Role, session::App};
use utoipa::{
    Modify,
    openapi::{
        Content, Header, OpenApi, PathItem, Ref, RefOr, Response,
        path::{Operation, ParameterIn},
        schema::{Object, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::access::{
    cookie_name,
    rules::{Grant, Needs, RULES},
};

/// Makes the names of operations unique: `keys_list`, `plans_list`.
pub(crate) struct Names;

/// Adds the kinds of credentials, and those of each operation.
pub(crate) struct Credentials;

/// Adds the possible problems of each operation.
pub(crate) struct Problems;

/// The scheme of sessions: the cookie of the console, or that of the portal.
const SESSION_SCHEME: &str = "session";

const SCHEMES: [(&str, &str); 3] = [
    ("admin_key", "An admin key, `adm_…`: for machines"),
    ("identity_provider", "A token of the identity provider: for people"),
    ("bootstrap_token", "The bootstrap token, while there is no admin key yet"),
];

impl Modify for Names {
    fn modify(&self, document: &mut OpenApi) {
        for_each(document, |_, _, operation| {
            let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
            let name = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(format!("{tag}_{name}"));
        });
    }
}

impl Modify for Credentials {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let own = [
            ("ingest_token", "Derived from the pepper that the gateways and billing share"),
            ("sign_in_link", "The secret of a sign-in link, `lnk_…`, which works once"),
        ];
        for (name, description) in SCHEMES.into_iter().chain(own) {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
        let portal = cookie_name(App::Portal);
        let cookie = ApiKeyValue::with_description(
            cookie_name(App::Console),
            format!(
                "The cookie of a session, with the header `Tollgate-App: console`; for the portal, `{portal}`. Over \
                 TLS, the names begin with `__Host-`"
            ),
        );
        components.add_security_scheme(SESSION_SCHEME, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        for_each(document, |method, path, operation| {
            let Some(rule) = RULES.iter().find(|rule| rule.method == method && rule.path == path) else {
                return;
            };
            let who = match &rule.needs {
                Needs::Nothing | Needs::OwnToken => return,
                Needs::Somebody => "Open to every authenticated caller.".to_owned(),
                Needs::Role(grant) => who(*grant),
            };
            let said = operation.description.take().filter(|said| !said.is_empty());
            operation.description = Some(said.map_or(who.clone(), |said| format!("{said}\n\n{who}")));
            let names = SCHEMES.iter().map(|(name, _)| *name).chain([SESSION_SCHEME]);
            operation.security = Some(names.map(|name| SecurityRequirement::new(name, Vec::<String>::new())).collect());
        });
    }
}

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        for_each(document, |method, _, operation| {
            for (status, reason) in problems(method, operation) {
                let code = status.as_str().to_owned();
                operation.responses.responses.entry(code).or_insert_with(|| RefOr::T(answer(status, reason)));
            }
        });
    }
}

/// The required role in words.
fn who(grant: Grant) -> String {
    let least = |role: Option<Role>| role.map(|role| format!("`{role}`"));
    let own = match (least(grant.own), least(grant.own_root)) {
        (Some(own), _) => Some(format!("{own} of the tenant itself")),
        (None, Some(root)) => Some(format!("{root} of the tenant itself if it is a root")),
        (None, None) => None,
    };
    let below = least(grant.below).map(|below| format!("{below} of a tenant above"));
    let ways: Vec<_> = own.into_iter().chain(below).collect();
    format!("Requires at least {}. A narrowed admin key needs the scope `{}`.", ways.join(", or "), grant.scope)
}

/// The possible problems of an operation, beside those that it declares itself.
fn problems(method: &str, operation: &Operation) -> Vec<(StatusCode, &'static str)> {
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some((parameter.name.as_str(), &parameter.parameter_in)),
            RefOr::Ref(_) => None,
        })
        .collect();
    let has = |place: &ParameterIn| parameters.iter().any(|(_, found)| *found == place);
    let names = |name: &str| parameters.iter().any(|(found, _)| *found == name);
    let (has_body, is_change) = (operation.request_body.is_some(), method != "GET");
    let is_guarded = operation.security.as_ref().is_some_and(|taken| taken.len() == SCHEMES.len() + 1);
    let mut problems = vec![
        (StatusCode::METHOD_NOT_ALLOWED, "The path does not have this method; `Allow` lists its methods"),
        (StatusCode::INTERNAL_SERVER_ERROR, "A fault of the server"),
    ];
    if !is_guarded {
        return problems;
    }
    problems.extend([
        (StatusCode::UNAUTHORIZED, "The credential is missing or not accepted"),
        (StatusCode::FORBIDDEN, "The caller's role or scopes do not allow the operation"),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests of the caller's tenant, or too many failed logins from its address",
        ),
        (StatusCode::SERVICE_UNAVAILABLE, "The store or the identity provider does not answer"),
    ]);
    if has_body || has(&ParameterIn::Query) || has(&ParameterIn::Header) {
        problems.push((StatusCode::BAD_REQUEST, "The body, a parameter or a header is malformed"));
    }
    if has_body || has(&ParameterIn::Path) || names("tenant") || names("subtree_of") {
        problems.push((StatusCode::NOT_FOUND, "The thing does not exist for the caller"));
    }
    if has_body || has(&ParameterIn::Query) {
        problems.push((StatusCode::UNPROCESSABLE_ENTITY, "The request breaks a rule; `detail` says which"));
    }
    if is_change {
        problems.push((StatusCode::CONFLICT, "The request contradicts current state"));
    }
    if names("If-Match") {
        problems.push((StatusCode::PRECONDITION_FAILED, "The thing has changed since the caller read it"));
    }
    if has_body {
        problems.extend([
            (StatusCode::REQUEST_TIMEOUT, "The body took too long"),
            (StatusCode::PAYLOAD_TOO_LARGE, "The body has more than 1 MiB"),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not `application/json`"),
        ]);
    }
    problems
}

fn answer(status: StatusCode, reason: &str) -> Response {
    let mut response = Response::new(reason);
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    response.content.insert("application/problem+json".into(), content.into());
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", Type::String)),
        StatusCode::METHOD_NOT_ALLOWED => Some(("Allow", Type::String)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(("Retry-After", Type::Integer)),
        _ => None,
    };
    if let Some((name, of)) = header {
        response.headers.insert(name.into(), Header::new(Object::with_type(of)).into());
    }
    response
}

/// Every operation of the document, by method and path.
fn for_each(document: &mut OpenApi, mut act: impl FnMut(&str, &str, &mut Operation)) {
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, put, post, delete, patch, .. } = item;
        let operations = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                act(method, path, operation);
            }
        }
    }
}
