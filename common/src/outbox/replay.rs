//! Replaying: messages that have ended are sent again, with the ids that they had.

use sqlx::AssertSqlSafe;

use super::{Message, MessageState};
use crate::{
    id::{MessageId, TenantId},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// Selects messages to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Messages to this receiver.
    pub target: String,
    /// Written from this instant on.
    pub since: Micros,
    /// True: also those that were delivered. False: only those that were given up.
    pub delivered: bool,
}

impl Store {
    /// Sends a message for a tenant again, from its first try on. One that waits is due now. The
    /// receiver gets the same id as before.
    pub async fn replay_message(&self, tenant: TenantId, id: MessageId, now: Micros) -> Result<Message, StoreError> {
        if self.message(id).await?.tenant != tenant {
            return Err(StoreError::not_found("message", &id));
        }
        let mut change = self.begin_change(now).await?;
        change.require(tenant, "message", &id).await?;
        again(&mut change, "id = $2", &id.to_string(), None).await?;
        audit(&mut change, tenant, id.to_string(), 1).await?;
        change.commit().await?;
        self.message(id).await
    }

    /// Sends the messages to a receiver of a tenant again, in their order; gives how many.
    pub(crate) async fn replay_to(&self, tenant: TenantId, replay: &Replay, now: Micros) -> Result<u64, StoreError> {
        let mut change = self.begin_change(now).await?;
        let ended = if replay.delivered { "state <> 'pending'" } else { "state = 'given_up'" };
        let condition = format!("target = $2 AND created_at >= $3 AND {ended}");
        let count = again(&mut change, &condition, &replay.target, Some(replay.since)).await?;
        if count > 0 {
            audit(&mut change, tenant, replay.target.clone(), count).await?;
            change.commit().await?;
        }
        Ok(count)
    }
}

/// A worker that sends one of them at this moment does not end it: its claim is not the latest.
async fn again(
    change: &mut ChangeTransaction,
    condition: &str,
    of: &str,
    since: Option<Micros>,
) -> Result<u64, StoreError> {
    let statement = format!(
        "UPDATE outbox SET state = '{}', due_at = $1, attempt = 0, first_at = NULL, ended_at = NULL, \
         claim = claim + 1, worker = NULL, lease_until = NULL WHERE {condition}",
        MessageState::Pending
    );
    let now = change.now();
    let query = sqlx::query(AssertSqlSafe(statement)).bind(now.0).bind(of.to_owned());
    let query = match since {
        Some(since) => query.bind(since.0),
        None => query,
    };
    Ok(query.execute(change.connection()).await?.rows_affected())
}

async fn audit(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    subject: String,
    count: u64,
) -> Result<(), StoreError> {
    let (action, subject_kind, tenant) = (AuditAction::OutboxReplay, "message", Some(tenant));
    let after = state(&serde_json::json!({ "messages": count }))?;
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after }).await
}
