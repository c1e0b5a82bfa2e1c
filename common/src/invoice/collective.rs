//! One invoice for several tenants: what each of them would have owed by itself is a section of it,
//! and one of them, or a tenant above, owes all of it.
//!
//! Invariants: a period of a tenant and part of it is billed once, by an invoice or by a section.
//! The lines of the sections are the lines of the invoice. Tax is that of the tenant that owes, on
//! all sections together.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{
    BilledPeriod, Finalized, Invoice, NewInvoice, Section,
    finalize::{Bill, bill, refuse_other_parts, same_periods as all_same_periods, take_numbers},
    freeze::{Parties, freeze, write},
    rows,
};
use crate::{
    id::{InvoiceId, TenantId},
    money::{Money, MoneyError},
    store::{
        Store, StoreError,
        bulk::{self, Value},
        row::{corrupt, instant, parsed},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::{Micros, Window},
};

impl Store {
    /// Finalizes what tenants owe one issuer, in one currency, as one invoice that `payer` owes.
    /// What of it was billed before is given as it is. Refused: no invoice at all, invoices without
    /// a period, of several issuers or currencies, amounts that do not add up. A conflict: another
    /// part of a period that came in between.
    pub async fn finalize_collective(
        &self,
        payer: TenantId,
        members: &[NewInvoice],
        now: Micros,
    ) -> Result<Vec<Finalized>, StoreError> {
        check(members)?;
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        for issuer in members.iter().map(|new| new.issuer).collect::<BTreeSet<_>>() {
            tenants::find(change.connection(), scope, issuer).await?;
        }
        let before = all_same_periods(&mut change, members).await?;
        let mut given: BTreeMap<String, Invoice> = BTreeMap::new();
        let mut fresh: Vec<&NewInvoice> = Vec::new();
        for new in members {
            match bill(new).and_then(|bill| before.get(&bill)) {
                Some(invoice) => drop(given.insert(invoice.id.to_string(), invoice.clone())),
                None => fresh.push(new),
            }
        }
        for new in &fresh {
            refuse_other_parts(new, before.keys())?;
        }
        let mut finalized: Vec<Finalized> =
            given.into_values().map(|invoice| Finalized::Before(Box::new(invoice))).collect();
        if let Some(first) = fresh.first() {
            let engine = change.engine();
            let tenants = fresh.iter().flat_map(|new| [new.issuer, new.tenant]).chain([payer]).collect();
            let parties = Parties::read(change.connection(), engine, &tenants).await?;
            let whole = whole(payer, first, &fresh)?;
            let sections = sections(&fresh, &parties)?;
            let numbers = take_numbers(change.connection(), &[&whole], &parties).await?;
            let number = numbers.get(&whole.issuer).copied().unwrap_or_default();
            let frozen = freeze(&whole, sections, &parties, (number, now))?;
            let written = write(&mut change, vec![frozen]).await?;
            finalized.extend(written.into_iter().map(|invoice| Finalized::New(Box::new(invoice))));
        }
        change.commit().await?;
        Ok(finalized)
    }
}

fn check(members: &[NewInvoice]) -> Result<(), StoreError> {
    let Some(first) = members.first() else { return Err(StoreError::refused("an invoice for several needs some")) };
    let is_alike =
        |new: &NewInvoice| new.period.is_some() && (new.issuer, new.currency) == (first.issuer, first.currency);
    if members.iter().all(is_alike) {
        return Ok(());
    }
    Err(StoreError::refused("the sections of an invoice have periods, one issuer and one currency"))
}

/// The invoice that all of them make up.
fn whole(payer: TenantId, first: &NewInvoice, fresh: &[&NewInvoice]) -> Result<NewInvoice, StoreError> {
    let windows = || fresh.iter().filter_map(|new| new.period.as_ref().map(|period| period.window));
    let (start, end) = (windows().map(|one| one.start).min(), windows().map(|one| one.end).max());
    let period = first.period.as_ref().zip(start.zip(end));
    let hashes: Vec<&str> = fresh.iter().filter_map(|new| new.input_hash.as_deref()).collect();
    let mut counts = first.counts;
    for new in &fresh[1..] {
        counts = counts.plus(new.counts).ok_or_else(|| StoreError::refused("counts: do not fit"))?;
    }
    let usage = fresh.iter().enumerate().flat_map(|(place, new)| {
        new.usage.iter().map(move |one| super::BilledUsage { section: Some(place), ..one.clone() })
    });
    Ok(NewInvoice {
        issuer: first.issuer,
        tenant: payer,
        currency: first.currency,
        period: period
            .map(|(period, (start, end))| BilledPeriod { window: Window { start, end }, zone: period.zone.clone() }),
        part: 0,
        last_part: u32::MAX,
        plan: None,
        counts,
        lines: fresh.iter().flat_map(|new| new.lines.iter().cloned()).collect(),
        usage: usage.collect(),
        memo: None,
        input_hash: (!hashes.is_empty()).then(|| {
            let digest = Sha256::digest(hashes.join("\n"));
            digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        }),
    })
}

fn sections(fresh: &[&NewInvoice], parties: &Parties) -> Result<Vec<Section>, StoreError> {
    let section = |new: &&NewInvoice| {
        let amounts = new.lines.iter().map(|line| Money::from_minor(line.amount_minor, new.currency));
        let subtotal = Money::sum(amounts, new.currency);
        Ok(Section {
            tenant: new.tenant,
            name: parties.name(new.tenant)?,
            period: new.period.clone().ok_or_else(|| StoreError::refused("a section has a period"))?,
            part: new.part,
            plan: new.plan.clone(),
            lines: new.lines.len(),
            subtotal_minor: subtotal.map_err(|error: MoneyError| StoreError::refused(error.to_string()))?.minor(),
            input_hash: new.input_hash.clone(),
        })
    };
    fresh.iter().map(section).collect()
}

/// Writes the sections of invoices that are written before.
pub(super) async fn write_sections(connection: &mut AnyConnection, invoices: &[Invoice]) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for invoice in invoices {
        for (place, section) in (0_i64..).zip(&invoice.content.sections) {
            rows.push([
                Value::Text(invoice.id.to_string()),
                Value::Number(place),
                Value::Text(section.tenant.to_string()),
                Value::Number(section.period.window.start.0),
                Value::Number(section.period.window.end.0),
                Value::Number(section.part.into()),
            ]);
        }
    }
    let head = "INSERT INTO invoice_sections (invoice_id, section, tenant_id, period_start, period_end, part)";
    bulk::execute(connection, head, "", &rows).await
}

