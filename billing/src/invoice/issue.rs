//! Issuing: the drafts of a period that has ended become invoices.
//!
//! Invoices are written in batches, each batch in one transaction, so a run that is killed, repeated
//! or made twice at once bills nobody twice and leaves no gap in numbers; what is missing, the next
//! run makes. A tenant that cannot be billed stops no other: a batch that the store does not take is
//! written again, one invoice at a time.
//!
//! Usage of earlier periods that was booked after their invoices is on the next invoice, on lines
//! that name their period. A run also issues what is due of periods that have not ended ([`parts`]).

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::{InvoiceId, TenantId},
    invoice::{BilledPeriod, Finalized, Invoice as Issued, NewInvoice, PinnedPlan},
    money::Money,
    store::{Store, StoreError},
    time::{Micros, Period, Zone},
};

use super::{
    FailedDraft, Invoice, InvoiceError, PeriodChoice, UnbilledUsage,
    consolidate::Consolidation,
    draft::{Basis, Supposed, draft},
    late::{self, Late},
    parts,
    payers::Bill,
    progress::{Progress, Watch},
};
use crate::rating::Line;

/// Invoices of one transaction. Other changes of the store wait for it.
const BATCH_SIZE: usize = 200;

/// The rules of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssueOptions {
    /// The instant that counts as now.
    pub now: Micros,
    /// Time from the end of a period to its invoice, for usage that is still on its way.
    pub grace_seconds: i64,
    /// Number of earlier periods in which late usage is looked for.
    pub late_periods: u32,
}

/// Outcome of a run.
#[derive(Debug)]
pub struct Run {
    /// The period; if none was named, the last month that had ended in UTC.
    pub period: Period,
    /// Invoices that this run issued, by the tenants' creation.
    pub issued: Vec<IssuedInvoice>,
    /// Invoices of the period that were there before.
    pub before: Vec<IssuedInvoice>,
    /// Bills whose period has not ended for long enough.
    pub not_due: Vec<NotDue>,
    /// Tenants that could not be billed.
    pub failed: Vec<FailedDraft>,
    /// Usage of unknown tenants.
    pub unknown_tenants: Vec<UnbilledUsage>,
    /// Billable usage of tenants without a subscription.
    pub unsubscribed_tenants: Vec<UnbilledUsage>,
}

/// An invoice of a run, without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// Its id.
    pub id: InvoiceId,
    /// Its number in the issuer's books.
    pub number: String,
    /// The tenant that sells.
    pub issuer: TenantId,
    /// The tenant that owes.
    pub tenant: TenantId,
    /// Name of the tenant that owes, as the invoice has it.
    pub tenant_name: String,
    /// Sum of the lines without tax.
    pub subtotal: Money,
    /// Sum of the tax.
    pub tax: Money,
    /// Sum of its lines and their tax.
    pub total: Money,
    /// Time by which it is to be paid.
    pub due_at: Micros,
}

/// A bill whose period has not ended for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDue {
    /// The tenant.
    pub tenant: TenantId,
    /// Name for people.
    pub tenant_name: String,
    /// The first instant at which it can be issued.
    pub due_at: Micros,
}

/// Issues the invoices of the periods that end with or within a month, and what is due now of periods
/// that have not ended: of every payer, or of `only` one.
pub async fn issue(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    options: IssueOptions,
) -> Result<Run, InvoiceError> {
    issue_watched(store, period, only, options, &|_| ()).await
}

/// The same, and tells `watch` how far it is.
pub async fn issue_watched(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    options: IssueOptions,
    watch: Watch<'_>,
) -> Result<Run, InvoiceError> {
    // Each reads everybody's periods: one after the other, so that nobody needs both at once.
    let late = late::find(store, period, only, options.late_periods, watch).await?;
    let mut basis = Basis::read(store, PeriodChoice::Named(period), only, Supposed::default(), watch).await?;
    let mut run = Run {
        period,
        issued: Vec::new(),
        before: Vec::new(),
        not_due: Vec::new(),
        failed: Vec::new(),
        unknown_tenants: basis.unknown_tenants(),
        unsubscribed_tenants: basis.unsubscribed_tenants(),
    };
    run.issue_drafts(store, &mut basis, late, options, watch).await?;
    drop(basis);
    let due = parts::due(store, options.now, only).await?;
    let mut consolidation = Consolidation::read(store).await?;
    let alone = consolidation.keep(due);
    run.write(store, alone, options.now).await?;
    run.write_collective(store, consolidation, options.now).await?;
    Ok(run)
}

