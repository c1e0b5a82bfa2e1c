//! The stories. Amounts are worked out by hand.

use common::{
    invoice::{
        BillingDetails, NewCreditNote,
        tax::{TaxRule, Treatment},
    },
    money::{Currency, Money},
    payment::NewPayment,
    tenant::TenantKind,
    usage::UsageRecord,
    wallet::{GrantKind, NewWalletGrant, PRIORITY_DEFAULT},
};

use super::Story;
use crate::deployment::{instant, request};

fn exclusive(percent: &str) -> TaxRule {
    TaxRule { treatment: Treatment::Exclusive, percent: percent.parse().unwrap() }
}

/// Growth, from the middle of October on: the fee in full, 99.00; of 2,500,000 units 2,000,000 are
/// included, the others cost 500,000 x 4.00 / 1,000,000 = 2.00. Together 101.00.
#[tokio::test]
async fn first_month() {
    let mut story = Story::new().await;
    let acme = story.customer("Acme", "America/New_York").await;
    story.subscribe(acme, "growth", "2026-10-12T15:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 2_500_000).await;
    story.run("2026-10").await;
    story.ends("first_month", &["101.00 USD"]).await;
}

/// October 2026 has 745 hours in Berlin, as clocks are put back on the 25th. Basic is in force for
/// its first 16 days, 384 hours: 30.00 x 384 / 745 = 15.463.., Pro for the other 361: 90.00 x 361 /
/// 745 = 43.610... Of 600 + 900 units Pro includes 1,000, the others cost 500 x 0.01 = 5.00.
/// Together 15.46 + 43.61 + 5.00 = 64.07.
#[tokio::test]
async fn upgrade_on_the_17th_across_a_change_of_clocks() {
    let mut story = Story::new().await;
    let charges = "charges: [{ meter: requests, included: 1000, per_unit: { amount: '0.01', per: 1 } }]";
    for (id, fee) in [("basic", "30.00"), ("pro", "90.00")] {
        let plan =
            format!("id: {id}, name: {id}, currency: EUR, flat_fee: '{fee}', billing: {{ prorate: true }}, {charges}");
        story.plan(story.root, &plan).await;
    }
    let acme = story.customer("Acme", "Europe/Berlin").await;
    story.subscribe(acme, "basic", "2026-09-15T08:00:00Z").await;
    story.subscribe(acme, "pro", "2026-10-16T22:00:00Z").await;
    story.used(acme, "2026-10-16T21:59:59Z", 600).await;
    story.used(acme, "2026-10-31T22:59:59Z", 900).await;
    story.run("2026-10").await;
    story.ends("upgrade_on_the_17th_across_a_change_of_clocks", &["64.07 EUR"]).await;
}

/// The shop uses 250,000 units. It owes its reseller 20.00 and, beyond 10,000, 240,000 x 2.00 / 1,000
/// = 480.00. The reseller owes the root 100.00 and 250,000 x 0.70 / 1,000 = 175.00.
#[tokio::test]
async fn reseller_with_retail_and_wholesale() {
    let mut story = Story::new().await;
    let reseller = story.tenant("Reseller", story.root, TenantKind::Reseller, "UTC").await;
    let shop = story.tenant("Shop", reseller, TenantKind::Customer, "UTC").await;
    let bulk = "id: bulk, name: Bulk, currency: USD, flat_fee: '100.00', billing: { wholesale: true }, \
        charges: [{ meter: requests, per_unit: { amount: '0.70', per: 1000 } }]";
    story.plan(story.root, bulk).await;
    let retail = "id: retail, name: Retail, currency: USD, flat_fee: '20.00', \
        charges: [{ meter: requests, included: 10000, per_unit: { amount: '2.00', per: 1000 } }]";
    story.plan(reseller, retail).await;
    story.subscribe(reseller, "bulk", "2026-09-15T08:00:00Z").await;
    story.subscribe(shop, "retail", "2026-09-15T08:00:00Z").await;
    story.used(shop, "2026-10-20T12:00:00Z", 250_000).await;
    story.run("2026-10").await;
    story.ends("reseller_with_retail_and_wholesale", &["275.00 USD", "500.00 USD"]).await;
}

/// Yen have no decimals: 1,000 and 1,234 x 0.33 = 407.22, that is 407; 10 % of 1,407 is 140.7, that
/// is 141. Together 1,548.
#[tokio::test]
async fn yen() {
    let mut story = Story::new().await;
    let plan = "id: en, name: En, currency: JPY, flat_fee: '1000', \
        charges: [{ meter: requests, per_unit: { amount: '0.33', per: 1 } }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "Asia/Tokyo").await;
    let details = BillingDetails { tax: Some(exclusive("10")), ..BillingDetails::default() };
    story.store.set_billing_details(acme, &details, instant(super::BEGAN)).await.unwrap();
    story.subscribe(acme, "en", "2026-09-15T08:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 1_234).await;
    story.run("2026-10").await;
    story.ends("yen", &["1548 JPY"]).await;
}

/// Dinars have three decimals: 5.000 and 333 x 0.0125 = 4.1625, a half, that is 4.163. Together
/// 9.163.
#[tokio::test]
async fn kuwaiti_dinar() {
    let mut story = Story::new().await;
    let plan = "id: dinar, name: Dinar, currency: KWD, flat_fee: '5.000', \
        charges: [{ meter: requests, per_unit: { amount: '0.0125', per: 1 } }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "Asia/Kuwait").await;
    story.subscribe(acme, "dinar", "2026-09-15T08:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 333).await;
    story.run("2026-10").await;
    story.ends("kuwaiti_dinar", &["9.163 KWD"]).await;
}

/// The plan includes 1,000 units and refuses more. 1,200 were booked, as the cost of the last request
/// was known only afterwards: 1,000 are included, 200 are beyond the quota and cost nothing.
#[tokio::test]
async fn free_plan_at_its_cap() {
    let mut story = Story::new().await;
    let plan = "id: gratis, name: Gratis, currency: USD, flat_fee: '0.00', \
        charges: [{ meter: requests, included: 1000 }], quotas: [{ meter: requests, per_month: 1000 }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "UTC").await;
    story.subscribe(acme, "gratis", "2026-09-15T08:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 900).await;
    story.used(acme, "2026-10-20T13:00:00Z", 300).await;
    story.run("2026-10").await;
    story.ends("free_plan_at_its_cap", &["0.00 USD"]).await;
}

/// 50.00 in advance. October: 30.00, and 30 x 0.10 = 3.00; 70 more units were drawn from credit in units
/// and cost nothing. All 33.00 come from the wallet. November: 30.00, of which 17.00 come from the
/// wallet and 13.00 are open.
#[tokio::test]
async fn prepaid_that_runs_out() {
    let mut story = Story::new().await;
    let plan = "id: club, name: Club, currency: USD, flat_fee: '30.00', \
        charges: [{ meter: requests, per_unit: { amount: '0.10', per: 1 } }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "UTC").await;
    let grant = NewWalletGrant {
        issuer: None,
        tenant: acme,
        amount: Money::parse("50.00", Currency::USD).unwrap(),
        kind: GrantKind::Paid,
        priority: PRIORITY_DEFAULT,
        expires_at: None,
        reference: "transfer 1".into(),
        reason: None,
    };
    story.store.grant_money(&grant, instant("2026-09-20T00:00:00Z")).await.unwrap();
    story.subscribe(acme, "club", "2026-10-01T00:00:00Z").await;
    story.book(UsageRecord { prepaid: true, ..request(acme, "2026-10-20T12:00:00Z", 70) }).await;
    story.used(acme, "2026-10-20T13:00:00Z", 30).await;
    story.run("2026-10").await;
    story.run("2026-11").await;
    let second = story.store.invoice(story.invoice("INV-000002").await).await.unwrap();
    assert_eq!((second.credit_used.to_string(), second.open.to_string()), ("17.00 USD".into(), "13.00 USD".into()));
    story.ends("prepaid_that_runs_out", &["33.00 USD", "30.00 USD"]).await;
}

/// October: 99.00, and 1,900,000 units are included. 1,300,000 more of October come in November: of
/// them 100,000 are still included, the others cost 1,200,000 x 4.00 / 1,000,000 = 4.80, on the next
/// invoice: 99.00 + 4.80 = 103.80.
#[tokio::test]
async fn late_usage() {
    let mut story = Story::new().await;
    let acme = story.customer("Acme", "UTC").await;
    story.subscribe(acme, "growth", "2026-09-15T08:00:00Z").await;
    story.used(acme, "2026-10-10T12:00:00Z", 1_900_000).await;
    story.run("2026-10").await;
    story.used(acme, "2026-10-11T12:00:00Z", 1_300_000).await;
    story.run("2026-11").await;
    story.ends("late_usage", &["99.00 USD", "103.80 USD"]).await;
}

/// 100.00 and 19 % are 119.00. 60.00 are paid, then 80.00 and their tax of 15.20 are taken back:
/// 119.00 - 60.00 - 95.20 = -36.20, which the issuer owes and pays back.
#[tokio::test]
async fn credit_note_after_a_partial_payment() {
    let mut story = Story::new().await;
    story.plan(story.root, "id: hundred, name: Hundred, currency: EUR, flat_fee: '100.00'").await;
    let acme = story.customer("Acme", "UTC").await;
    let details = BillingDetails { tax: Some(exclusive("19")), ..BillingDetails::default() };
    story.store.set_billing_details(acme, &details, instant(super::BEGAN)).await.unwrap();
    story.subscribe(acme, "hundred", "2026-09-15T08:00:00Z").await;
    story.run("2026-10").await;
    let invoice = story.invoice("INV-000001").await;
    let (eur, now) = (|text| Money::parse(text, Currency::EUR).unwrap(), instant("2026-11-10T09:00:00Z"));
    let (method, reference) = ("bank".into(), "line 7".into());
    let payment = NewPayment { invoice, amount: eur("60.00"), method, reference, received_at: now };
    let payment = story.store.record_payment(&payment, now).await.unwrap();
    let note = NewCreditNote { lines: vec![(0, 8_000)], reason: "outage".into() };
    let note = story.store.issue_credit_note(invoice, &note, instant("2026-11-11T09:00:00Z")).await.unwrap();
    assert_eq!(note.total, eur("95.20"));
    assert_eq!(story.store.invoice(invoice).await.unwrap().open, eur("-36.20"));
    story.store.refund_payment(payment.id, eur("36.20"), "line 9", instant("2026-11-12T09:00:00Z")).await.unwrap();
    story.ends("credit_note_after_a_partial_payment", &["119.00 EUR"]).await;
}

/// 100.00 and 50,000 x 1.00 / 1,000 = 50.00 are 150.00; up to the minimum of 500.00, 350.00 are
/// missing.
#[tokio::test]
async fn minimum_commitment() {
    let mut story = Story::new().await;
    let plan = "id: committed, name: Committed, currency: USD, flat_fee: '100.00', \
        billing: { minimum_spend: '500.00' }, charges: [{ meter: requests, per_unit: { amount: '1.00', per: 1000 } }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "UTC").await;
    story.subscribe(acme, "committed", "2026-09-15T08:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 50_000).await;
    story.run("2026-10").await;
    story.ends("minimum_commitment", &["500.00 USD"]).await;
}

/// 19 % on 100.00 are 19.00; 7 % on 333 x 0.10 = 33.30 are 2.331, that is 2.33. Together 154.63.
#[tokio::test]
async fn two_tax_rates() {
    let mut story = Story::new().await;
    let plan = "id: reader, name: Reader, currency: EUR, flat_fee: '100.00', \
        charges: [{ meter: books, per_unit: { amount: '0.10', per: 1 } }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "UTC").await;
    let tax_of_meters = [("books".to_owned(), exclusive("7"))].into();
    let details = BillingDetails { tax: Some(exclusive("19")), tax_of_meters, ..BillingDetails::default() };
    story.store.set_billing_details(acme, &details, instant(super::BEGAN)).await.unwrap();
    story.subscribe(acme, "reader", "2026-09-15T08:00:00Z").await;
    story.book(UsageRecord { meter: "books".into(), ..request(acme, "2026-10-20T12:00:00Z", 333) }).await;
    story.run("2026-10").await;
    story.ends("two_tax_rates", &["154.63 EUR"]).await;
}

/// Usage is billed once it comes to 50.00 within a month. 5,000 x 0.01 and 1,000 x 0.005 are 55.00, on
/// an invoice of its own on the 9th. 4,999 x 0.005 = 24.995 more are not enough, so they come with the
/// month's fee of 10.00: 35.00. Both are 90.00, as one invoice of 10,999 units would be: 10.00, 50.00
/// and 5,999 x 0.005 = 29.995.
#[tokio::test]
async fn progressive_billing() {
    let mut story = Story::new().await;
    let plan = "id: metered, name: Metered, currency: EUR, flat_fee: '10.00', billing: { invoice_at: '50.00' }, \
        charges: [{ meter: requests, tiers: [{ up_to: 5000, price: { amount: '0.01', per: 1 } }, \
        { price: { amount: '0.005', per: 1 } }] }]";
    story.plan(story.root, plan).await;
    let acme = story.customer("Acme", "Europe/Berlin").await;
    story.subscribe(acme, "metered", super::BEGAN).await;
    story.used(acme, "2026-10-08T12:00:00Z", 4_900).await;
    story.run_due("2026-10-08T13:00:00Z").await;
    story.used(acme, "2026-10-09T12:00:00Z", 1_100).await;
    story.run_due("2026-10-09T13:00:00Z").await;
    story.run_due("2026-10-09T14:00:00Z").await;
    story.used(acme, "2026-10-20T12:00:00Z", 4_999).await;
    story.run_due("2026-10-21T13:00:00Z").await;
    story.run("2026-10").await;
    story.ends("progressive_billing", &["10.00 EUR", "55.00 EUR", "35.00 EUR"]).await;
}