/// Sections that bill periods which begin between two instants, of tenants in a list.
pub(super) async fn same_periods(
    change: &mut ChangeTransaction,
    (first, last, tenants): (Micros, Micros, String),
) -> Result<HashMap<Bill, Invoice>, StoreError> {
    let of_tenants = bulk::in_list(change.engine(), 3);
    let statement = format!(
        "SELECT id, tenant_id, period_start, period_end, part FROM bills WHERE section IS NOT NULL \
         AND period_start >= $1 AND period_start <= $2 AND status <> 'void' AND tenant_id {of_tenants}"
    );
    let found = sqlx::query(AssertSqlSafe(statement))
        .bind(first.0)
        .bind(last.0)
        .bind(tenants)
        .fetch_all(change.connection())
        .await?;
    let (mut invoices, mut bills) = (HashMap::new(), HashMap::new());
    for row in &found {
        let id: InvoiceId = parsed(row, "id")?;
        let invoice: &Invoice = match invoices.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(rows::find(change.connection(), id).await?),
        };
        let window = Window { start: instant(row, "period_start")?, end: instant(row, "period_end")? };
        let part = u32::try_from(row.try_get::<i64, _>("part")?).map_err(|error| corrupt("part", error))?;
        let currency = invoice.content.currency;
        bills.insert((invoice.issuer, parsed(row, "tenant_id")?, currency, window, part), invoice.clone());
    }
    Ok(bills)
}
