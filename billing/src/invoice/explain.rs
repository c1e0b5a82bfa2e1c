//! Explaining an invoice: what each line was computed from, and whether computing it again gives the
//! same lines.

use common::{
    id::InvoiceId,
    invoice::{BilledUsage, Invoice as Issued, InvoiceLine, LineKind, OwnBill},
    plan::subscription::{Subscription, cycles::BillCycles},
    store::Store,
    time::{CyclePeriod, Zone},
};
use serde::Serialize;

use super::{
    InvoiceError, PeriodChoice, billed,
    draft::{Supposed, draft_as_if},
    parts,
    payers::Bill,
    plans::Plans,
};
use crate::rating::{self, Line};

/// An invoice, and what it was computed from.
#[derive(Debug)]
pub struct Explanation {
    /// The invoice.
    pub invoice: Issued,
    /// The subscriptions that were in force in its period, by start.
    pub subscriptions: Vec<Subscription>,
    /// The usage that was frozen with it, of its own period.
    pub usage: Vec<BilledUsage>,
    /// Result of computing the lines of its own period again, from the frozen usage.
    pub from_frozen_usage: Comparison,
    /// The same from the usage that is booked now; late usage makes it differ.
    pub from_booked_usage: Comparison,
}

/// Result of computing an invoice again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The same lines, to the byte.
    Same,
    /// Other lines.
    Differs,
    /// It cannot be computed: a one-off invoice, or one of late usage alone.
    NotComputed,
}

impl Comparison {
    /// The comparison of all sections, if those before came to `before`.
    const fn of_both(before: Option<Self>, next: Self) -> Self {
        match (before, next) {
            (None, next) => next,
            (Some(Self::Differs), _) | (_, Self::Differs) => Self::Differs,
            (Some(Self::NotComputed), _) | (_, Self::NotComputed) => Self::NotComputed,
            (Some(Self::Same), Self::Same) => Self::Same,
        }
    }

    /// The comparison in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Same => "gives the same lines",
            Self::Differs => "gives other lines",
            Self::NotComputed => "is not possible: no plan rates it",
        }
    }
}

/// Explains an invoice.
pub async fn explain(store: &Store, id: InvoiceId) -> Result<Explanation, InvoiceError> {
    let invoice = store.invoice(id).await?;
    let all = store.usage_of_invoice(id).await?;
    let mut explained = (Vec::new(), Vec::new());
    let mut computed = [None, None];
    for bill in invoice.bills() {
        let is_own = |one: &&BilledUsage| one.section == bill.section && one.period_start == bill.window.start;
        let usage: Vec<BilledUsage> = all.iter().filter(is_own).cloned().collect();
        let subscriptions = subscriptions(store, &invoice, &bill).await?;
        let both = compute(store, &invoice, &bill, (&subscriptions, &usage)).await?;
        computed = [0, 1].map(|place| Some(Comparison::of_both(computed[place], both[place])));
        explained.0.extend(subscriptions);
        explained.1.extend(usage);
    }
    let [from_frozen_usage, from_booked_usage] = computed.map(|found| found.unwrap_or(Comparison::NotComputed));
    let (subscriptions, usage) = explained;
    Ok(Explanation { invoice, subscriptions, usage, from_frozen_usage, from_booked_usage })
}

/// Computes the lines of a tenant again: from the usage that was frozen, and from what is booked
/// now.
async fn compute(
    store: &Store,
    invoice: &Issued,
    bill: &OwnBill<'_>,
    (subscriptions, usage): (&[Subscription], &[BilledUsage]),
) -> Result<[Comparison; 2], InvoiceError> {
    if bill.plan.is_none() {
        return Ok([Comparison::NotComputed; 2]);
    }
    let lines: Vec<InvoiceLine> = bill.lines.iter().filter(|line| line.period.is_none()).cloned().collect();
    let again = rated(store, subscriptions, usage, invoice, bill).await?;
    let from_frozen_usage = compare(&again, &lines);
    // A part of a period billed what was booked then, and nothing tells how much that was.
    if bill.part > 0 {
        return Ok([from_frozen_usage, Comparison::NotComputed]);
    }
    let supposed = Supposed { before: Some(invoice.id), ..Supposed::default() };
    let choice = PeriodChoice::Holding(bill.window.start);
    let drafts = draft_as_if(store, choice, Some(bill.tenant), supposed).await?;
    let same = drafts.invoices.iter().find(|draft| draft.issuer == invoice.issuer && draft.window == bill.window);
    let own = |line: &&Line| line.period.is_none();
    let again = same.map(|draft| draft.lines.iter().filter(own).map(Line::frozen).collect::<Vec<_>>());
    Ok([from_frozen_usage, again.map_or(Comparison::Differs, |again| compare(&again, &lines))])
}

