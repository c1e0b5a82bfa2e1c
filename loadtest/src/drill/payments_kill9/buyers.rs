//! The store of the drill: who buys, what they owe, and what they have paid.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use common::{
    id::{InvoiceId, TenantId},
    invoice::{Counts, Finalized, InvoiceFilter, InvoiceLine, InvoiceStatus, LineKind, NewInvoice, tax::TaxRule},
    money::Currency,
    payment::SavedMethod,
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, SystemClock, Zone},
};

use super::{
    charges::Charges,
    provider::{Intent, Provider},
};
use crate::drill::error::DrillError;

/// Tenants that buy.
const BUYERS: usize = 12;

/// Total of each invoice, in cents.
const AMOUNT: i64 = 10_380;

const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

/// The store, and who buys.
pub(super) struct Buyers {
    store: Store,
    pub(super) root: TenantId,
    tenants: Vec<TenantId>,
    next: AtomicUsize,
}

impl Buyers {
    /// A store with tenants, each of which has saved a card.
    pub(super) async fn build(url: &str, provider: &Provider) -> Result<Self, DrillError> {
        let (store, _) = Store::open_and_migrate(url).await?;
        let now = SystemClock.now();
        let new = |parent, kind, name: String| NewTenant { parent, kind, name, zone: Zone::utc(), plan: None };
        let root = store.create_tenant(&new(None, TenantKind::Root, "Root".into()), now).await?.id;
        let mut tenants = Vec::new();
        for number in 0..BUYERS {
            let name = format!("Customer {number}");
            let buyer = store.create_tenant(&new(Some(root), TenantKind::Customer, name.clone()), now).await?.id;
            let (customer, method) = provider.customer(&name).await?;
            let saved = SavedMethod { id: method, label: "visa 4242".into() };
            store.save_payment_account((root, buyer), "stripe", &customer, Some(&saved), now).await?;
            tenants.push(buyer);
        }
        Ok(Self { store, root, tenants, next: AtomicUsize::new(0) })
    }

    /// Issues so many invoices, to one buyer after the other.
    pub(super) async fn issue(&self, count: usize) -> Result<Vec<InvoiceId>, DrillError> {
        let mut issued = Vec::new();
        for _ in 0..count {
            let tenant = self.tenants[self.next.fetch_add(1, Ordering::Relaxed) % self.tenants.len()];
            let new = NewInvoice {
                issuer: self.root,
                tenant,
                currency: Currency::USD,
                period: None,
                part: 0,
                last_part: 0,
                plan: None,
                counts: Counts::default(),
                lines: vec![line()],
                usage: Vec::new(),
                memo: None,
                input_hash: None,
            };
            match self.store.finalize_invoice(&new, SystemClock.now()).await? {
                Finalized::New(invoice) | Finalized::Before(invoice) => issued.push(invoice.id),
            }
        }
        Ok(issued)
    }

    /// Invoices that are not paid.
    pub(super) async fn unpaid(&self) -> Result<usize, DrillError> {
        let all = self.store.invoices(InvoiceFilter::default(), ALL).await?.items;
        Ok(all.iter().filter(|invoice| invoice.status != InvoiceStatus::Paid).count())
    }

    /// Compares both books.
    pub(super) async fn charges(&self, intents: &[Intent]) -> Result<Charges, DrillError> {
        let mut of_invoice: BTreeMap<&str, usize> = BTreeMap::new();
        let mut charged = BTreeSet::new();
        let mut odd = 0;
        for intent in intents {
            if intent.status == "succeeded" {
                let invoice = intent.metadata["tollgate_invoice"].as_str().unwrap_or_default();
                *of_invoice.entry(invoice).or_default() += intent.charges;
                charged.insert(intent.id.clone());
                odd += usize::from(intent.amount != AMOUNT);
            }
        }
        let all = self.store.invoices(InvoiceFilter::default(), ALL).await?.items;
        let (mut missed, mut paid) = (0, BTreeSet::new());
        for invoice in &all {
            let is_charged = of_invoice.contains_key(invoice.id.to_string().as_str());
            missed += usize::from(!is_charged || invoice.status != InvoiceStatus::Paid);
            paid.extend(self.store.payments(invoice.id).await?.into_iter().map(|payment| payment.reference));
        }
        Ok(Charges {
            charged: of_invoice.values().sum(),
            expected: all.len(),
            double: of_invoice.values().map(|charges| charges.saturating_sub(1)).sum(),
            missed,
            unmatched: charged.symmetric_difference(&paid).count() + odd,
        })
    }
}

fn line() -> InvoiceLine {
    InvoiceLine {
        kind: LineKind::Custom,
        description: "Work".into(),
        meter: None,
        quantity: 1,
        unit_price: None,
        exact: None,
        amount_minor: AMOUNT,
        tax: TaxRule::NONE,
        period: None,
        coupon: None,
        in_advance: false,
    }
}
