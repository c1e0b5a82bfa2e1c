//! The store of the drill: its tenants, their usage, and what was issued.

use std::collections::{BTreeMap, BTreeSet};

use super::closing::Closing;
use crate::drill::error::DrillError;
use common::{
    id::{InvoiceId, KeyId, TenantId},
    invoice::{InvoiceFilter, InvoiceStatus},
    key::Mode,
    plan::{PlanFile, REQUESTS_METER},
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Zone},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

/// The first year of the drill; each month is one of it or of a later one.
const YEAR: u32 = 2_026;

/// Plans that customers have in turn.
const PLANS: [&str; 3] = ["starter", "growth", "business"];

const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

/// The store, and who is billed in it.
pub(super) struct Ledgers {
    pub(super) store: Store,
    pub(super) root: TenantId,
}

/// A month, as in `2026-01`.
pub(super) fn period(month: u32) -> String {
    format!("{}-{:02}", YEAR + month / 12, month % 12 + 1)
}

/// An instant two days after the end of a month.
pub(super) fn after(month: u32) -> String {
    format!("{}-03T00:00:00Z", period(month + 1))
}

fn instant(text: &str) -> Micros {
    text.parse().unwrap_or(Micros(0))
}

impl Ledgers {
    /// A store with so many tenants, each with usage in so many months.
    pub(super) async fn build(url: &str, tenants: usize, months: u32) -> Result<Self, DrillError> {
        let (store, _) = Store::open_and_migrate(url).await?;
        let began = instant("2025-12-01T00:00:00Z");
        let plans = PlanFile::parse(include_str!("../../../../config/plans.yaml"), "plans.yaml")
            .map_err(|error| DrillError::Patience(error.to_string()))?;
        store.apply_plans(&plans.plans, began).await?;
        let new = |parent, kind, name: String, plan: Option<&str>| NewTenant {
            parent,
            kind,
            name,
            zone: Zone::utc(),
            plan: plan.and_then(|plan| plan.parse().ok()),
        };
        let root = store.create_tenant(&new(None, TenantKind::Root, "Root".into(), None), began).await?;
        let mut entries = Vec::new();
        for number in 0..tenants {
            let plan = PLANS[number % PLANS.len()];
            let customer = new(Some(root.id), TenantKind::Customer, format!("Customer {number}"), Some(plan));
            let customer = store.create_tenant(&customer, began).await?;
            for month in 0..months {
                let at = instant(&format!("{}-15T12:00:00Z", period(month)));
                entries.push(UsageEntry::Request(usage(customer.id, at, 700_000 * number as u64)));
            }
        }
        let stream = StreamId::new("drill", 1, 0).map_err(|error| DrillError::Patience(error.to_string()))?;
        let now = instant(&after(months));
        for (place, part) in entries.chunks(500).enumerate() {
            let batch = UsageBatch { stream: stream.clone(), first_seq: (place * 500) as u64, entries: part.to_vec() };
            store.book_usage(&batch, now).await?;
        }
        Ok(Self { store, root: root.id })
    }

    /// Counts what was issued for so many tenants and months.
    pub(super) async fn closing(&self, tenants: usize, months: u32) -> Result<Closing, DrillError> {
        let found = self.store.invoices(InvoiceFilter::default(), ALL).await?.items;
        let mut numbers: BTreeMap<TenantId, BTreeSet<i64>> = BTreeMap::new();
        let mut bills: BTreeSet<(TenantId, i64)> = BTreeSet::new();
        let mut double = 0;
        for invoice in &found {
            let number = invoice.number.rsplit('-').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            numbers.entry(invoice.issuer).or_default().insert(number);
            let start = invoice.period.map_or(0, |period| period.start.0);
            if invoice.status != InvoiceStatus::Void && !bills.insert((invoice.tenant, start)) {
                double += 1;
            }
        }
        let gap = |numbers: &BTreeSet<i64>| {
            numbers.last().copied().unwrap_or(0) - i64::try_from(numbers.len()).unwrap_or(i64::MAX)
        };
        Ok(Closing {
            tenants,
            invoices: bills.len(),
            double,
            missed: (tenants * months as usize).saturating_sub(bills.len()),
            gaps: numbers.values().map(gap).sum(),
        })
    }

    /// References of the payments that are recorded, with their invoices.
    pub(super) async fn payments(&self) -> Result<Vec<(InvoiceId, String)>, DrillError> {
        let mut recorded = Vec::new();
        for invoice in self.store.invoices(InvoiceFilter::default(), ALL).await?.items {
            let payments = self.store.payments(invoice.id).await?;
            recorded.extend(payments.into_iter().map(|payment| (invoice.id, payment.reference)));
        }
        Ok(recorded)
    }
}

/// A billable record of a month.
fn usage(tenant: TenantId, at: Micros, units: u64) -> UsageRecord {
    UsageRecord {
        at,
        tenant,
        key: KeyId::from_u128(7),
        route: "drill".into(),
        meter: REQUESTS_METER.into(),
        units,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}
