//! `/v1/sessions/oidc`: signing in through the identity provider.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        problem::{ProblemCode, ProblemDocument},
        session::WaysDocument,
    },
    session::{App, NewSession, SessionSecret, SessionSecretKind},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::{Principal, SessionRules, oidc::IdentityProvider},
    api::{
        parameters::{Parameters, from_text},
        secret::NO_STORE,
        services::Services,
    },
    problem::Problem,
};

/// Path that the provider leads back to.
const CALLBACK: &str = "/v1/sessions/oidc/callback";

/// The pages to sign in to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct BeginParameters {
    /// The pages to sign in to; `console` unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<App>)]
    app: Option<App>,
}

/// The provider's answer. Providers add parameters of their own, which are ignored.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CallbackParameters {
    /// The code that is exchanged for a token.
    code: Option<String>,
    /// The state of the sign-in.
    state: Option<String>,
}

/// Show how people sign in
#[utoipa::path(
    get,
    operation_id = "ways",
    path = "/v1/sessions/ways",
    tag = "sessions",
    responses((status = 200, description = "The ways", body = WaysDocument)),
)]
pub(in crate::api) async fn ways(State(services): State<Arc<Services>>) -> Json<WaysDocument> {
    Json(WaysDocument { identity_provider: services.access.sign_in().is_some(), mail: services.mails_links })
}

/// Sign in through the identity provider
///
/// Leads the browser to the provider, by an authorization code with PKCE.
#[utoipa::path(
    get,
    operation_id = "begin_oidc",
    path = "/v1/sessions/oidc",
    tag = "sessions",
    params(BeginParameters),
    responses(
        (status = 303, description = "The address at the provider", headers(("Location" = String, description = "The address"))),
        (status = 400, description = "A parameter is malformed", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "There is no such sign-in here", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "The provider does not answer", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(in crate::api) async fn begin(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    Parameters(BeginParameters { app }): Parameters<BeginParameters>,
) -> Result<Response, Problem> {
    let provider = provider(&services)?;
    let begun = provider.begin(app.unwrap_or(App::Console), &back_to(&services, &headers)).await?;
    let cookie = services.access.sessions().set_sign_in(Some(&begun.cookie), &headers);
    Ok(see_other(&begun.url, cookie))
}

/// Finish a sign-in through the identity provider
///
/// The provider leads the browser here. It gets a session, or is led back to sign in again.
#[utoipa::path(
    get,
    operation_id = "finish_oidc",
    path = CALLBACK,
    tag = "sessions",
    params(CallbackParameters),
    responses(
        (status = 303, description = "The pages, signed in or not", headers(("Location" = String, description = "The address"))),
        (status = 400, description = "A parameter is malformed", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "There is no such sign-in here", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(in crate::api) async fn callback(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    Parameters(CallbackParameters { code, state }): Parameters<CallbackParameters>,
) -> Result<Response, Problem> {
    let provider = provider(&services)?;
    let rules = services.access.sessions();
    let over = rules.set_sign_in(None, &headers);
    let cookie = SessionRules::sign_in(&headers).unwrap_or_default();
    let (code, state) = (code.unwrap_or_default(), state.unwrap_or_default());
    let finished = provider.finish(cookie, &state, &code, &back_to(&services, &headers)).await;
    let begun = match finished {
        Ok((app, principal)) => begin_session(&services, app, principal, &headers).await,
        Err(problem) => Err(problem),
    };
    match begun {
        Ok((app, session)) => {
            let mut response = see_other(&format!("/{app}/"), session);
            response.headers_mut().append(header::SET_COOKIE, over);
            Ok(response)
        }
        Err(problem) => {
            tracing::info!(event = "sign_in_refused", reason = problem.detail());
            // The address says nothing that somebody else could have written.
            Ok(see_other("/console/#sign-in=failed", over))
        }
    }
}

/// Begins the session of a person, and gives the header that sets its cookie.
async fn begin_session(
    services: &Services,
    app: App,
    principal: Principal,
    headers: &HeaderMap,
) -> Result<(App, HeaderValue), Problem> {
    let refuse = || Problem::new(ProblemCode::Forbidden, "the token names no tenant");
    let rules = services.access.sessions();
    let secret = SessionSecret::generate(SessionSecretKind::Cookie);
    let new = NewSession {
        app,
        tenant: principal.tenant.ok_or_else(refuse)?,
        role: principal.role,
        user: principal.name.clone(),
        admin_key: None,
        hash: services.pepper.hash_session(&secret),
        seconds: rules.seconds(),
    };
    let store = services.store.acting_as(principal.acting(None, None, None));
    store.begin_session(&new, services.clock.now()).await?;
    Ok((app, rules.set_cookie(app, Some(&secret), headers)))
}

fn provider(services: &Services) -> Result<&IdentityProvider, Problem> {
    let missing = || Problem::new(ProblemCode::Conflict, "there is no sign-in through an identity provider here");
    services.access.sign_in().ok_or_else(missing)
}

/// The address that the provider leads back to.
fn back_to(services: &Services, headers: &HeaderMap) -> String {
    let stated = services.pages.public_url.clone();
    let origin = stated.unwrap_or_else(|| services.access.sessions().origin(headers));
    format!("{}{CALLBACK}", origin.trim_end_matches('/'))
}

/// Leads the browser elsewhere, with a cookie.
fn see_other(url: &str, cookie: HeaderValue) -> Response {
    let location = HeaderValue::from_str(url).unwrap_or(HeaderValue::from_static("/console/"));
    let headers = [(header::LOCATION, location), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, NO_STORE, headers).into_response()
}
