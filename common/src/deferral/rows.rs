//! Rows of deferrals, and the postings that go with them.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{Deferral, Earning, next_month};
use crate::{
    id::{InvoiceId, TenantId},
    ledger::{Account, Cause, CauseKind, Posting, rows::currency},
    money::{Money, MoneyError},
    store::{
        Engine, StoreError,
        bulk::{self, Value},
        row::{corrupt, instant, instant_or_null, parsed, zone},
    },
    time::{Micros, Window, Zone},
};

macro_rules! select_deferrals {
    ($rest:literal) => {
        concat!(
            "SELECT invoice_id, line, issuer_id, tenant_id, currency, amount, taken_back, recognized, rest, rest_from, \
             ends_at, recognized_until, next_at FROM deferrals ",
            $rest
        )
    };
}
pub(super) use select_deferrals;

/// A line of an invoice that is finalized now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDeferral {
    pub(crate) invoice: InvoiceId,
    pub(crate) line: usize,
    pub(crate) issuer: TenantId,
    pub(crate) tenant: TenantId,
    /// Without tax, and not nothing.
    pub(crate) amount: Money,
    /// The time that it is for.
    pub(crate) window: Window,
}

/// Writes deferrals of invoices that are written before, in their transaction.
pub(crate) async fn defer(
    connection: &mut AnyConnection,
    engine: Engine,
    new: &[NewDeferral],
    now: Micros,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let zones = zones(connection, engine, new.iter().map(|one| one.issuer)).await?;
    let mut rows = Vec::with_capacity(new.len());
    for one in new {
        let Window { start, end } = one.window;
        let next_at = next_of(&zones, one.issuer, start.max(now))?;
        rows.push([
            Value::Text(one.invoice.to_string()),
            Value::Number(i64::try_from(one.line).map_err(|error| corrupt("line", error))?),
            Value::Text(one.issuer.to_string()),
            Value::Text(one.tenant.to_string()),
            Value::Text(one.amount.currency().code().to_owned()),
            Value::Number(one.amount.minor()),
            Value::Number(one.amount.minor()),
            Value::Number(start.0),
            Value::Number(end.max(start).0),
            Value::Number(start.0),
            Value::Number(next_at.0),
        ]);
    }
    bulk::execute(
        connection,
        "INSERT INTO deferrals (invoice_id, line, issuer_id, tenant_id, currency, amount, rest, rest_from, ends_at, \
         recognized_until, next_at)",
        "",
        &rows,
    )
    .await
}

/// The posting that makes deferred revenue of an invoice, earned up to an instant, revenue; none of
/// nothing.
pub(super) fn recognition(
    parties: (TenantId, TenantId),
    invoice: InvoiceId,
    amount: Money,
    (until, at): (Micros, Micros),
) -> Result<Option<Posting>, StoreError> {
    if amount.is_zero() {
        return Ok(None);
    }
    let minus = Money::from_minor(-amount.minor(), amount.currency());
    let cause = Cause { kind: CauseKind::Recognition, id: invoice.to_string() };
    let entries = [(Account::DeferredRevenue, amount), (Account::Revenue, minus)];
    let posting = Posting::new(parties, format!("recognition:{invoice}:{}", until.0), cause, at, &entries);
    posting.map(Some).map_err(|error| StoreError::refused(error.to_string()))
}

/// Deferrals of invoices, by invoice and line.
pub(super) async fn of_invoices(
    connection: &mut AnyConnection,
    engine: Engine,
    invoices: &[InvoiceId],
) -> Result<Vec<Deferral>, StoreError> {
    let of_list = bulk::in_list(engine, 1);
    let statement = format!("{} WHERE invoice_id {of_list} ORDER BY invoice_id, line", select_deferrals!(""));
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(invoices)).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Writes what has changed of a deferral.
pub(super) async fn save(connection: &mut AnyConnection, one: &Deferral) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE deferrals SET taken_back = $1, recognized = $2, rest = $3, rest_from = $4, recognized_until = $5, \
         next_at = $6 WHERE invoice_id = $7 AND line = $8",
    )
    .bind(one.taken_back.minor())
    .bind(one.recognized.minor())
    .bind(one.rest.amount.minor())
    .bind(one.rest.window.start.0)
    .bind(one.recognized_until.0)
    .bind(one.next_at.map(|at| at.0))
    .bind(one.invoice.to_string())
    .bind(i64::try_from(one.line).map_err(|error| corrupt("line", error))?)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn read(row: &AnyRow) -> Result<Deferral, StoreError> {
    let currency = currency(row)?;
    let money = |column: &'static str| Ok::<_, StoreError>(Money::from_minor(row.try_get(column)?, currency));
    let window = Window { start: instant(row, "rest_from")?, end: instant(row, "ends_at")? };
    Ok(Deferral {
        invoice: parsed(row, "invoice_id")?,
        line: usize::try_from(row.try_get::<i64, _>("line")?).map_err(|error| corrupt("line", error))?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        amount: money("amount")?,
        taken_back: money("taken_back")?,
        recognized: money("recognized")?,
        rest: Earning { amount: money("rest")?, window },
        recognized_until: instant(row, "recognized_until")?,
        next_at: instant_or_null(row, "next_at")?,
    })
}

/// Time zones of issuers.
pub(super) async fn zones(
    connection: &mut AnyConnection,
    engine: Engine,
    issuers: impl IntoIterator<Item = TenantId>,
) -> Result<HashMap<TenantId, Zone>, StoreError> {
    let statement = format!("SELECT id, zone FROM tenants WHERE id {}", bulk::in_list(engine, 1));
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(issuers)).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, zone(row)?))).collect()
}

/// The next begin of a month after an instant, on the clock of an issuer; on that of UTC, if its
/// zone is not known.
pub(super) fn next_of(zones: &HashMap<TenantId, Zone>, issuer: TenantId, after: Micros) -> Result<Micros, StoreError> {
    let zone = zones.get(&issuer).cloned().unwrap_or_else(Zone::utc).or_utc();
    next_month(after, &zone).map_err(|error| StoreError::refused(error.to_string()))
}

pub(super) fn beyond(error: &MoneyError) -> StoreError {
    StoreError::refused(format!("deferred revenue: {error}"))
}
