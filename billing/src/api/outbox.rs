//! `/v1/outbox`: messages that leave the system.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{outbox::MessageDocument, page::ListDocument},
    id::{MessageId, TenantId},
    outbox::{MessageFilter, MessageState},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{NamedPair, Parameters, from_text},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// The name of this list in cursors.
const LIST: &str = "outbox";

/// Filter of messages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageParameters {
    /// Only messages for this tenant and for every tenant below it; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only messages in this state.
    state: Option<MessageState>,
    /// Only messages of this kind: `webhook`, `mail` or `payment`.
    kind: Option<String>,
    /// Only messages to this receiver: the id of an endpoint, or an address.
    target: Option<String>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List messages that leave the system
///
/// Webhooks, mail and requests to payment providers, the newest first: those that wait, and those that ended within 90 days.
#[utoipa::path(
    get,
    path = "/v1/outbox",
    tag = "outbox",
    params(MessageParameters),
    responses((status = 200, description = "A page of messages", body = ListDocument<MessageDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<MessageParameters>,
) -> Result<Json<ListDocument<MessageDocument>>, Problem> {
    let MessageParameters { tenant, state, kind, target, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let filter = MessageFilter { subtree_of: tenant, state, kind, target };
    Ok(Json(page::list(LIST, caller.store().messages(&filter, page).await?)))
}

/// Send a message again
///
/// From its first try on, with the same id; one that waits is due now.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/outbox/{message}/replay",
    tag = "outbox",
    params(
        ("tenant" = String, Path, description = "The tenant that it is sent for"),
        ("message" = String, Path, description = "The message's id"),
    ),
    responses((status = 200, description = "The message", body = MessageDocument)),
)]
pub(super) async fn replay(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, message): NamedPair<TenantId, MessageId>,
) -> Result<Json<MessageDocument>, Problem> {
    Ok(Json(caller.store().replay_message(tenant, message, services.clock.now()).await?.into()))
}
