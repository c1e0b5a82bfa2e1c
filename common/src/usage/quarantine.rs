//! Usage that was set aside: shown, and let into the books or kept out of them for good.
//!
//! Its numbers are booked and its streams count it, so that the sums of the audit hold: what
//! streams have booked is what is recorded, dropped, or stands here.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::booking::book_set_aside;
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    store::{
        Store, StoreError,
        row::{corrupt, count, instant, instant_or_null, parsed},
    },
    time::Micros,
    usage::{RefusalCount, StreamId, UsageEntry, UsageRecord},
};

/// Longest name of who resolves, in characters.
const BY_MAX_CHARS: usize = 200;

/// Longest note, in characters.
const NOTE_MAX_CHARS: usize = 1_000;

/// An entry that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedUsage {
    /// Its number in the store.
    pub id: i64,
    /// The stream that it came with.
    pub stream: StreamId,
    /// Its number there.
    pub seq: u64,
    /// `request` or `refusals`.
    pub kind: String,
    /// The instant that it says it is of.
    pub at: Micros,
    /// Whose usage it is.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// The route; of refusals, why they were refused.
    pub route: String,
    /// Meter that is counted; empty for refusals.
    pub meter: String,
    /// Units; for refusals, their number.
    pub units: u64,
    /// HTTP status of the answer; 0 for refusals.
    pub status: i64,
    /// Mode of the key.
    pub mode: Mode,
    /// True if it would be billed.
    pub billable: bool,
    /// True if its units were drawn from credit.
    pub prepaid: bool,
    /// Reason for the quarantine: `too_late`, `too_early` or `unknown_zone`.
    pub reason: String,
    /// Time of arrival.
    pub arrived_at: Micros,
    /// The verdict; none until somebody has decided.
    pub resolved: Option<QuarantineVerdict>,
}

/// The decision about a quarantined entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineVerdict {
    /// The instant that it was booked at; none if it was discarded.
    pub booked_at: Option<Micros>,
    /// Time of the decision.
    pub resolved_at: Micros,
    /// Name of the person who decided.
    pub by: String,
    /// Reason for the decision.
    pub note: String,
}

/// The decision to make about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineAction {
    /// It is booked at the instant that it says.
    Accept,
    /// It is booked at this instant.
    MoveTo(Micros),
    /// It is never booked.
    Discard,
}

macro_rules! select_quarantine {
    ($rest:literal) => {
        concat!(
            "SELECT id, stream, seq, kind, at, tenant_id, key_id, route, meter, units, status, mode, billable, prepaid, \
             reason, arrived_at, booked_at, resolved_at, resolved_by, note FROM usage_quarantine ",
            $rest
        )
    };
}

impl Store {
    /// Entries that nobody has looked at, oldest first: up to `limit` of those whose id is beyond
    /// `after` (0 for the first).
    pub async fn quarantine(&self, limit: u32, after: i64) -> Result<Vec<QuarantinedUsage>, StoreError> {
        let rows = sqlx::query(select_quarantine!("WHERE resolution IS NULL AND id > $1 ORDER BY id LIMIT $2"))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Counts the entries that nobody has decided on.
    pub async fn quarantine_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS entries FROM usage_quarantine WHERE resolution IS NULL")
            .fetch_one(&self.pool)
            .await?;
        count(&row, "entries")
    }

