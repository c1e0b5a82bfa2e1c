//! Events that a payment provider tells, kept as they came.
//!
//! An event is taken once for each of its ids, and is handled until that was done once. Events of
//! kinds that nobody knows are kept as well.

use sqlx::{Row as _, any::AnyRow};

use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        row::{instant, instant_or_null, parsed},
    },
    time::Micros,
};

/// An event that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProviderEvent {
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The tenant whose account there it is about.
    pub issuer: TenantId,
    /// Its id at the provider.
    pub id: String,
    /// Its kind, as in `payment_intent.succeeded`.
    pub kind: String,
    /// The whole of it, as it came.
    pub body: String,
}

/// An event and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    /// The event.
    pub event: NewProviderEvent,
    /// Time at which it first came.
    pub received_at: Micros,
    /// Time at which what follows was done.
    pub handled_at: Option<Micros>,
    /// The outcome, in words.
    pub outcome: Option<String>,
}

macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT provider, issuer_id, id, kind, body, received_at, handled_at, outcome FROM provider_events ",
            $rest
        )
    };
}

impl Store {
    /// Keeps an event. Returns false if one with its id was handled before.
    pub async fn keep_provider_event(&self, new: &NewProviderEvent, now: Micros) -> Result<bool, StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO provider_events (provider, issuer_id, id, kind, body, received_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (provider, issuer_id, id) DO NOTHING",
        )
        .bind(&new.provider)
        .bind(new.issuer.to_string())
        .bind(&new.id)
        .bind(&new.kind)
        .bind(&new.body)
        .bind(now.0)
        .execute(write.connection())
        .await?;
        let row = sqlx::query(select_events!("WHERE provider = $1 AND issuer_id = $2 AND id = $3"))
            .bind(&new.provider)
            .bind(new.issuer.to_string())
            .bind(&new.id)
            .fetch_one(write.connection())
            .await?;
        let kept = read(&row)?;
        write.commit().await?;
        Ok(kept.handled_at.is_none())
    }

    /// Keeps what followed from an event.
    pub async fn finish_provider_event(
        &self,
        event: &NewProviderEvent,
        outcome: &str,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query(
            "UPDATE provider_events SET handled_at = $1, outcome = $2 \
             WHERE provider = $3 AND issuer_id = $4 AND id = $5 AND handled_at IS NULL",
        )
        .bind(now.0)
        .bind(outcome)
        .bind(&event.provider)
        .bind(event.issuer.to_string())
        .bind(&event.id)
        .execute(write.connection())
        .await?;
        write.commit().await
    }

    /// Events that came before `until` and were not handled, oldest first, from behind an event on; a
    /// page of them.
    pub async fn open_provider_events(
        &self,
        until: Micros,
        after: Option<&ProviderEvent>,
        limit: u32,
    ) -> Result<Vec<ProviderEvent>, StoreError> {
        let place = |kept: &ProviderEvent| (kept.received_at.0, kept.event.issuer.to_string(), kept.event.id.clone());
        let (received_at, issuer, id) = after.map_or_else(|| (i64::MIN, String::new(), String::new()), place);
        let rows = sqlx::query(select_events!(
            "WHERE handled_at IS NULL AND received_at <= $1 AND (received_at, issuer_id, id) > ($2, $3, $4) \
             ORDER BY received_at, issuer_id, id LIMIT $5"
        ))
        .bind(until.0)
        .bind(received_at)
        .bind(issuer)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<ProviderEvent, StoreError> {
    Ok(ProviderEvent {
        event: NewProviderEvent {
            provider: row.try_get("provider")?,
            issuer: parsed(row, "issuer_id")?,
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            body: row.try_get("body")?,
        },
        received_at: instant(row, "received_at")?,
        handled_at: instant_or_null(row, "handled_at")?,
        outcome: row.try_get("outcome")?,
    })
}
