//! `/v1/sessions`: signing in and out of the console and the portal, and links that sign somebody in.

pub(super) mod mailed;
pub(super) mod oidc;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use common::{
    acting::{Acting, Actor, ActorKind, Scope},
    admin::Role,
    api::{
        me::PrincipalKind,
        problem::{ProblemCode, ProblemDocument},
        session::{EndedSessionsDocument, LinkDocument, NewLinkBody, NewSessionBody, SessionDocument},
    },
    id::AdminKeyId,
    session::{App, NewLink, NewSession, Session, SessionSecret, SessionSecretKind, SessionSource},
};

use super::{body::Body, secret::NO_STORE, services::Services};
use crate::{
    access::{Caller, Principal, Unplaced, rules::reaches},
    problem::Problem,
};

/// Sign in
///
/// Exchanges the credential of the request for a session, whose secret is set as a cookie and is in
/// no document. Pages of this origin send it together with the header `Tollgate-App`.
#[utoipa::path(
    post,
    operation_id = "sign_in",
    path = "/v1/sessions",
    tag = "sessions",
    request_body = NewSessionBody,
    responses((status = 200, description = "The session", body = SessionDocument,
        headers(("Set-Cookie" = String, description = "Its secret")))),
)]
pub(super) async fn sign_in(
    State(services): State<Arc<Services>>,
    caller: Caller,
    headers: HeaderMap,
    Body(NewSessionBody { app }): Body<NewSessionBody>,
) -> Result<Response, Problem> {
    let principal = &caller.principal;
    let (Some(tenant), None) = (principal.tenant, principal.session) else {
        let detail = "sign in with an admin key or a token of the identity provider";
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    };
    let rules = services.access.sessions();
    let secret = SessionSecret::generate(SessionSecretKind::Cookie);
    let new = NewSession {
        app,
        tenant,
        role: principal.role,
        user: principal.name.clone(),
        admin_key: admin_key(principal),
        hash: services.pepper.hash_session(&secret),
        seconds: rules.seconds(),
    };
    let session = caller.store().begin_session(&new, services.clock.now()).await?;
    Ok(signed_in(&services, session, &secret, &headers))
}

/// Redeem a sign-in link
///
/// The secret of the link is sent as `Authorization: Bearer lnk_…`, and works once.
#[utoipa::path(
    post,
    operation_id = "redeem",
    path = "/v1/sessions/redeem",
    tag = "sessions",
    security(("sign_in_link" = [])),
    responses(
        (status = 200, description = "The session", body = SessionDocument,
            headers(("Set-Cookie" = String, description = "Its secret"))),
        (status = 401, description = "The link was used, has expired or never was one", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "The tenant was deleted", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many failed logins from this address", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn redeem(State(services): State<Arc<Services>>, headers: HeaderMap) -> Result<Response, Problem> {
    let stale = || Problem::new(ProblemCode::Unauthorized, "this link was used or has expired: ask for a new one");
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = text.strip_prefix("Bearer ").unwrap_or_default().trim();
    let link = SessionSecret::parse(SessionSecretKind::Link, text.as_bytes()).map_err(|_| stale())?;
    let (link, now) = (services.pepper.hash_session(&link), services.clock.now());
    let found = services.store.session_by_link(&link, now).await?.ok_or_else(stale)?;
    let secret = SessionSecret::generate(SessionSecretKind::Cookie);
    let store = services.store.acting_as(Acting {
        actor: Actor { kind: ActorKind::LinkUser, name: found.user.clone(), address: None, request_id: None },
        scope: Scope::Subtree(found.tenant),
        idempotency: None,
        until: Some(found.expires_at),
    });
    let hash = services.pepper.hash_session(&secret);
    let session = store.redeem_session_link(&found, &link, &hash, now).await?.ok_or_else(stale)?;
    Ok(signed_in(&services, session, &secret, &headers))
}

/// Show the session
///
/// Of a request that was sent by a page with a session.
#[utoipa::path(
    get,
    operation_id = "current",
    path = "/v1/sessions/current",
    tag = "sessions",
    responses(
        (status = 200, description = "The session", body = SessionDocument),
        (status = 404, description = "The request has no session", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn current(
    State(services): State<Arc<Services>>,
    caller: Caller,
) -> Result<Json<SessionDocument>, Problem> {
    let id = caller.principal.session.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no session"))?;
    let session = services.store.session(id).await?;
    Ok(Json(SessionDocument::of(session, services.access.sessions().idle_minutes)))
}

/// Sign out
///
/// Ends the session of the request. Without one, nothing changes.
#[utoipa::path(
    delete,
    operation_id = "sign_out",
    path = "/v1/sessions/current",
    tag = "sessions",
    responses((status = 204, description = "Signed out", headers(("Set-Cookie" = String, description = "Deletes the cookie")))),
)]
pub(super) async fn sign_out(
    State(services): State<Arc<Services>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(id) = caller.principal.session {
        let session = services.store.session(id).await?;
        caller.store().end_session(id, services.clock.now()).await?;
        forget(&services, session.app, &headers, &mut response);
    }
    Ok(response)
}

/// Sign out everywhere
///
/// Ends all sessions of the caller: those of the same admin key, of the same person, or of links that
/// were made for the same name at the same tenant.
#[utoipa::path(
    delete,
    operation_id = "sign_out_everywhere",
    path = "/v1/sessions",
    tag = "sessions",
    responses((status = 200, description = "The number of sessions", body = EndedSessionsDocument,
        headers(("Set-Cookie" = String, description = "Deletes the cookies")))),
)]
pub(super) async fn sign_out_everywhere(
    State(services): State<Arc<Services>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = match caller.principal.kind {
        PrincipalKind::AdminKey => Some(SessionSource::AdminKey),
        PrincipalKind::Person => Some(SessionSource::Person),
        PrincipalKind::LinkUser => Some(SessionSource::Link),
        PrincipalKind::Bootstrap => None,
    };
    let sessions = match (source, caller.principal.tenant) {
        (Some(source), Some(tenant)) => {
            caller.store().end_sessions(tenant, source, &caller.principal.name, services.clock.now()).await?
        }
        _ => 0,
    };
    let mut response = Json(EndedSessionsDocument { sessions }).into_response();
    for app in [App::Console, App::Portal] {
        forget(&services, app, &headers, &mut response);
    }
    Ok(response)
}

