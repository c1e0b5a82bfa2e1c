//! Issuing: the drafts of a period that has ended become invoices.
//!
//! Each invoice is one transaction, so a run that is killed, repeated or made twice at once bills
//! nobody twice and leaves no gap in numbers; what is missing, the next run makes. A tenant that
//! cannot be billed stops no other.
//!
//! Usage of earlier periods that was booked after their invoices is on the next invoice, on lines
//! that name their period. A run also issues what is due of periods that have not ended ([`parts`]).

use std::collections::BTreeMap;

use common::{
    id::TenantId,
    invoice::{BilledPeriod, Finalized, Invoice as Issued, NewInvoice, PinnedPlan},
    store::{Store, StoreError},
    time::{Micros, Period, Zone},
};

use super::{
    Drafts, FailedDraft, Invoice, InvoiceError, PeriodChoice, UnbilledUsage, draft,
    late::{self, Late},
    parts,
    payers::Bill,
};
use crate::rating::Line;

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
    pub issued: Vec<Issued>,
    /// Invoices of the period that were there before.
    pub before: Vec<Issued>,
    /// Bills whose period has not ended for long enough.
    pub not_due: Vec<NotDue>,
    /// Tenants that could not be billed.
    pub failed: Vec<FailedDraft>,
    /// Usage of unknown tenants.
    pub unknown_tenants: Vec<UnbilledUsage>,
    /// Billable usage of tenants without a subscription.
    pub unsubscribed_tenants: Vec<UnbilledUsage>,
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
    let Drafts { period, invoices, failed, unknown_tenants, unsubscribed_tenants } =
        draft(store, PeriodChoice::Named(period), only).await?;
    let mut run = Run {
        period,
        issued: Vec::new(),
        before: Vec::new(),
        not_due: Vec::new(),
        failed,
        unknown_tenants,
        unsubscribed_tenants,
    };
    let late = late::find(store, period, only, options.late_periods).await?;
    run.issue_drafts(store, invoices, late, options).await?;
    for (tenant_name, part) in parts::due(store, options.now, only).await? {
        run.issue(store, tenant_name, part, options).await?;
    }
    Ok(run)
}

/// Issues all that is due: the invoices of the month that ended last, and those of shorter periods that
/// have ended since.
pub async fn issue_due(store: &Store, only: Option<TenantId>, options: IssueOptions) -> Result<Run, InvoiceError> {
    let period = last_ended(options.now, options.grace_seconds)?;
    let mut run = issue(store, period, only, options).await?;
    let ended_by = options.now.plus_seconds(-options.grace_seconds);
    let since = draft(store, PeriodChoice::Ended(period.next(), ended_by), only).await?;
    // Whoever cannot be billed is told once.
    let is_new = |failed: &FailedDraft| run.failed.iter().all(|known| known.tenant != failed.tenant);
    let failed: Vec<_> = since.failed.into_iter().filter(is_new).collect();
    run.failed.extend(failed);
    run.issue_drafts(store, since.invoices, BTreeMap::new(), options).await?;
    Ok(run)
}

/// Number of bills whose period has ended for long enough and that no invoice has closed.
pub async fn bills_due(store: &Store, options: IssueOptions) -> Result<usize, InvoiceError> {
    let ended_by = options.now.plus_seconds(-options.grace_seconds);
    let last = last_ended(options.now, options.grace_seconds)?;
    let mut due = 0;
    for month in [last, last.next()] {
        for draft in draft(store, PeriodChoice::Ended(month, ended_by), None).await?.invoices {
            let is_owed = draft.tenant != draft.issuer;
            if is_owed && store.billed_usage(draft.issuer, draft.tenant, draft.window).await?.is_none() {
                due += 1;
            }
        }
    }
    Ok(due)
}

impl Run {
    async fn issue_drafts(
        &mut self,
        store: &Store,
        drafts: Vec<Invoice>,
        mut late: BTreeMap<Bill, Late>,
        options: IssueOptions,
    ) -> Result<(), InvoiceError> {
        for draft in drafts {
            let bill = Bill { tenant: draft.tenant, issuer: draft.issuer };
            let late = late.remove(&bill).unwrap_or_default();
            // Nobody owes to itself.
            if bill.tenant != bill.issuer {
                self.issue(store, draft.tenant_name.clone(), new_invoice(draft, &late), options).await?;
            }
        }
        self.issue_late(store, late, options).await
    }

    async fn issue(
        &mut self,
        store: &Store,
        tenant_name: String,
        new: NewInvoice,
        options: IssueOptions,
    ) -> Result<(), InvoiceError> {
        let tenant = new.tenant;
        // A part of a period is due as it is asked for.
        let closes = new.period.as_ref().filter(|_| new.part == 0);
        let due_at = closes.map(|period| period.window.end.plus_seconds(options.grace_seconds));
        if let Some(due_at) = due_at.filter(|due_at| *due_at > options.now) {
            self.not_due.push(NotDue { tenant, tenant_name, due_at });
            return Ok(());
        }
        match store.finalize_invoice(&new, options.now).await.map_err(InvoiceError::Store) {
            Ok(Finalized::New(invoice)) => self.issued.push(*invoice),
            Ok(Finalized::Before(invoice)) => self.before.push(*invoice),
            Err(error) if error.is_of_one_tenant() || is_refused(&error) => {
                self.failed.push(FailedDraft { tenant, tenant_name, reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Issues late usage of tenants that have no other bill of the period: invoices of their own.
    async fn issue_late(
        &mut self,
        store: &Store,
        late: BTreeMap<Bill, Late>,
        options: IssueOptions,
    ) -> Result<(), InvoiceError> {
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
                last_part: 0,
                plan: None,
                counts: super::Counts::default(),
                lines: late.lines(),
                usage: late.usage(),
                memo: None,
                input_hash: None,
            };
            self.issue(store, account.name, new, options).await?;
        }
        Ok(())
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