/// Issues all that is due: the invoices of the month that ended last, and those of shorter periods that
/// have ended since.
pub async fn issue_due(store: &Store, only: Option<TenantId>, options: IssueOptions) -> Result<Run, InvoiceError> {
    issue_due_watched(store, only, options, &|_| ()).await
}

/// The same, and tells `watch` how far it is.
pub async fn issue_due_watched(
    store: &Store,
    only: Option<TenantId>,
    options: IssueOptions,
    watch: Watch<'_>,
) -> Result<Run, InvoiceError> {
    let period = last_ended(options.now, options.grace_seconds)?;
    let mut run = issue_watched(store, period, only, options, watch).await?;
    let since = PeriodChoice::Ended(period.next(), options.ended_by());
    let mut basis = Basis::read(store, since, only, Supposed::default(), watch).await?;
    let told = run.failed.len();
    run.issue_drafts(store, &mut basis, BTreeMap::new(), options, watch).await?;
    // Whoever cannot be billed is told once.
    let again = run.failed.split_off(told);
    let known: BTreeSet<TenantId> = run.failed.iter().map(|failed| failed.tenant).collect();
    run.failed.extend(again.into_iter().filter(|failed| !known.contains(&failed.tenant)));
    Ok(run)
}

/// Number of bills whose period has ended for long enough and that no invoice has closed.
pub async fn bills_due(store: &Store, options: IssueOptions) -> Result<usize, InvoiceError> {
    let last = last_ended(options.now, options.grace_seconds)?;
    let mut due = 0;
    for month in [last, last.next()] {
        for draft in draft(store, PeriodChoice::Ended(month, options.ended_by()), None).await?.invoices {
            let is_owed = draft.tenant != draft.issuer;
            if is_owed && !store.is_period_closed(draft.issuer, draft.tenant, draft.window).await? {
                due += 1;
            }
        }
    }
    Ok(due)
}

impl IssueOptions {
    /// The instant by which a period must have ended to be due.
    const fn ended_by(self) -> Micros {
        self.now.plus_seconds(-self.grace_seconds)
    }
}

/// An invoice that is to be issued, with the tenant's name for people.
pub(super) type Due = (String, NewInvoice);

impl Run {
    async fn issue_drafts(
        &mut self,
        store: &Store,
        basis: &mut Basis,
        mut late: BTreeMap<Bill, Late>,
        options: IssueOptions,
        watch: Watch<'_>,
    ) -> Result<(), InvoiceError> {
        let places = basis.places();
        let mut consolidation = Consolidation::read(store).await?;
        let mut batch = Vec::new();
        for (done, place) in places.iter().enumerate() {
            match basis.draft(store, *place).await? {
                Ok(invoices) => {
                    for invoice in invoices {
                        let bill = Bill { tenant: invoice.tenant, issuer: invoice.issuer };
                        let late = late.remove(&bill).unwrap_or_default();
                        // Nobody owes to itself.
                        if bill.tenant != bill.issuer {
                            let due = self.due(invoice.tenant_name.clone(), new_invoice(invoice, &late), options);
                            batch.extend(consolidation.keep(due.into_iter().collect()));
                        }
                    }
                }
                Err(failed) => self.failed.push(failed),
            }
            if batch.len() >= BATCH_SIZE {
                self.write(store, std::mem::take(&mut batch), options.now).await?;
                watch(Progress::Issued { done: done + 1, of: places.len() });
            }
        }
        batch.extend(consolidation.keep(self.due_late(store, late, options).await?));
        self.write(store, batch, options.now).await?;
        self.write_collective(store, consolidation, options.now).await?;
        watch(Progress::Issued { done: places.len(), of: places.len() });
        Ok(())
    }

    /// The invoice, if its period has ended for long enough.
    fn due(&mut self, tenant_name: String, new: NewInvoice, options: IssueOptions) -> Option<Due> {
        let tenant = new.tenant;
        let due_at = new.period.as_ref().map(|period| period.window.end.plus_seconds(options.grace_seconds));
        if let Some(due_at) = due_at.filter(|due_at| *due_at > options.now) {
            self.not_due.push(NotDue { tenant, tenant_name, due_at });
            return None;
        }
        Some((tenant_name, new))
    }

