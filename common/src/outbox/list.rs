//! Messages, for people to look at, and how much waits.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Message, MessageState,
    rows::{read, select_messages},
};
use crate::{
    id::{MessageId, TenantId},
    store::{
        Page, PageRequest, Store, StoreError,
        row::{count, instant_or_null},
        scope::{self, PathRange},
    },
    time::Micros,
};

/// Selects messages.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of this tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// In this state.
    pub state: Option<MessageState>,
    /// Of this kind.
    pub kind: Option<String>,
    /// To this receiver.
    pub target: Option<String>,
}

/// Messages of one kind that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxDepth {
    /// The kind of message, `event` for events of which nobody was told yet, or the name of a feed of
    /// changes.
    pub kind: String,
    /// Number of messages that wait.
    pub pending: u64,
    /// Messages among them that were tried before.
    pub retrying: u64,
    /// Time at which the oldest of them was written.
    pub oldest: Option<Micros>,
}

impl Store {
    /// Messages in the actor's scope, newest first.
    pub async fn messages(&self, filter: &MessageFilter, page: PageRequest) -> Result<Page<Message>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let rows = sqlx::query(select_messages!(
            "JOIN tenants ON tenants.id = outbox.tenant_id WHERE outbox.seq < $1 AND path >= $2 AND path < $3 \
             AND ($4 = '' OR state = $4) AND ($5 = '' OR outbox.kind = $5) AND ($6 = '' OR target = $6) \
             ORDER BY outbox.seq DESC LIMIT $7"
        ))
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(paths.from)
        .bind(paths.before)
        .bind(filter.state.map_or("", MessageState::as_str))
        .bind(filter.kind.clone().unwrap_or_default())
        .bind(filter.target.clone().unwrap_or_default())
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<_>, StoreError> = rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect();
        Ok(page.page(found?))
    }

    /// A message.
    pub async fn message(&self, id: MessageId) -> Result<Message, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let row = sqlx::query(select_messages!("WHERE id = $1"))
            .bind(id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        let message = row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("message", &id))?;
        if scope::holds_tenant(&mut connection, self.acting.scope, message.tenant).await? {
            return Ok(message);
        }
        Err(StoreError::not_found("message", &id))
    }

    /// Messages that wait, by kind; events of which nobody was told yet come as kind `event`, changes of which a
    /// feed is behind under the name of the feed.
    pub async fn outbox_depth(&self) -> Result<Vec<OutboxDepth>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, COUNT(*) AS pending, CAST(COALESCE(SUM(CASE WHEN attempt > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
             AS retrying, MIN(created_at) AS oldest FROM outbox WHERE state = 'pending' GROUP BY kind UNION ALL \
             SELECT 'event' AS kind, COUNT(*) AS pending, 0 AS retrying, MIN(at) AS oldest FROM events \
             WHERE told_at IS NULL UNION ALL SELECT name AS kind, change_head.seq + 1 - next_seq AS pending, \
             0 AS retrying, (SELECT MIN(changes.at) FROM changes WHERE changes.seq >= next_seq) AS oldest \
             FROM change_sinks CROSS JOIN change_head ORDER BY kind",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row| {
            Ok(OutboxDepth {
                kind: sqlx::Row::try_get(row, "kind")?,
                pending: count(row, "pending")?,
                retrying: count(row, "retrying")?,
                oldest: instant_or_null(row, "oldest")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Counts the messages that were given up since an instant.
    pub async fn given_up_messages(&self, since: Micros) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS messages FROM outbox WHERE state = 'given_up' AND ended_at >= $1")
            .bind(since.0)
            .fetch_one(&self.pool)
            .await?;
        count(&row, "messages")
    }

    /// Deletes what has ended, and events of which everybody was told, before `before`; gives how many
    /// messages and events went. Events that a waiting message tells of stay.
    pub async fn tidy_outbox(&self, before: Micros) -> Result<(u64, u64), StoreError> {
        let mut write = self.begin_write().await?;
        let mut gone = [0, 0];
        let statements = [
            "DELETE FROM outbox WHERE state <> 'pending' AND ended_at < $1",
            "DELETE FROM events WHERE told_at < $1 AND NOT EXISTS \
             (SELECT 1 FROM outbox WHERE outbox.event_id = events.id)",
        ];
        for (statement, gone) in statements.into_iter().zip(&mut gone) {
            let done = sqlx::query(AssertSqlSafe(statement)).bind(before.0).execute(write.connection()).await?;
            *gone = done.rows_affected();
        }
        write.commit().await?;
        Ok((gone[0], gone[1]))
    }
}
