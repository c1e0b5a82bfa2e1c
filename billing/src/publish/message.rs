//! The message about a change: the resource, and its present state, without secrets or their
//! hashes.
//!
//! The resource is loaded when the message is made, so it is at least as new as the change. If it
//! was changed again since, the message of that change repeats the same state.

use common::{
    api::instant::Instant,
    change::DatedChange,
    dunning::Unpaid,
    id::{KeyId, TenantId},
    key::{IpNet, Key, KeyStatus, Mode},
    plan::{EffectiveTerms, PlanId, subscription::Subscription},
    store::{Changed, Store, StoreError},
    tenant::{Tenant, TenantKind, TenantStatus},
    time::{Micros, Zone},
};
use serde::Serialize;

use super::Trouble;

/// The Kafka key of changes of plans, which belong to no tenant.
const PLANS_KEY: &str = "plans";

/// A message, ready to be sent.
pub(super) struct Message {
    /// The Kafka key, which keeps the changes of one tenant in order: its id.
    pub(super) key: String,
    /// JSON.
    pub(super) payload: String,
}

#[derive(Serialize)]
struct Envelope {
    seq: i64,
    at: Instant,
    kind: &'static str,
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    document: Document,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    Tenant(Box<TenantDocument>),
    Key(Box<KeyDocument>),
    Plans { plans: Vec<PlanDocument> },
}

#[derive(Serialize)]
struct TenantDocument {
    id: TenantId,
    parent: Option<TenantId>,
    kind: TenantKind,
    name: String,
    status: TenantStatus,
    time_zone: Zone,
    created_at: Instant,
    revision: i64,
    /// The invoice because of which it is refused until that is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpaid: Option<Unpaid>,
    /// Its own, past and to come.
    subscriptions: Vec<SubscriptionDocument>,
    /// The terms in force, whether the plan is its own or inherited.
    effective: Option<EffectiveTerms>,
}

#[derive(Serialize)]
struct SubscriptionDocument {
    plan_owner: TenantId,
    plan: PlanId,
    version: i64,
    starts_at: Instant,
    ends_at: Option<Instant>,
}

#[derive(Serialize)]
struct KeyDocument {
    id: KeyId,
    tenant: TenantId,
    name: String,
    mode: Mode,
    status: KeyStatus,
    hint: String,
    scopes: Vec<String>,
    allowed_ips: Vec<IpNet>,
    created_at: Instant,
    expires_at: Option<Instant>,
    revoked_at: Option<Instant>,
    replaces: Option<KeyId>,
    revision: i64,
}

#[derive(Serialize)]
struct PlanDocument {
    owner: Option<TenantId>,
    id: PlanId,
    version: i64,
    deprecated: bool,
}

/// The message of a change, with what it touched as it stands `now`.
pub(super) async fn load(store: &Store, dated: &DatedChange, now: Micros) -> Result<Message, Trouble> {
    let (kind, subject, tenant, document) = match dated.change.changed {
        Changed::Tenant(id) => ("tenant", Some(id.to_string()), Some(id), tenant(store, id, now).await?),
        Changed::Key(id) => {
            let key = store.key(id).await?;
            ("key", Some(id.to_string()), Some(key.tenant), Document::Key(Box::new(KeyDocument::new(key, now))))
        }
        Changed::Plans => ("plans", None, None, plans(store).await?),
    };
    let key = tenant.map_or_else(|| PLANS_KEY.to_owned(), |tenant| tenant.to_string());
    let seq = dated.change.seq;
    let envelope = Envelope { seq, at: Instant(dated.at), kind, subject, tenant, document };
    let payload = serde_json::to_string(&envelope).map_err(|source| Trouble::Json { seq, source })?;
    Ok(Message { key, payload })
}

async fn tenant(store: &Store, id: TenantId, now: Micros) -> Result<Document, StoreError> {
    let Tenant { id, parent, kind, name, status, zone, created_at, revision, unpaid } = store.tenant(id).await?;
    Ok(Document::Tenant(Box::new(TenantDocument {
        id,
        parent,
        kind,
        name,
        status,
        time_zone: zone,
        created_at: Instant(created_at),
        revision,
        unpaid,
        subscriptions: store.subscriptions_of(id).await?.into_iter().map(SubscriptionDocument::from).collect(),
        effective: store.effective_terms(id, now).await?,
    })))
}

async fn plans(store: &Store) -> Result<Document, StoreError> {
    let plans = store.plans_page(None, None, u32::MAX).await?.items.into_iter().map(|latest| PlanDocument {
        owner: latest.stored.owner,
        deprecated: latest.deprecated,
        id: latest.stored.plan.id,
        version: latest.stored.version,
    });
    Ok(Document::Plans { plans: plans.collect() })
}

impl From<Subscription> for SubscriptionDocument {
    fn from(subscription: Subscription) -> Self {
        Self {
            plan_owner: subscription.plan_owner,
            plan: subscription.plan,
            version: subscription.version,
            starts_at: Instant(subscription.starts_at),
            ends_at: subscription.ends_at.map(Instant),
        }
    }
}

impl KeyDocument {
    fn new(key: Key, now: Micros) -> Self {
        Self {
            status: key.status(now),
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            mode: key.mode,
            hint: key.hint,
            scopes: key.scopes,
            allowed_ips: key.allowed_ips,
            created_at: Instant(key.created_at),
            expires_at: key.expires_at.map(Instant),
            revoked_at: key.revoked_at.map(Instant),
            replaces: key.replaces,
            revision: key.revision,
        }
    }
}
