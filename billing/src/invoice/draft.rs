//! Drafts of invoices: one pass over the usage of a period, then the lines of each payer.
//!
//! Invariant: of the bills of an issuer that are not wholesale, every unit is on one, that of its
//! payer at the instant of use, and in one period of that payer. So the bills of all periods hold
//! all usage, each unit once, whatever moved or changed since.
//!
//! The pass covers the periods of all payers at once, whatever their time zones. A tenant that cannot
//! be billed is listed with the reason, and stops no other tenant.

use common::{
    id::{InvoiceId, TenantId},
    plan::{Plan, subscription::Subscription},
    store::Store,
    tenant::TenantAccount,
    time::Zone,
};

use super::{
    Counts, Drafts, FailedDraft, Invoice, InvoiceError, UnbilledUsage, billed,
    parts::{self, Parts},
    payers::{Bill, PeriodBill},
    period::{BillingPeriod, PeriodChoice},
    plans::{At, BillTerms, Plans},
    progress::Watch,
    recorded::Recorded,
};
use crate::rating::{self, TenantTotals};

/// Drafts the invoices of a period: of every payer, or of `only` one with the tenants that it pays
/// for.
pub async fn draft(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Drafts, InvoiceError> {
    draft_as_if(store, choice, only, Supposed::default()).await
}

/// The difference in a draft that asks "what if".
#[derive(Default)]
pub(super) struct Supposed {
    /// Plans that stand in for those that have their names.
    pub(super) plans: Vec<Plan>,
    /// A subscription that begins, and ends the one before it.
    pub(super) subscription: Option<Subscription>,
    /// Only what was issued before this invoice is billed before.
    pub(super) before: Option<InvoiceId>,
}

/// Drafts the invoices of a period as if something were different.
pub(super) async fn draft_as_if(
    store: &Store,
    choice: PeriodChoice,
    only: Option<TenantId>,
    supposed: Supposed,
) -> Result<Drafts, InvoiceError> {
    let mut basis = Basis::read(store, choice, only, supposed, &|_| ()).await?;
    let mut drafts = Drafts {
        period: choice.period(&Zone::utc())?,
        invoices: Vec::new(),
        failed: Vec::new(),
        unknown_tenants: basis.unknown_tenants(),
        unsubscribed_tenants: basis.unsubscribed_tenants(),
    };
    for place in basis.places() {
        match basis.draft(store, place).await? {
            Ok(invoices) => drafts.invoices.extend(invoices),
            Err(failed) => drafts.failed.push(failed),
        }
    }
    Ok(drafts)
}

/// Everything that the drafts of a period are made from.
pub(super) struct Basis {
    before: Option<InvoiceId>,
    period: BillingPeriod,
    recorded: Recorded,
    plans: Plans,
}

impl Basis {
    pub(super) async fn read(
        store: &Store,
        choice: PeriodChoice,
        only: Option<TenantId>,
        supposed: Supposed,
        watch: Watch<'_>,
    ) -> Result<Self, InvoiceError> {
        let mut plans = Plans::of(store, supposed.plans).await?;
        let period = BillingPeriod::read(store, choice, only, &mut plans, supposed.subscription).await?;
        let is_asked = matches!(choice, PeriodChoice::Named(_) | PeriodChoice::Holding(_)) || !period.is_empty();
        let recorded = if is_asked {
            let caps = period.caps(store, &mut plans).await?;
            Recorded::read(store, &period, caps, watch).await?
        } else {
            Recorded::default()
        };
        Ok(Self { before: supposed.before, period, recorded, plans })
    }

    /// Places of the accounts to draft for, by the tenants' creation.
    pub(super) fn places(&self) -> Vec<usize> {
        let is_asked = |account: &TenantAccount| self.period.only.is_none_or(|only| only == account.id);
        let accounts = self.period.accounts.iter().enumerate();
        accounts.filter(|(_, account)| is_asked(account)).map(|(place, _)| place).collect()
    }

    /// Drafts the invoices of the account at a place, or says why it cannot be billed.
    pub(super) async fn draft(
        &mut self,
        store: &Store,
        place: usize,
    ) -> Result<Result<Vec<Invoice>, FailedDraft>, InvoiceError> {
        let Self { before, period, recorded, plans } = self;
        let Some(account) = period.accounts.get(place) else { return Ok(Ok(Vec::new())) };
        let drafted = match recorded.failed.remove(&account.id) {
            Some(error) => Err(error),
            None => invoices(store, period, account, recorded, plans, *before).await,
        };
        match drafted {
            Ok(invoices) => Ok(Ok(invoices)),
            Err(error) if error.is_of_one_tenant() => {
                let (tenant, tenant_name) = (account.id, account.name.clone());
                Ok(Err(FailedDraft { tenant, tenant_name, reason: error.to_string() }))
            }
            Err(error) => Err(error),
        }
    }

    /// Usage of unknown tenants, by tenant.
    pub(super) fn unknown_tenants(&self) -> Vec<UnbilledUsage> {
        self.recorded.of_unknown_tenants(&self.period.accounts)
    }

    /// Billable usage of tenants without a subscription, by the tenants' creation.
    pub(super) fn unsubscribed_tenants(&self) -> Vec<UnbilledUsage> {
        let unpaid = |place: usize| {
            let tenant = self.period.accounts.get(place)?.id;
            let units = self.recorded.unpaid.tenant(tenant)?.billable_units;
            (units > 0).then_some(UnbilledUsage { tenant, units })
        };
        self.places().into_iter().filter_map(unpaid).collect()
    }
}

/// The invoices of a tenant, one for each issuer and period in which it had a plan.
async fn invoices(
    store: &Store,
    period: &BillingPeriod,
    account: &TenantAccount,
    recorded: &Recorded,
    plans: &mut Plans,
    as_of: Option<InvoiceId>,
) -> Result<Vec<Invoice>, InvoiceError> {
    let tenant = account.id;
    account.zone.clone().map_err(|source| InvoiceError::Clock { tenant, source })?;
    let mut invoices = Vec::new();
    for issuer in period.payers.issuers_of(tenant) {
        let bill = Bill { tenant, issuer };
        let Some(cycles) = period.cycles(bill) else { continue };
        for one in period.of(bill) {
            let subscriptions = period.payers.rating(bill, one.window);
            if subscriptions.is_empty() {
                continue;
            }
            for subscription in &subscriptions {
                plans.read(store, subscription).await?;
            }
            let at = (bill, *one, cycles);
            let terms = plans.rating(at, &subscriptions)?;
            let before = parts::before(store, at, &terms, as_of).await?.filter(|before| !before.is_closed);
            let mut draft = invoice(account, at, (&subscriptions, &terms), before.as_ref(), recorded, plans)?;
            parts::add_advance(store, period, at, &mut draft, plans).await?;
            invoices.push(draft);
        }
    }
    Ok(invoices)
}

/// The invoice of one bill; its subscriptions come by start, and there is at least one.
fn invoice(
    account: &TenantAccount,
    (bill, period, cycles): At<'_>,
    (subscriptions, terms): (&[&Subscription], &BillTerms<'_>),
    before: Option<&Parts>,
    recorded: &Recorded,
    plans: &Plans,
) -> Result<Invoice, InvoiceError> {
    let (tenant, window) = (bill.tenant, period.window);
    let of_period = PeriodBill { bill, start: window.start };
    let plan = subscriptions.last().and_then(|last| plans.known(last)).ok_or(InvoiceError::Plan(tenant))?;
    let unused = TenantTotals::default();
    let usage = recorded.billed.tenant(of_period).unwrap_or(&unused);
    let currency = plan.plan.currency;
    let rated = match before {
        Some(parts) => rating::rate_rest(&terms.of_period(), &parts.before, usage),
        None => rating::rate_period(&terms.of_period(), usage),
    };
    let (lines, total) = rated
        .and_then(|lines| rating::total(&lines, currency).map(|total| (lines, total)))
        .map_err(|source| InvoiceError::Rating { tenant, plan: plan.plan.id.clone(), version: plan.version, source })?;
    let billed = billed::usage(window.start, before.map_or(&unused, |parts| &parts.before.usage), usage);
    Ok(Invoice {
        issuer: bill.issuer,
        tenant,
        tenant_name: account.name.clone(),
        plan: plan.plan.id.clone(),
        plan_name: plan.plan.name.clone(),
        plan_version: plan.version,
        currency,
        zone: cycles.zone().clone(),
        window,
        last_part: before.map_or(0, |parts| parts.last_part),
        counts: Counts {
            requests: usage.requests,
            billable_requests: usage.billable_requests,
            billable_units: usage.billable_units,
            test_requests: usage.test_requests,
            refused_requests: recorded.refused.get(&of_period).copied().unwrap_or(0),
        },
        lines,
        total,
        input_hash: billed::input_hash(subscriptions, terms, before.map(|parts| &parts.before), &billed),
        usage: billed,
    })
}
