//! `/v1/keys`: API keys. A secret is in the answer that creates it, and nowhere after.

pub(super) mod changes;
pub(super) mod find;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
    response::{IntoResponse as _, Response},
};
use common::{
    id::{KeyId, TenantId},
    key::{IpNet, Key, KeyFilter, KeyStatus, Mode, NewKey, Secret, parse_network},
    time::Micros,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, Services,
    creator::CreatorDocument,
    etag::ETag,
    idempotency::{self, Created, Creation},
    instant::Instant,
    page::{self, ListDocument},
    parameters::{self, Named, Parameters, from_text},
};
use crate::access::{Caller, Unplaced};

/// The name of this list in cursors.
const LIST: &str = "keys";

/// Keeps a secret out of every cache.
pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyDocument {
    /// Its public identifier.
    #[schema(value_type = String, example = "key_01jd0000000000000000000000")]
    id: KeyId,
    /// Whose usage it is.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    tenant: TenantId,
    /// What people call it.
    #[schema(example = "production")]
    name: String,
    /// Whether its usage is billed.
    #[schema(value_type = ModeWord)]
    mode: Mode,
    /// How it stands now.
    #[schema(value_type = KeyStatusWord)]
    status: KeyStatus,
    /// The secret's last four characters.
    hint: String,
    /// What it may be used for; empty: every route.
    scopes: Vec<String>,
    /// Where it may be used from; empty: from anywhere.
    #[schema(value_type = Vec<String>)]
    allowed_ips: Vec<IpNet>,
    /// When it was created.
    created_at: Instant,
    /// From this instant on it is refused.
    #[schema(required = true)]
    expires_at: Option<Instant>,
    /// When it was revoked.
    #[schema(required = true)]
    revoked_at: Option<Instant>,
    /// The minute in which a gateway last accepted it.
    #[schema(required = true)]
    last_used_at: Option<Instant>,
    /// The key that this one replaced by rotation.
    #[schema(value_type = Option<String>, required = true)]
    replaces: Option<KeyId>,
    /// Who made it; null where that was not written down.
    #[schema(required = true)]
    created_by: Option<CreatorDocument>,
    /// Counts its changes, from 1; the `ETag` in quotes.
    revision: i64,
}

/// An API key that was created. The secret is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
pub(super) struct CreatedKeyDocument {
    /// The key.
    key: KeyDocument,
    /// What the client sends; left out if the key was created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "sk_live_...")]
    secret: Option<String>,
}

/// Whether usage is billed: `live` is, `test` is metered only.
#[derive(ToSchema)]
#[schema(as = Mode, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum ModeWord {
    Live,
    Test,
}

/// How a key stands.
#[derive(ToSchema)]
#[schema(as = KeyStatus, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum KeyStatusWord {
    Active,
    Expired,
    Revoked,
}

/// An API key to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub(super) struct NewKeyBody {
    /// Whose usage it will be.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    tenant: TenantId,
    /// What people call it: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "production")]
    name: String,
    /// `live` unless stated.
    #[schema(value_type = Option<ModeWord>)]
    mode: Option<Mode>,
    /// From this instant on it is refused; never unless stated.
    expires_at: Option<Instant>,
    /// What it may be used for, at most 32 names; every route unless stated.
    #[serde(default)]
    #[schema(required = false, max_items = 32, example = json!(["search"]))]
    scopes: Vec<String>,
    /// Where it may be used from, at most 32 addresses or ranges without bits beyond their prefix; from
    /// anywhere unless stated.
    #[serde(default, deserialize_with = "networks")]
    #[schema(value_type = Vec<String>, required = false, max_items = 32, example = json!(["203.0.113.0/24"]))]
    allowed_ips: Vec<IpNet>,
}

/// Which API keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyParameters {
    /// Those of this tenant.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Those of this tenant and of everybody below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Those that stand so now.
    #[param(value_type = Option<KeyStatusWord>)]
    status: Option<KeyStatus>,
    /// Those whose name contains this text, in letters of either case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

impl KeyDocument {
    fn of(key: Key, now: Micros) -> Self {
        let status = key.status(now);
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            mode: key.mode,
            status,
            hint: key.hint,
            scopes: key.scopes,
            allowed_ips: key.allowed_ips,
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
            last_used_at: key.last_used_at.map(Into::into),
            replaces: key.replaces,
            created_by: key.created_by.map(Into::into),
            revision: key.revision,
        }
    }
}

/// Ranges of addresses; a single address is a range of one.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text).map_err(de::Error::custom)).collect()
}

/// Create an API key
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body = NewKeyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this creation, which then happens once")),
    responses(
        (status = 201, description = "Created; the secret is shown this once", body = CreatedKeyDocument,
            headers(("ETag" = String, description = "Its revision"), ("Location" = String, description = "Its path"))),
        (status = 200, description = "Created before, under the same idempotency key; without the secret",
            body = CreatedKeyDocument,
            headers(("ETag" = String, description = "Its revision"), ("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    creation: Creation<NewKeyBody>,
) -> Result<Response, Problem> {
    let NewKeyBody { tenant, name, mode, expires_at, scopes, allowed_ips } = creation.body;
    let caller = unplaced.at(Some(tenant)).await?;
    let (store, now) = (caller.creating(creation.idempotency), services.clock.now());
    let mode = mode.unwrap_or(Mode::Live);
    let secret = Secret::generate(mode);
    let new = NewKey {
        tenant,
        name,
        mode,
        hash: services.pepper.hash(&secret),
        pepper_id: services.pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: expires_at.map(|Instant(at)| at),
        scopes,
        allowed_ips,
    };
    match Created::of(store.create_key(&new, now).await)? {
        Created::Now(key) => {
            let (location, etag) = (format!("/v1/keys/{}", key.id), ETag(key.revision));
            let document = CreatedKeyDocument { key: KeyDocument::of(key, now), secret: Some(secret.expose().into()) };
            Ok((etag, NO_STORE, idempotency::created(&location, document)).into_response())
        }
        Created::Before(subject) => {
            let key = store.key(idempotency::subject(&subject)?).await?;
            let etag = ETag(key.revision);
            let document = CreatedKeyDocument { key: KeyDocument::of(key, now), secret: None };
            Ok((etag, NO_STORE, idempotency::replayed(document)).into_response())
        }
    }
}

/// List API keys
///
/// By creation. A key that is created meanwhile comes last.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "keys",
    params(KeyParameters),
    responses((status = 200, description = "A page of keys", body = ListDocument<KeyDocument>)),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Json<ListDocument<KeyDocument>>, Problem> {
    let KeyParameters { tenant, subtree_of, status, name, cursor, limit } = parameters;
    let (page, name) = (page::request(LIST, cursor.as_deref(), limit)?, parameters::searched(name)?);
    let (store, now) = (caller.store(), services.clock.now());
    if let Some(tenant) = tenant {
        store.tenant(tenant).await?;
    }
    let filter = KeyFilter { tenant, subtree_of, status: status.map(|status| (status, now)), name };
    let found = store.keys_page(&filter, page).await?;
    Ok(Json(ListDocument::of(LIST, found.map(|key| KeyDocument::of(key, now)))))
}

/// Show an API key
#[utoipa::path(
    get,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(super) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
) -> Result<Response, Problem> {
    Ok(shown(caller.store().key(id).await?, services.clock.now()))
}

/// A key, with its revision.
fn shown(key: Key, now: Micros) -> Response {
    (ETag(key.revision), Json(KeyDocument::of(key, now))).into_response()
}
