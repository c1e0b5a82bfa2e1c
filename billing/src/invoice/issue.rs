//! Issuing: the drafts of a period that has ended become invoices.
//!
//! Each invoice is one transaction, so a run that is killed, repeated or made twice at once bills
//! nobody twice and leaves no gap in numbers; what is missing, the next run makes. A tenant that
//! cannot be billed stops no other.
//!
//! Usage of earlier periods that was booked after their invoices is on the next invoice, on lines
//! that name their period.

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
    payers::Bill,
};

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

/// Issues the invoices of a period: of every payer, or of `only` one.
pub async fn issue(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    options: IssueOptions,
) -> Result<Run, InvoiceError> {
    let Drafts { period, invoices, failed, unknown_tenants, unsubscribed_tenants } =
        draft(store, PeriodChoice::Named(period), only).await?;
    let mut late = late::find(store, period, only, options.late_periods).await?;
    let mut run = Run {
        period,
        issued: Vec::new(),
        before: Vec::new(),
        not_due: Vec::new(),
        failed,
        unknown_tenants,
        unsubscribed_tenants,
    };
    for invoice in invoices {
        let bill = Bill { tenant: invoice.tenant, issuer: invoice.issuer };
        let late = late.remove(&bill).unwrap_or_default();
        // Nobody owes to itself.
        if bill.tenant != bill.issuer {
            run.issue(store, invoice.tenant_name.clone(), new_invoice(invoice, &late), options).await?;
        }
    }
    run.issue_late(store, late, options).await?;
    Ok(run)
}

impl Run {
    async fn issue(
        &mut self,
        store: &Store,
        tenant_name: String,
        new: NewInvoice,
        options: IssueOptions,
    ) -> Result<(), InvoiceError> {
        let tenant = new.tenant;
        let due_at = new.period.as_ref().map(|period| period.window.end.plus_seconds(options.grace_seconds));
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
    let own = draft.lines.iter().map(|line| line.frozen(None));
    NewInvoice {
        issuer: draft.issuer,
        tenant: draft.tenant,
        currency: draft.currency,
        period: Some(BilledPeriod { window: draft.window, zone: draft.zone.name().to_owned() }),
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