/// Make a sign-in link
///
/// For a person of the tenant, whom the tenant's own program knows: it leads the browser to the
/// address, which works once and within ten minutes. The session has at most the role of the caller
/// and ends with the caller's credential.
#[utoipa::path(
    post,
    operation_id = "link",
    path = "/v1/portal/sessions",
    tag = "sessions",
    request_body = NewLinkBody,
    responses((status = 201, description = "The link", body = LinkDocument)),
)]
pub(super) async fn link(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    Body(NewLinkBody { tenant, user, role, app }): Body<NewLinkBody>,
) -> Result<Response, Problem> {
    let caller = unplaced.at(Some(tenant)).await?;
    let (role, app) = (role.unwrap_or(Role::Admin), app.unwrap_or(App::Portal));
    caller.principal.may_make_credentials()?;
    let most = if app == App::Portal { Role::Admin } else { Role::Owner };
    if !reaches(caller.principal.role, role) || !reaches(most, role) {
        let detail = format!("a link gives at most your own role, and at most {most}: {role} is above that");
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    let rules = services.access.sessions();
    let secret = SessionSecret::generate(SessionSecretKind::Link);
    let new = NewLink {
        app,
        tenant,
        role,
        user,
        admin_key: admin_key(&caller.principal),
        hash: services.pepper.hash_session(&secret),
        seconds: rules.seconds(),
    };
    let (session, until) = caller.store().create_session_link(&new, services.clock.now()).await?;
    let base = services.pages.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let document = LinkDocument {
        session: SessionDocument::of(session, rules.idle_minutes),
        // A fragment is in no log of a server and in no header `Referer`.
        url: format!("{base}/{app}/#link={}", secret.expose()),
        redeem_before: until.into(),
    };
    Ok((StatusCode::CREATED, NO_STORE, Json(document)).into_response())
}

/// The admin key that a principal is, if it is one.
fn admin_key(principal: &Principal) -> Option<AdminKeyId> {
    (principal.kind == PrincipalKind::AdminKey).then(|| principal.name.parse().ok()).flatten()
}

fn signed_in(services: &Services, session: Session, secret: &SessionSecret, headers: &HeaderMap) -> Response {
    let rules = services.access.sessions();
    let cookie = rules.set_cookie(session.app, Some(secret), headers);
    let document = SessionDocument::of(session, rules.idle_minutes);
    ([(header::SET_COOKIE, cookie)], NO_STORE, Json(document)).into_response()
}

fn forget(services: &Services, app: App, headers: &HeaderMap, response: &mut Response) {
    let cookie: HeaderValue = services.access.sessions().set_cookie(app, None, headers);
    response.headers_mut().append(header::SET_COOKIE, cookie);
}