    /// One entry, looked at or not.
    pub async fn quarantined(&self, id: i64) -> Result<QuarantinedUsage, StoreError> {
        let row = sqlx::query(select_quarantine!("WHERE id = $1"))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::not_found("quarantined entry", &id))?;
        read(&row)
    }

    /// Says what becomes of an entry, once. A conflict: somebody has said so before.
    pub async fn resolve_quarantined(
        &self,
        id: i64,
        action: QuarantineAction,
        by: &str,
        note: &str,
        now: Micros,
    ) -> Result<QuarantinedUsage, StoreError> {
        check_text("name of who resolves it", by, BY_MAX_CHARS)?;
        check_text("note", note, NOTE_MAX_CHARS)?;
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        // Locks it: of two who resolve it, one finds it resolved.
        sqlx::query("UPDATE usage_quarantine SET note = note WHERE id = $1").bind(id).execute(&mut *connection).await?;
        let row = sqlx::query(select_quarantine!("WHERE id = $1"))
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?
            .ok_or_else(|| StoreError::not_found("quarantined entry", &id))?;
        let mut entry = read(&row)?;
        if let Some(verdict) = &entry.resolved {
            let reason = format!("entry {id} was resolved at {} by {}", verdict.resolved_at, verdict.by);
            return Err(StoreError::conflict(reason));
        }
        let booked_at = match action {
            QuarantineAction::Accept => Some(entry.at),
            QuarantineAction::MoveTo(at) => Some(at),
            QuarantineAction::Discard => None,
        };
        if let Some(at) = booked_at {
            let seq = i64::try_from(entry.seq).map_err(|error| corrupt("seq", error))?;
            book_set_aside(connection, &entry.stream, seq, &entry.usage_at(at)?, at != entry.at, now).await?;
        }
        sqlx::query(
            "UPDATE usage_quarantine SET resolution = $1, booked_at = $2, resolved_at = $3, resolved_by = $4, note = $5 \
             WHERE id = $6",
        )
        .bind(if booked_at.is_some() { "accepted" } else { "discarded" })
        .bind(booked_at.map(|at| at.0))
        .bind(now.0)
        .bind(by.to_owned())
        .bind(note.to_owned())
        .bind(id)
        .execute(&mut *connection)
        .await?;
        write.commit().await?;
        entry.resolved =
            Some(QuarantineVerdict { booked_at, resolved_at: now, by: by.to_owned(), note: note.to_owned() });
        Ok(entry)
    }
}

impl QuarantinedUsage {
    /// The entry, as of an instant.
    fn usage_at(&self, at: Micros) -> Result<UsageEntry, StoreError> {
        let (tenant, key) = (self.tenant, self.key);
        if self.kind == "refusals" {
            let refusals = RefusalCount { at, tenant, key, reason: self.route.as_str().into(), count: self.units };
            return Ok(UsageEntry::Refusals(refusals));
        }
        Ok(UsageEntry::Request(UsageRecord {
            at,
            tenant,
            key,
            route: self.route.as_str().into(),
            meter: self.meter.as_str().into(),
            units: self.units,
            status: u16::try_from(self.status).map_err(|error| corrupt("status", error))?,
            billable: self.billable,
            mode: self.mode,
            prepaid: self.prepaid,
        }))
    }
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), StoreError> {
    if (1..=most).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(StoreError::refused(format!("the {what} has 1 to {most} characters, none of them a control character")))
}

fn read(row: &AnyRow) -> Result<QuarantinedUsage, StoreError> {
    let resolved = match instant_or_null(row, "resolved_at")? {
        Some(resolved_at) => Some(QuarantineVerdict {
            booked_at: instant_or_null(row, "booked_at")?,
            resolved_at,
            by: row.try_get("resolved_by")?,
            note: row.try_get("note")?,
        }),
        None => None,
    };
    Ok(QuarantinedUsage {
        id: row.try_get("id")?,
        stream: parsed(row, "stream")?,
        seq: count(row, "seq")?,
        kind: row.try_get("kind")?,
        at: instant(row, "at")?,
        tenant: parsed(row, "tenant_id")?,
        key: parsed(row, "key_id")?,
        route: row.try_get("route")?,
        meter: row.try_get("meter")?,
        units: count(row, "units")?,
        status: row.try_get("status")?,
        mode: parsed(row, "mode")?,
        billable: row.try_get::<i64, _>("billable")? != 0,
        prepaid: row.try_get::<i64, _>("prepaid")? != 0,
        reason: row.try_get("reason")?,
        arrived_at: instant(row, "arrived_at")?,
        resolved,
    })
}
