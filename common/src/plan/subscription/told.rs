//! Events of subscriptions.

use serde_json::json;

use super::Subscription;
use crate::{
    event::{EventType, NewEvent},
    id::TenantId,
    time::Micros,
};

/// The event of a change, with the subscriptions that have not ended after it.
pub(crate) fn event(tenant: TenantId, after: &[Subscription], now: Micros) -> NewEvent {
    let lasting = after.iter().filter(|one| one.ends_at.is_none_or(|end| end > now));
    let document = |one: &Subscription| {
        json!({
            "plan_owner": one.plan_owner,
            "plan": one.plan,
            "version": one.version,
            "starts_at": one.starts_at.to_string(),
            "ends_at": one.ends_at.map(|at| at.to_string()),
        })
    };
    let data = json!({ "subscriptions": lasting.map(document).collect::<Vec<_>>() });
    NewEvent { kind: EventType::SubscriptionChanged, tenant, object: tenant.to_string(), data }
}
