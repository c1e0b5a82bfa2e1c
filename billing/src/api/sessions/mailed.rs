//! `POST /v1/sessions/mail`: a link into the portal, sent to a member.
//!
//! Invariants: the answer, and the time that it takes, are the same for every address; whether an
//! address is a member of anything shows in its mailbox alone.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        member::{MailedLinkBody, MailedLinkDocument},
        problem::{ProblemCode, ProblemDocument},
    },
    member::SIGN_IN_SECONDS,
};

use crate::{
    api::{body::Body, secret::NO_STORE, services::Services},
    problem::Problem,
};

/// Send a sign-in link by mail
///
/// To a member of a tenant: a link into the portal, which works once and within ten minutes; a link for
/// each tenant of which the address is a member. Anybody may ask, a few times in a while, and every
/// address gets the same answer. A conflict if there is no mail here.
#[utoipa::path(
    post,
    operation_id = "mail",
    path = "/v1/sessions/mail",
    tag = "sessions",
    request_body = MailedLinkBody,
    responses(
        (status = 202, description = "If the address is a member of a tenant, its mail is on the way", body = MailedLinkDocument),
        (status = 400, description = "The body is malformed, or the address is none", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 409, description = "There is no sign-in by mail here", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 413, description = "The body has more than 1 MiB", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 422, description = "The body breaks a rule", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many links were asked for", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(in crate::api) async fn mail(
    State(services): State<Arc<Services>>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    Body(MailedLinkBody { address }): Body<MailedLinkBody>,
) -> Result<Response, Problem> {
    if !services.mails_links {
        let detail = "there is no sign-in by mail here: it takes the settings `mail` and `pages.public_url`";
        return Err(Problem::new(ProblemCode::Conflict, detail));
    }
    let peer = peer.map(|peer| peer.0.0.ip());
    services.access.admit_mailed_link(peer, &headers, &address)?;
    let (store, now) = (services.store.clone(), services.clock.now());
    // The answer does not wait for it: its time would tell whether the address is known.
    tokio::spawn(async move {
        match store.ask_to_sign_in(&address, now).await {
            Ok(count) => tracing::debug!(event = "sign_in_mail_asked_for", count),
            Err(error) => tracing::warn!(event = "sign_in_mail_not_written", %error),
        }
    });
    let document = MailedLinkDocument { minutes: SIGN_IN_SECONDS / 60 };
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(document)).into_response())
}
