//! Credit notes: documents that take back lines of an invoice, in whole or in part.
//!
//! Invariant: what the credit notes of an invoice take back of a line, and of a tax rule, is never
//! more than the invoice charged. What was paid already is owed to the buyer then, and may be
//! refunded.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Invoice, InvoiceContent, InvoiceSpan, InvoiceStatus, TaxLine,
    close::{check_reason, locked},
    correction::{CorrectionError, Credited, Left},
    details,
    event::{of_credit_note, of_status},
    series, set_open,
    tax::{TaxRule, Treatment},
};
use crate::{
    deferral::take_back,
    event::emit,
    id::{CreditNoteId, InvoiceId, TenantId},
    ledger::{
        Account, Cause, CauseKind, Posting,
        rows::{currency, post},
    },
    money::Money,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        idempotency,
        row::{corrupt, instant, parsed},
        scope::{self, PathRange},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// A credit note that is to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCreditNote {
    /// Places of lines, from 0, and the amount to take back of each in minor units, as the line
    /// states its own; empty: everything that is left of every line.
    pub lines: Vec<(usize, i64)>,
    /// Reason.
    pub reason: String,
}

/// A credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditNote {
    /// Its id.
    pub id: CreditNoteId,
    /// Its number in the issuer's books.
    pub number: String,
    /// The tenant that sold.
    pub issuer: TenantId,
    /// The tenant that owed.
    pub tenant: TenantId,
    /// The invoice that it corrects.
    pub invoice: InvoiceId,
    /// Everything that it takes back, tax included.
    pub total: Money,
    /// Time at which it was issued.
    pub issued_at: Micros,
    /// Its lines, by line of the invoice.
    pub lines: Vec<CreditNoteLine>,
    /// Tax by rule.
    pub taxes: Vec<TaxLine>,
    /// Reason.
    pub reason: String,
}

/// A line of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNoteLine {
    /// Place of the line of the invoice, from 0.
    pub line: usize,
    /// The amount that is taken back, in minor units, as the line states its own.
    pub amount_minor: i64,
}

/// The part of a credit note that is stored as JSON.
#[derive(Serialize, Deserialize)]
struct Content {
    lines: Vec<CreditNoteLine>,
    taxes: Vec<TaxLine>,
    reason: String,
}

macro_rules! select_credit_notes {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, issuer_id, tenant_id, invoice_id, currency, total, issued_at, content FROM credit_notes ",
            $rest
        )
    };
}

impl Store {
    /// Issues a credit note. Refused: a line that the invoice does not have, an amount of nothing or
    /// less, an empty reason. A conflict: more than is left of a line or tax rule, nothing left, an
    /// invoice that is void or given up.
    pub async fn issue_credit_note(
        &self,
        invoice: InvoiceId,
        new: &NewCreditNote,
        now: Micros,
    ) -> Result<CreditNote, StoreError> {
        check_reason(&new.reason)?;
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let invoice = locked(&mut change, invoice).await?;
        if let InvoiceStatus::Void | InvoiceStatus::Uncollectible = invoice.status {
            let (id, status) = (invoice.id, invoice.status);
            return Err(StoreError::conflict(format!("{id} is {status}: there is nothing to take back")));
        }
        let before = of_invoice(change.connection(), invoice.id).await?;
        let (lines, taxes) = taken_back(&invoice.content, &before, new)?;
        let note = write(&mut change, &invoice, Content { lines, taxes, reason: new.reason.clone() }).await?;
        idempotency::remember(&mut change, &note.id.to_string()).await?;
        change.commit().await?;
        Ok(note)
    }

    /// A credit note.
    pub async fn credit_note(&self, id: CreditNoteId) -> Result<CreditNote, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let row = sqlx::query(select_credit_notes!("WHERE id = $1"))
            .bind(id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        let note = row.as_ref().map(read).transpose()?;
        let note = note.ok_or_else(|| StoreError::not_found("credit note", &id))?;
        if scope::holds_tenant(&mut connection, self.acting.scope, note.tenant).await? {
            return Ok(note);
        }
        Err(StoreError::not_found("credit note", &id))
    }

    /// Credit notes of an invoice, oldest first.
    pub async fn credit_notes(&self, invoice: InvoiceId) -> Result<Vec<CreditNote>, StoreError> {
        self.invoice(invoice).await?;
        let mut connection = self.pool.acquire().await?;
        of_invoice(&mut connection, invoice).await
    }
}

