//! Telling: each event becomes a message to every endpoint and every address that hears of it.
//!
//! Invariants: the messages of an event are written in one transaction with the mark that they were;
//! events are told in their order, by one process at a time, so that messages of a lane are in the
//! order in which things happened.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AssertSqlSafe, Row as _};

use super::{Event, Hearer, rows};
use crate::{
    id::TenantId,
    mail,
    outbox::enqueue,
    store::{
        Store, StoreError, bulk,
        row::{corrupt, parsed, zone},
        transaction::WriteTransaction,
    },
    time::Micros,
    webhook,
};

impl Store {
    /// Writes the messages of up to `limit` events that nobody was told of yet; gives how many events
    /// they were. Without `mail`, nobody is told by mail.
    pub async fn tell_events(&self, limit: u32, mail: bool, now: Micros) -> Result<usize, StoreError> {
        // Most looks find nothing: they write nothing.
        let untold: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM events WHERE told_at IS NULL ORDER BY seq LIMIT 1")
                .fetch_optional(&self.pool)
                .await?;
        if untold.is_none() {
            return Ok(0);
        }
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE events_head SET told_at = $1 WHERE id = 1").bind(now.0).execute(write.connection()).await?;
        let events = rows::untold(write.connection(), limit).await?;
        let hearers = self.hearers(&mut write, &events).await?;
        let endpoints = webhook::listening(write.connection(), self.engine, &hearers).await?;
        let mut messages = Vec::new();
        for (seq, event) in &events {
            let hearer = hearers.get(&event.tenant).ok_or_else(|| corrupt("event", "its tenant is not there"))?;
            messages.extend(webhook::messages((*seq, event), hearer, &endpoints));
        }
        if mail {
            messages.extend(mail::messages(write.connection(), self.engine, &events, &hearers).await?);
        }
        enqueue(write.connection(), &messages, now).await?;
        for (seq, _) in &events {
            sqlx::query("UPDATE events SET told_at = $1 WHERE seq = $2")
                .bind(now.0)
                .bind(*seq)
                .execute(write.connection())
                .await?;
        }
        write.commit().await?;
        Ok(events.len())
    }

    /// The tenants of events.
    async fn hearers(
        &self,
        write: &mut WriteTransaction,
        events: &[(i64, Event)],
    ) -> Result<HashMap<TenantId, Hearer>, StoreError> {
        let tenants: BTreeSet<TenantId> = events.iter().map(|(_, event)| event.tenant).collect();
        let statement = format!("SELECT id, name, zone, path FROM tenants WHERE id {}", bulk::in_list(self.engine, 1));
        let found =
            sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(tenants)).fetch_all(write.connection()).await?;
        let mut hearers = HashMap::with_capacity(found.len());
        for row in &found {
            let path: String = row.try_get("path")?;
            let line: Result<Vec<TenantId>, _> = path.split('/').filter(|id| !id.is_empty()).map(str::parse).collect();
            let line = line.map_err(|error| corrupt("path", error))?;
            hearers.insert(parsed(row, "id")?, Hearer { name: row.try_get("name")?, zone: zone(row)?, line });
        }
        Ok(hearers)
    }
}
