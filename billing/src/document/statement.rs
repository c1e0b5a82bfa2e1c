//! Statements of account: what a tenant was charged and what it paid, with the balance after each.

use common::{
    id::TenantId,
    invoice::Party,
    ledger::{Account, CauseKind, StatementLine},
    money::{Currency, Money, MoneyError},
    store::{PageRequest, Store, StoreError},
    time::{Window, Zone},
};

use super::{
    data::{Column, DocumentData},
    papers::{Look, PaperError, blank, days, fact, total},
    words::Words,
};

/// Entries that are read at once.
const PAGE: u32 = 1_000;

/// A statement of account.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The tenant in whose books the entries are.
    pub issuer: Party,
    /// The tenant that owes.
    pub buyer: Party,
    /// The zone on whose clocks the days are.
    pub zone: Zone,
    /// The time that it covers.
    pub window: Window,
    /// Balance before.
    pub opening: Money,
    /// Entries, oldest first, each with the number or reference of its cause.
    pub entries: Vec<(StatementLine, String)>,
}

/// Reads the statement of a tenant with an issuer in one currency.
pub(crate) async fn read(
    store: &Store,
    (issuer, tenant): (TenantId, TenantId),
    currency: Currency,
    window: Window,
) -> Result<Statement, StoreError> {
    let (mut opening, mut entries) = (0_i64, Vec::new());
    let mut after = None;
    loop {
        let request = PageRequest { after, limit: PAGE };
        let page = store.statement(tenant, Some(Account::Receivable), request).await?;
        for line in page.items {
            if line.issuer != issuer || line.amount.currency() != currency || line.at >= window.end {
                continue;
            }
            if line.at < window.start {
                opening = opening.saturating_add(line.amount.minor());
            } else {
                let reference = reference(store, &line).await?;
                entries.push((line, reference));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(Statement {
        issuer: party(store, issuer).await?,
        buyer: party(store, tenant).await?,
        zone: store.tenant(tenant).await?.zone.or_utc(),
        window,
        opening: Money::from_minor(opening, currency),
        entries,
    })
}

/// A tenant as it is today.
async fn party(store: &Store, tenant: TenantId) -> Result<Party, StoreError> {
    let (found, details) = (store.tenant(tenant).await?, store.billing_details(tenant).await?);
    let name = details.legal_name.unwrap_or(found.name);
    Ok(Party { tenant, name, address: details.address, email: details.email, tax_id: details.tax_id })
}

/// The number or reference by which people know the cause of an entry.
async fn reference(store: &Store, line: &StatementLine) -> Result<String, StoreError> {
    let id = &line.cause.id;
    let parsed = match line.cause.kind {
        CauseKind::Invoice | CauseKind::InvoiceVoid | CauseKind::WriteOff => match id.parse() {
            Ok(invoice) => Some(store.invoice(invoice).await?.number),
            Err(_) => None,
        },
        CauseKind::CreditNote => match id.parse() {
            Ok(note) => Some(store.credit_note(note).await?.number),
            Err(_) => None,
        },
        CauseKind::Payment | CauseKind::Refund => match id.parse() {
            Ok(payment) => Some(store.payment(payment).await?.reference),
            Err(_) => None,
        },
        _ => None,
    };
    Ok(parsed.unwrap_or_else(|| id.clone()))
}

/// The data of a statement.
pub(super) fn data(statement: &Statement, look: Look<'_>) -> Result<DocumentData, PaperError> {
    let Look { words, .. } = look;
    let covered = days(words, statement.window, &statement.zone)?;
    let mut data = blank(look, ("statement", &words.statement, &covered), (&statement.issuer, &statement.buyer));
    data.facts.push(fact("period", &words.period, covered));
    data.facts.push(fact("customer", &words.customer, statement.buyer.tenant.to_string()));
    data.table.columns = vec![
        Column::narrow("date", &words.date_of_issue),
        Column::text("entry", &words.entry),
        Column::number("debit", &words.debit),
        Column::number("credit", &words.credit),
        Column::number("balance", &words.balance),
    ];
    let mut balance = statement.opening;
    let start = words.day(statement.zone.date(statement.window.start)?);
    let none = String::new;
    data.table.rows.push(vec![start, words.opening_balance.clone(), none(), none(), words.money_digits(balance)]);
    for (line, reference) in &statement.entries {
        balance = balance.checked_add(line.amount)?;
        let (debit, credit) = match line.amount.minor() {
            minor if minor < 0 => {
                let paid = Money::from_minor(minor.checked_neg().ok_or(MoneyError::Overflow)?, balance.currency());
                (String::new(), words.money_digits(paid))
            }
            _ => (words.money_digits(line.amount), String::new()),
        };
        let day = words.day(statement.zone.date(line.at)?);
        let entry = format!("{} {reference}", kind(words, line.cause.kind));
        data.table.rows.push(vec![day, entry, debit, credit, words.money_digits(balance)]);
    }
    if statement.entries.is_empty() {
        data.introduction.push(words.no_entries.clone());
    }
    let closing = total(words, "closing", &words.closing_balance, balance);
    data.totals.push(super::data::Total { strong: true, ..closing });
    Ok(data)
}

fn kind(words: &Words, kind: CauseKind) -> &str {
    match kind {
        // Recognized revenue is no entry of what is owed.
        CauseKind::Invoice | CauseKind::Recognition => &words.invoice,
        CauseKind::InvoiceVoid => &words.void,
        CauseKind::CreditNote => &words.credit_note,
        CauseKind::Payment => &words.payment,
        CauseKind::Refund | CauseKind::Dispute | CauseKind::Payout => &words.refund,
        CauseKind::WriteOff => &words.written_off,
        CauseKind::CreditGrant | CauseKind::CreditUse | CauseKind::CreditExpiry | CauseKind::CreditVoid => {
            &words.credit_used
        }
    }
}
