//! Recognizing: what was earned in the months that have ended becomes revenue.

use std::collections::{BTreeMap, HashMap};

use sqlx::any::AnyRow;

use super::{
    Deferral,
    rows::{beyond, next_of, of_invoices, recognition, save, zones},
};
use crate::{
    id::{InvoiceId, TenantId},
    ledger::{Posting, rows::post_all},
    money::Money,
    store::{Store, StoreError, row::parsed},
    time::{Micros, Zone},
};

/// Invoices of one transaction.
const INVOICES_AT_ONCE: i64 = 200;

/// Outcome of a look at what is earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recognized {
    /// Invoices with fees that were earned in part.
    pub invoices: u64,
    /// Postings that were made.
    pub postings: u64,
}

/// Revenue that invoices have earned by some instants: ends of months, or a credit note.
#[derive(Debug, Default)]
pub(super) struct Earned(BTreeMap<(InvoiceId, Micros), ((TenantId, TenantId), Money)>);

impl Earned {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Recognizes what a line has earned by an instant.
    pub(super) fn add(&mut self, one: &mut Deferral, until: Micros) -> Result<(), StoreError> {
        let amount = one.recognize(until).map_err(|error| beyond(&error))?;
        let nothing = Money::zero(amount.currency());
        let sum = &mut self.0.entry((one.invoice, until)).or_insert(((one.issuer, one.tenant), nothing)).1;
        *sum = sum.checked_add(amount).map_err(|error| beyond(&error))?;
        Ok(())
    }
}

/// Recognizes what a line has earned in the months that have ended by `now`.
pub(super) fn months(
    one: &mut Deferral,
    zones: &HashMap<TenantId, Zone>,
    now: Micros,
    earned: &mut Earned,
) -> Result<(), StoreError> {
    while let Some(end) = one.next_at.filter(|end| *end <= now) {
        earned.add(one, end)?;
        let is_over = one.left().map_err(|error| beyond(&error))?.is_zero();
        one.next_at = if is_over { None } else { Some(next_of(zones, one.issuer, end)?) };
    }
    Ok(())
}

/// The postings of what was earned: that of a month is of its last instant, that of a credit note
/// of now.
pub(super) fn postings(earned: Earned, now: Micros) -> Result<Vec<Posting>, StoreError> {
    let mut postings = Vec::new();
    for ((invoice, until), (parties, amount)) in earned.0 {
        let at = if until == now { now } else { Micros(until.0.saturating_sub(1)) };
        postings.extend(recognition(parties, invoice, amount, (until, at))?);
    }
    Ok(postings)
}

impl Store {
    /// Makes revenue of what was earned in months that have ended by `now`, on the clocks of
    /// issuers: a posting for each invoice and month. It may be cut off anywhere and run again, by
    /// any number of processes.
    pub async fn recognize_revenue(&self, now: Micros) -> Result<Recognized, StoreError> {
        let mut done = Recognized::default();
        loop {
            let some = self.recognize_some(now).await?;
            if some == Recognized::default() {
                return Ok(done);
            }
            done.invoices += some.invoices;
            done.postings += some.postings;
        }
    }

    async fn recognize_some(&self, now: Micros) -> Result<Recognized, StoreError> {
        // Recognitions and credit notes come one after the other.
        let mut change = self.begin_change(now).await?;
        let rows = sqlx::query(
            "SELECT invoice_id FROM deferrals WHERE next_at IS NOT NULL AND next_at <= $1 \
             GROUP BY invoice_id ORDER BY MIN(next_at), invoice_id LIMIT $2",
        )
        .bind(now.0)
        .bind(INVOICES_AT_ONCE)
        .fetch_all(change.connection())
        .await?;
        let ids: Result<Vec<InvoiceId>, StoreError> =
            rows.iter().map(|row: &AnyRow| parsed(row, "invoice_id")).collect();
        let (ids, engine) = (ids?, change.engine());
        if ids.is_empty() {
            return Ok(Recognized::default());
        }
        let mut deferrals = of_invoices(change.connection(), engine, &ids).await?;
        let zones = zones(change.connection(), engine, deferrals.iter().map(|one| one.issuer)).await?;
        let mut earned = Earned::new();
        for one in &mut deferrals {
            let before = one.next_at;
            months(one, &zones, now, &mut earned)?;
            if one.next_at != before {
                save(change.connection(), one).await?;
            }
        }
        let postings = postings(earned, Micros(i64::MAX))?;
        post_all(change.connection(), &postings).await?;
        change.commit().await?;
        Ok(Recognized { invoices: ids.len() as u64, postings: postings.len() as u64 })
    }
}