/// The lines and the tax that a credit note takes back, after those `before` it.
fn taken_back(
    content: &InvoiceContent,
    before: &[CreditNote],
    new: &NewCreditNote,
) -> Result<(Vec<CreditNoteLine>, Vec<TaxLine>), StoreError> {
    let left = left_of_lines(content, before);
    let asked: Vec<(usize, i64)> = match new.lines.as_slice() {
        [] => left.iter().copied().enumerate().filter(|(_, amount)| *amount != 0).collect(),
        lines => lines.to_vec(),
    };
    let mut lines: BTreeMap<usize, i64> = BTreeMap::new();
    for (place, amount) in asked {
        let money = |minor| Money::from_minor(minor, content.currency);
        let Some(left) = left.get(place) else {
            let count = content.lines.len();
            return Err(StoreError::refused(format!("lines: the invoice has lines 0 to {}", count.saturating_sub(1))));
        };
        if !new.lines.is_empty() && amount <= 0 {
            return Err(StoreError::refused(format!("lines: {} of line {place} is not above zero", money(amount))));
        }
        if lines.insert(place, amount).is_some() {
            return Err(StoreError::refused(format!("lines: line {place} is named twice")));
        }
        if amount > *left {
            let (asked, left) = (money(amount), money((*left).max(0)));
            return Err(StoreError::conflict(format!("{left} of line {place} is left: {asked} cannot be taken back")));
        }
    }
    let taxes = taken_back_by_rule(content, before, &lines)?;
    let lines = lines.into_iter().map(|(line, amount_minor)| CreditNoteLine { line, amount_minor }).collect();
    Ok((lines, taxes))
}

/// The amounts of all lines, less what was taken back.
fn left_of_lines(content: &InvoiceContent, before: &[CreditNote]) -> Vec<i64> {
    let mut left: Vec<i64> = content.lines.iter().map(|line| line.amount_minor).collect();
    for taken in before.iter().flat_map(|note| &note.lines) {
        if let Some(left) = left.get_mut(taken.line) {
            *left -= taken.amount_minor;
        }
    }
    left
}

fn taken_back_by_rule(
    content: &InvoiceContent,
    before: &[CreditNote],
    lines: &BTreeMap<usize, i64>,
) -> Result<Vec<TaxLine>, StoreError> {
    let money = |minor| Money::from_minor(minor, content.currency);
    let mut taxes = Vec::new();
    for group in &content.taxes {
        let of_rule = |(place, amount): (&usize, &i64)| {
            let line = content.lines.get(*place).filter(|line| line.tax == group.rule);
            line.map(|_| *amount)
        };
        let asked: i64 = lines.iter().filter_map(of_rule).sum();
        if !lines.iter().any(|line| of_rule(line).is_some()) {
            continue;
        }
        let earlier = before.iter().flat_map(|note| &note.taxes).filter(|tax| tax.rule == group.rule);
        let (net, tax) = earlier
            .fold((group.net_minor, group.tax_minor), |(net, tax), one| (net - one.net_minor, tax - one.tax_minor));
        let credited = credit(Left { net: money(net), tax: money(tax) }, money(asked), &group.rule)
            .map_err(|error| StoreError::conflict(error.to_string()))?;
        let (net_minor, tax_minor) = (credited.net.minor(), credited.tax.minor());
        taxes.push(TaxLine { rule: group.rule, net_minor, tax_minor });
    }
    if taxes.is_empty() {
        return Err(StoreError::conflict("nothing of the invoice is left to take back"));
    }
    Ok(taxes)
}

/// Takes back an amount of lines as they state it: with its tax, if their rule includes it.
fn credit(mut left: Left, asked: Money, rule: &TaxRule) -> Result<Credited, CorrectionError> {
    if rule.treatment != Treatment::Inclusive {
        return left.credit(asked, rule);
    }
    if asked == left.total()? {
        return left.credit(left.net, rule);
    }
    let tax = rule.contained_in(asked)?;
    left.take(asked.checked_sub(tax)?, tax)
}

impl Store {
    /// Credit notes that tenants of a span got in its time, oldest first, from behind a place on: at most
    /// `limit`, and the place behind them.
    pub(crate) async fn credit_notes_in(
        &self,
        span: &InvoiceSpan,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<CreditNote>, Option<i64>), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, span.tenant).await?;
        let only = span.tenant.filter(|_| !span.subtree).map(|tenant| tenant.to_string()).unwrap_or_default();
        let rows = sqlx::query(
            "SELECT seq, credit_notes.id AS id, number, issuer_id, tenant_id, invoice_id, currency, total, issued_at, \
             content FROM credit_notes JOIN tenants ON tenants.id = tenant_id \
             WHERE path >= $1 AND path < $2 AND seq > $3 AND ($4 = '' OR tenant_id = $4) \
             AND issued_at >= $5 AND issued_at < $6 ORDER BY seq LIMIT $7",
        )
        .bind(paths.from)
        .bind(paths.before)
        .bind(after)
        .bind(only)
        .bind(span.window.start.0)
        .bind(span.window.end.0)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        let next = match rows.last() {
            Some(last) if rows.len() >= limit as usize => Some(last.try_get("seq")?),
            _ => None,
        };
        let notes: Result<Vec<_>, StoreError> = rows.iter().map(read).collect();
        Ok((notes?, next))
    }
}