async fn subscriptions(store: &Store, invoice: &Issued, bill: &OwnBill<'_>) -> Result<Vec<Subscription>, InvoiceError> {
    let all = store.subscriptions_of(bill.tenant).await?;
    let is_rated = |one: &Subscription| {
        let overlaps = one.starts_at < bill.window.end && one.ends_at.is_none_or(|end| end > bill.window.start);
        overlaps && one.plan_owner == invoice.issuer
    };
    Ok(all.into_iter().filter(is_rated).collect())
}

/// The lines of a period, from usage that was frozen.
async fn rated(
    store: &Store,
    subscriptions: &[Subscription],
    usage: &[BilledUsage],
    invoice: &Issued,
    own: &OwnBill<'_>,
) -> Result<Vec<InvoiceLine>, InvoiceError> {
    let period = own.window;
    let mut plans = Plans::of(store, Vec::new()).await?;
    for subscription in subscriptions {
        plans.read(store, subscription).await?;
    }
    let zone = store.tenant(own.tenant).await?.zone;
    let bill = Bill { tenant: own.tenant, issuer: invoice.issuer };
    let cycles = cycles(store, &mut plans, bill, &zone).await?;
    let outside = |source| InvoiceError::Period { zone: zone.name().to_owned(), source };
    let whole = cycles.period_at(period.start).map_err(outside)?.filter(|found| found.window == period);
    let whole = whole.unwrap_or(CyclePeriod::uncut(period));
    let subscriptions: Vec<_> = subscriptions.iter().collect();
    let at = (bill, whole, &cycles);
    let terms = plans.rating(at, &subscriptions)?;
    let parts = parts::before(store, at, &terms, Some(invoice.id)).await?;
    let new = billed::totals(period.start, usage);
    let lines = match parts {
        None => rating::rate_period(&terms.of_period(), &new),
        Some(parts) => {
            let all = parts.before.usage.plus(&new);
            if own.part == 0 {
                rating::rate_rest(&terms.of_period(), &parts.before, &all)
            } else {
                // A part bills fees, usage, or both.
                let fees = own.lines.iter().any(|line| line.kind == LineKind::FlatFee);
                let advance =
                    if fees { rating::rate_advance(&terms.of_period(), &parts.before) } else { Ok(Vec::new()) };
                advance.and_then(|mut lines| {
                    if !usage.is_empty() {
                        lines.extend(rating::rate_interim(&terms.of_period(), &parts.before, &all)?);
                    }
                    Ok(lines)
                })
            }
        }
    };
    let lines = lines.map_err(|source| parts::failed(own.tenant, &plans, &subscriptions, source))?;
    Ok(lines.iter().map(Line::frozen).collect())
}

/// The cycles of an invoice's bill.
async fn cycles(store: &Store, plans: &mut Plans, bill: Bill, zone: &Zone) -> Result<BillCycles, InvoiceError> {
    let all = store.subscriptions_of(bill.tenant).await?;
    let of_bill: Vec<_> = all.iter().filter(|one| one.plan_owner == bill.issuer).collect();
    for subscription in &of_bill {
        plans.read(store, subscription).await?;
    }
    let terms = of_bill.iter().map(|subscription| plans.cycle_terms(subscription));
    BillCycles::new(terms, zone).map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source })
}

/// Compares lines without their tax rules, which come from billing details, and without whether
/// they were due in advance, which invoices of before did not keep.
fn compare(again: &[InvoiceLine], frozen: &[InvoiceLine]) -> Comparison {
    let alike = |one: &InvoiceLine, other: &InvoiceLine| {
        let (tax, in_advance) = (other.tax, other.in_advance);
        InvoiceLine { tax, in_advance, ..one.clone() } == *other
    };
    let same = again.len() == frozen.len() && again.iter().zip(frozen).all(|(one, other)| alike(one, other));
    if same { Comparison::Same } else { Comparison::Differs }
}