    /// Invoices of late usage of tenants that have no other bill of the period.
    async fn due_late(
        &mut self,
        store: &Store,
        late: BTreeMap<Bill, Late>,
        options: IssueOptions,
    ) -> Result<Vec<Due>, InvoiceError> {
        let mut due = Vec::new();
        for (bill, late) in late {
            let Some(part) = late.parts.first() else { continue };
            let account = store.tenant(bill.tenant).await?;
            let Ok(window) = self.period.window(&account.zone) else { continue };
            let new = NewInvoice {
                issuer: bill.issuer,
                tenant: bill.tenant,
                currency: part.currency,
                period: Some(BilledPeriod { window, zone: account.zone.name().to_owned() }),
                part: 0,
                last_part: u32::MAX,
                plan: None,
                counts: super::Counts::default(),
                lines: late.lines(),
                usage: late.usage(),
                memo: None,
                input_hash: None,
            };
            due.extend(self.due(account.name, new, options));
        }
        Ok(due)
    }

    async fn write(&mut self, store: &Store, batch: Vec<Due>, now: Micros) -> Result<(), InvoiceError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (names, new): (Vec<String>, Vec<NewInvoice>) = batch.into_iter().unzip();
        if let Ok(finalized) = store.finalize_invoices(&new, now).await {
            for one in finalized {
                self.keep(one);
            }
            return Ok(());
        }
        for (tenant_name, new) in names.into_iter().zip(new) {
            match store.finalize_invoice(&new, now).await.map_err(InvoiceError::Store) {
                Ok(finalized) => self.keep(finalized),
                Err(error) if error.is_of_one_tenant() || is_refused(&error) => {
                    self.failed.push(FailedDraft { tenant: new.tenant, tenant_name, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes invoices for several tenants. What cannot be on one with the others is on one by
    /// itself.
    async fn write_collective(
        &mut self,
        store: &Store,
        mut consolidation: Consolidation,
        now: Micros,
    ) -> Result<(), InvoiceError> {
        for (payer, due) in consolidation.take() {
            let (names, new): (Vec<String>, Vec<NewInvoice>) = due.into_iter().unzip();
            if let Ok(finalized) = store.finalize_collective(payer, &new, now).await {
                for one in finalized {
                    self.keep(one);
                }
                continue;
            }
            for (tenant_name, new) in names.into_iter().zip(new) {
                let one = store.finalize_collective(payer, std::slice::from_ref(&new), now).await;
                match one.map_err(InvoiceError::Store) {
                    Ok(finalized) => finalized.into_iter().for_each(|one| self.keep(one)),
                    Err(error) if error.is_of_one_tenant() || is_refused(&error) => {
                        self.failed.push(FailedDraft { tenant: new.tenant, tenant_name, reason: error.to_string() });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, finalized: Finalized) {
        match finalized {
            Finalized::New(invoice) => self.issued.push((*invoice).into()),
            Finalized::Before(invoice) => self.before.push((*invoice).into()),
        }
    }
}

impl From<Issued> for IssuedInvoice {
    fn from(invoice: Issued) -> Self {
        let money = |minor| Money::from_minor(minor, invoice.content.currency);
        Self {
            id: invoice.id,
            number: invoice.number,
            issuer: invoice.issuer,
            tenant: invoice.tenant,
            subtotal: money(invoice.content.subtotal_minor),
            tax: money(invoice.content.tax_minor),
            total: invoice.total,
            due_at: invoice.due_at,
            tenant_name: invoice.content.buyer.name,
        }
    }
}

/// Returns true if the store does not take the invoice as it is, which says nothing of others.
const fn is_refused(error: &InvoiceError) -> bool {
    matches!(error, InvoiceError::Store(StoreError::Refused(_) | StoreError::Conflict(_)))
}

fn new_invoice(draft: Invoice, late: &Late) -> NewInvoice {
    let own = draft.lines.iter().map(Line::frozen);
    NewInvoice {
        issuer: draft.issuer,
        tenant: draft.tenant,
        currency: draft.currency,
        period: Some(BilledPeriod { window: draft.window, zone: draft.zone.name().to_owned() }),
        part: 0,
        last_part: draft.last_part,
        plan: Some(PinnedPlan {
            owner: draft.issuer,
            id: draft.plan,
            name: draft.plan_name,
            version: draft.plan_version,
        }),
        counts: draft.counts,
        lines: own.chain(late.lines()).collect(),
        usage: draft.usage.into_iter().chain(late.usage()).collect(),
        memo: None,
        input_hash: Some(draft.input_hash),
    }
}

/// The month that ended last before `now` less the grace, in UTC.
pub fn last_ended(now: Micros, grace_seconds: i64) -> Result<Period, InvoiceError> {
    let zone = Zone::utc();
    let current = PeriodChoice::Holding(now.plus_seconds(-grace_seconds)).period(&zone)?;
    Ok(current.previous())
}
