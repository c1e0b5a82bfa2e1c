//! Deferred revenue: fees in advance become revenue over their time, whatever is taken back of
//! them.

use common::{
    id::TenantId,
    invoice::{BillingDetails, Invoice, InvoiceLine, LineKind, NewCreditNote, tax::TaxRule, tax::Treatment},
    ledger::Account,
    store::Store,
    time::{Micros, Window},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    fixture::{Fixture, customer, on_both_engines, root},
    invoice::{bill, line},
};

on_both_engines!(
    fee_in_advance_becomes_revenue_at_the_end_of_each_month,
    credit_note_takes_back_what_is_not_earned_first,
    void_invoice_leaves_nothing_deferred,
    tax_within_a_fee_is_not_deferred,
    deferred_revenue_that_does_not_agree_is_found,
    any_history_recognizes_what_was_not_taken_back,
);

fn instant(text: &str) -> Micros {
    text.parse().unwrap()
}

/// A year from 1 January 2027 in UTC: 365 days.
fn year() -> Window {
    Window { start: instant("2027-01-01T00:00:00Z"), end: instant("2028-01-01T00:00:00Z") }
}

fn fee(minor: i64) -> InvoiceLine {
    InvoiceLine { kind: LineKind::FlatFee, in_advance: true, period: Some(year()), ..line(minor, None) }
}

async fn two(store: &Store) -> (TenantId, TenantId) {
    let issuer = root(store).await.id;
    (issuer, customer(store, issuer).await)
}

/// An invoice that is finalized at the beginning of the year.
async fn issued(store: &Store, parties: (TenantId, TenantId), lines: Vec<InvoiceLine>) -> Invoice {
    match store.finalize_invoice(&bill(parties.0, parties.1, 0, lines), year().start).await.unwrap() {
        common::invoice::Finalized::New(invoice) => *invoice,
        common::invoice::Finalized::Before(invoice) => panic!("{} was there before", invoice.number),
    }
}

/// Balances of deferred revenue and of revenue, as amounts that the issuer has.
async fn balances(store: &Store, tenant: TenantId) -> (i64, i64) {
    let found = store.balances(tenant).await.unwrap();
    let of = |account| found.iter().find(|one| one.account == account).map_or(0, |one| -one.amount.minor());
    (of(Account::DeferredRevenue), of(Account::Revenue))
}

async fn credit(store: &Store, invoice: &Invoice, lines: &[(usize, i64)], now: Micros) -> i64 {
    let new = NewCreditNote { lines: lines.to_vec(), reason: "ended early".into() };
    store.issue_credit_note(invoice.id, &new, now).await.unwrap().total.minor()
}

async fn assert_clean(store: &Store) {
    assert_eq!(store.deferral_faults().await.unwrap(), []);
    assert!(store.ledger_faults().await.unwrap().is_empty());
    assert_eq!(store.invoice_faults().await.unwrap(), []);
}

async fn fee_in_advance_becomes_revenue_at_the_end_of_each_month(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    issued(&store, (issuer, tenant), vec![fee(36_500), line(500, None)]).await;
    assert_eq!(balances(&store, tenant).await, (36_500, 500), "what is not in advance is earned at once");
    assert_eq!(store.recognize_revenue(instant("2027-01-31T23:59:59Z")).await.unwrap().postings, 0);
    assert_eq!(store.recognize_revenue(instant("2027-02-01T00:00:00Z")).await.unwrap().postings, 1);
    assert_eq!(balances(&store, tenant).await, (36_500 - 3_100, 500 + 3_100), "31 days of 365");
    assert_eq!(store.recognize_revenue(instant("2027-02-01T00:00:00Z")).await.unwrap().postings, 0);
    // Three months were missed: each has its posting, as of its last instant.
    assert_eq!(store.recognize_revenue(instant("2027-05-09T00:00:00Z")).await.unwrap().postings, 3);
    for (until, deferred) in [("2027-03-01T00:00:00Z", 36_500 - 5_900), ("2027-05-01T00:00:00Z", 36_500 - 12_000)] {
        let found = store.trial_balance(issuer, Some(instant(until))).await.unwrap();
        let account = found.iter().find(|one| one.account == Account::DeferredRevenue).unwrap();
        assert_eq!(account.amount.minor(), -deferred, "up to {until}");
        assert_eq!(found.iter().map(|one| one.amount.minor()).sum::<i64>(), 0);
    }
    assert_clean(&store).await;
    store.recognize_revenue(instant("2030-01-01T00:00:00Z")).await.unwrap();
    assert_eq!(balances(&store, tenant).await, (0, 37_000));
    assert_eq!(store.recognize_revenue(instant("2040-01-01T00:00:00Z")).await.unwrap().postings, 0);
    assert_clean(&store).await;
}