async fn write(change: &mut ChangeTransaction, invoice: &Invoice, content: Content) -> Result<CreditNote, StoreError> {
    let sum = |part: fn(&TaxLine) -> i64| content.taxes.iter().map(part).sum::<i64>();
    let money = |minor| Money::from_minor(minor, invoice.content.currency);
    let (net, tax) = (money(sum(|line| line.net_minor)), money(sum(|line| line.tax_minor)));
    let total = money(net.minor() + tax.minor());
    let seller = details::read(change.connection(), invoice.issuer).await?;
    let series = format!("{}-CN", seller.series());
    let number = series::next(change.connection(), invoice.issuer, &series).await?;
    let body = serde_json::to_string(&content).map_err(|error| corrupt("credit note", error))?;
    let note = CreditNote {
        id: CreditNoteId::generate(),
        number: series::text(&series, number),
        issuer: invoice.issuer,
        tenant: invoice.tenant,
        invoice: invoice.id,
        total,
        issued_at: change.now(),
        lines: content.lines,
        taxes: content.taxes,
        reason: content.reason,
    };
    sqlx::query(
        "INSERT INTO credit_notes (id, number, issuer_id, series, series_number, tenant_id, invoice_id, currency, \
         total, issued_at, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(note.id.to_string())
    .bind(&note.number)
    .bind(note.issuer.to_string())
    .bind(series)
    .bind(number)
    .bind(note.tenant.to_string())
    .bind(note.invoice.to_string())
    .bind(total.currency().code())
    .bind(total.minor())
    .bind(note.issued_at.0)
    .bind(body)
    .execute(change.connection())
    .await?;
    let minus = money(-total.minor());
    let unearned = take_back_unearned(change, invoice, &note.lines).await?;
    let earned = net.checked_sub(unearned).map_err(|error| StoreError::refused(error.to_string()))?;
    let entries = [
        (Account::Revenue, earned),
        (Account::DeferredRevenue, unearned),
        (Account::Tax, tax),
        (Account::Receivable, minus),
    ];
    let cause = Cause { kind: CauseKind::CreditNote, id: note.id.to_string() };
    let key = format!("credit_note:{}", note.id);
    let posting = Posting::new((note.issuer, note.tenant), key, cause, note.issued_at, &entries)
        .map_err(|error| StoreError::refused(error.to_string()))?;
    post(change.connection(), &posting).await?;
    let open = invoice.open.checked_sub(total).map_err(|error| StoreError::refused(error.to_string()))?;
    let status = if open.minor() > 0 { invoice.status } else { InvoiceStatus::Paid };
    set_open(change, invoice, open, status).await?;
    let (action, subject_kind) = (AuditAction::CreditNoteIssue, "credit_note");
    let (subject, tenant) = (note.id.to_string(), Some(note.tenant));
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(&note)? }).await?;
    let after = Invoice { status, open, ..invoice.clone() };
    let paid = (status != invoice.status).then(|| of_status(&after)).flatten();
    let events: Vec<_> = std::iter::once(of_credit_note(&note, invoice)).chain(paid).collect();
    let now = change.now();
    emit(change.connection(), &events, now).await?;
    Ok(note)
}

/// Takes back what its lines have left to be earned, up to what the credit note takes back of each.
async fn take_back_unearned(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    lines: &[CreditNoteLine],
) -> Result<Money, StoreError> {
    let content = &invoice.content;
    let mut asked = HashMap::new();
    for taken in lines {
        let Some(line) = content.lines.get(taken.line).filter(|line| line.in_advance) else { continue };
        let net = line.tax.net_of(Money::from_minor(taken.amount_minor, content.currency));
        asked.insert(taken.line, net.map_err(|error| StoreError::refused(error.to_string()))?);
    }
    if asked.is_empty() {
        return Ok(Money::zero(content.currency));
    }
    let (engine, now) = (change.engine(), change.now());
    let taken = take_back(change.connection(), engine, invoice.id, Some(&asked), now).await?;
    Ok(taken.unwrap_or(Money::zero(content.currency)))
}

async fn of_invoice(connection: &mut AnyConnection, invoice: InvoiceId) -> Result<Vec<CreditNote>, StoreError> {
    let rows = sqlx::query(select_credit_notes!("WHERE invoice_id = $1 ORDER BY seq"))
        .bind(invoice.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<CreditNote, StoreError> {
    let content: String = row.try_get("content")?;
    let content: Content = serde_json::from_str(&content).map_err(|error| corrupt("credit note", error))?;
    Ok(CreditNote {
        id: parsed(row, "id")?,
        number: row.try_get("number")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        invoice: parsed(row, "invoice_id")?,
        total: Money::from_minor(row.try_get("total")?, currency(row)?),
        issued_at: instant(row, "issued_at")?,
        lines: content.lines,
        taxes: content.taxes,
        reason: content.reason,
    })
}

#[cfg(test)]
mod tests;
