//! A sample invoice with every part that an invoice can have, for branding that is tried.

use common::{
    id::{InvoiceId, TenantId},
    invoice::{
        Address, BilledPeriod, Counts, Invoice, InvoiceContent, InvoiceKind, InvoiceLine, InvoiceStatus, LineKind,
        Party, PinnedPlan, TaxLine,
        tax::{TaxRule, Treatment},
    },
    money::{Currency, Decimal, Money, UnitPrice},
    time::{Micros, Window},
};

/// Lines of the sample: enough for several pages.
const LINES: i64 = 60;

/// Start and end of November 2026, in UTC.
const PERIOD: Window = Window { start: Micros(1_793_491_200_000_000), end: Micros(1_796_083_200_000_000) };

/// The sample.
pub(super) fn invoice() -> Invoice {
    let (issuer, tenant) = (TenantId::from_u128(1), TenantId::from_u128(2));
    let tax = TaxRule { treatment: Treatment::Exclusive, percent: Decimal::from(19) };
    let lines: Vec<InvoiceLine> = (1..=LINES).map(|number| line(number, tax)).collect();
    let net = lines.iter().map(|line| line.amount_minor).sum::<i64>();
    let tax_minor = net * 19 / 100;
    let money = |minor| Money::from_minor(minor, Currency::EUR);
    let content = InvoiceContent {
        issuer: party(issuer, "Sample Issuer Ltd", "DE123456788"),
        buyer: party(tenant, "Sample Buyer GmbH", "DE987654329"),
        currency: Currency::EUR,
        period: Some(BilledPeriod { window: PERIOD, zone: "UTC".into() }),
        plan: "sample".parse().ok().map(|id| PinnedPlan { owner: issuer, id, name: "Sample".into(), version: 1 }),
        counts: Counts::default(),
        lines,
        taxes: vec![TaxLine { rule: tax, net_minor: net, tax_minor }],
        subtotal_minor: net,
        tax_minor,
        sections: Vec::new(),
        memo: Some("A remark of the issuer.".into()),
        input_hash: None,
    };
    Invoice {
        id: InvoiceId::from_u128(1),
        number: "SAMPLE-000001".into(),
        issuer,
        tenant,
        kind: InvoiceKind::Period,
        status: InvoiceStatus::Finalized,
        period: Some(PERIOD),
        part: 0,
        total: money(net + tax_minor),
        credit_used: money(1_000),
        open: money(net + tax_minor - 1_000),
        finalized_at: PERIOD.end,
        due_at: PERIOD.end.plus_seconds(14 * 86_400),
        content,
    }
}

fn line(number: i64, tax: TaxRule) -> InvoiceLine {
    InvoiceLine {
        kind: LineKind::Usage,
        description: format!("requests: sample {number}"),
        meter: Some("requests".into()),
        quantity: i128::from(number) * 1_000_000,
        unit_price: Some(UnitPrice { amount: Decimal::from(4), per: 1_000_000 }),
        exact: None,
        amount_minor: number * 400,
        tax,
        period: (number == 1).then_some(PERIOD),
        coupon: None,
        in_advance: false,
    }
}

fn party(tenant: TenantId, name: &str, tax_id: &str) -> Party {
    let address = Address {
        lines: vec!["Sample Street 1".into(), "Second line".into()],
        postal_code: Some("10115".into()),
        city: "Berlin".into(),
        country: "DE".into(),
    };
    let (name, tax_id, email) = (name.into(), Some(tax_id.into()), Some("billing@example.com".into()));
    Party { tenant, name, address: Some(address), email, tax_id }
}