async fn credit_note_takes_back_what_is_not_earned_first(fixture: Fixture) {
    let store = fixture.store().await;
    let parties = two(&store).await;
    let invoice = issued(&store, parties, vec![fee(36_500)]).await;
    // 100 days are earned, and nothing of them was recognized.
    let cancelled = instant("2027-04-11T00:00:00Z");
    assert_eq!(credit(&store, &invoice, &[(0, 20_000)], cancelled).await, 20_000);
    assert_eq!(balances(&store, parties.1).await, (6_500, 10_000));
    assert_clean(&store).await;
    // What is left is earned in the 265 days that remain.
    store.recognize_revenue(instant("2027-05-01T00:00:00Z")).await.unwrap();
    assert_eq!(balances(&store, parties.1).await, (6_500 - 491, 10_491));
    // More than is left to be earned comes out of revenue.
    assert_eq!(credit(&store, &invoice, &[], instant("2027-05-01T00:00:00Z")).await, 16_500);
    assert_eq!(balances(&store, parties.1).await, (0, 0));
    assert_eq!(store.recognize_revenue(instant("2029-01-01T00:00:00Z")).await.unwrap().postings, 0);
    assert_clean(&store).await;
}

async fn void_invoice_leaves_nothing_deferred(fixture: Fixture) {
    let store = fixture.store().await;
    let parties = two(&store).await;
    let invoice = issued(&store, parties, vec![fee(36_500), fee(-3_650), line(700, None)]).await;
    assert_eq!(balances(&store, parties.1).await, (32_850, 700), "what is taken off a fee is deferred with it");
    store.recognize_revenue(instant("2027-02-01T00:00:00Z")).await.unwrap();
    store.void_invoice(invoice.id, "a slip", instant("2027-02-10T12:00:00Z")).await.unwrap();
    assert_eq!(balances(&store, parties.1).await, (0, 0));
    assert_eq!(store.recognize_revenue(instant("2029-01-01T00:00:00Z")).await.unwrap().postings, 0);
    assert_clean(&store).await;
}

async fn tax_within_a_fee_is_not_deferred(fixture: Fixture) {
    let store = fixture.store().await;
    let parties = two(&store).await;
    let tax = TaxRule { treatment: Treatment::Inclusive, percent: "19".parse().unwrap() };
    let details = BillingDetails { tax: Some(tax), ..BillingDetails::default() };
    store.set_billing_details(parties.1, &details, year().start).await.unwrap();
    // Each line rounds by itself, the invoice once for the rate: the cent between is earned at
    // once.
    let invoice = issued(&store, parties, vec![fee(1_000), fee(1_000), fee(1_000)]).await;
    assert_eq!(invoice.content.subtotal_minor, 2_521);
    assert_eq!(balances(&store, parties.1).await, (2_520, 1));
    assert_eq!(credit(&store, &invoice, &[(1, 1_000)], year().start).await, 1_000);
    assert_eq!(balances(&store, parties.1).await, (1_680, 1));
    store.recognize_revenue(instant("2029-01-01T00:00:00Z")).await.unwrap();
    assert_eq!(balances(&store, parties.1).await, (0, 1_681));
    assert_clean(&store).await;
}

async fn deferred_revenue_that_does_not_agree_is_found(fixture: Fixture) {
    let store = fixture.store().await;
    let parties = two(&store).await;
    issued(&store, parties, vec![fee(36_500)]).await;
    store.recognize_revenue(instant("2027-02-01T00:00:00Z")).await.unwrap();
    assert_clean(&store).await;
    fixture.execute("UPDATE deferrals SET recognized = recognized + 1").await.unwrap();
    let faults = store.deferral_faults().await.unwrap();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("have 333.99 USD left to be earned"), "{told:?}");
    assert!(told[1].contains("has earned 31.00 USD, and 31.01 USD of it is revenue"), "{told:?}");
}

async fn any_history_recognizes_what_was_not_taken_back(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    for seed in 0..8 {
        let tenant = customer(&store, issuer).await;
        let mut random = StdRng::seed_from_u64(seed);
        let amounts = [random.random_range(1..90_000), -random.random_range(1..900), random.random_range(1..7)];
        let invoice = issued(&store, (issuer, tenant), amounts.map(fee).into()).await;
        let (mut now, mut credited) = (year().start, 0);
        for _ in 0..12 {
            now = now.plus_seconds(random.random_range(1..50 * 86_400));
            let line = random.random_range(0..3);
            let asked =
                NewCreditNote { lines: vec![(line, random.random_range(1..20_000))], reason: "at random".into() };
            match random.random_range(0..3) {
                0 => {
                    let note = store.issue_credit_note(invoice.id, &asked, now).await;
                    credited += note.map_or(0, |note| note.total.minor());
                }
                _ => drop(store.recognize_revenue(now).await.unwrap()),
            }
            let (deferred, revenue) = balances(&store, tenant).await;
            assert_eq!(deferred + revenue, amounts.iter().sum::<i64>() - credited, "seed {seed}");
            assert_clean(&store).await;
        }
        store.recognize_revenue(instant("2031-01-01T00:00:00Z")).await.unwrap();
        assert_eq!(balances(&store, tenant).await, (0, amounts.iter().sum::<i64>() - credited), "seed {seed}");
    }
    assert_clean(&store).await;
}
