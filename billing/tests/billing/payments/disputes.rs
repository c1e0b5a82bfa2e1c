//! Disputes, from Stripe's event to the ledger and to dunning.

use common::{
    invoice::{Invoice, InvoiceStatus},
    ledger::Account,
    payment::{DisputeFilter, DisputeStatus},
    store::PageRequest,
    time::Micros,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, GOOD};
use crate::deployment::instant;

const ALL: PageRequest = PageRequest { after: None, limit: 100 };

/// An invoice that a saved card has paid, with the name of its intent.
async fn paid(fixture: &Fixture, now: Micros) -> (Invoice, String) {
    fixture.save_card(GOOD).await;
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    let intent = fixture.store.payments(invoice.id).await.unwrap().remove(0).reference;
    (invoice, intent)
}

fn dispute(intent: &str, status: &str, movements: &[Value]) -> Value {
    json!({
        "id": "dp_1", "object": "dispute", "amount": 10_380, "currency": "usd", "status": status, "reason": "fraudulent",
        "payment_intent": intent, "created": instant("2026-11-02T00:00:00Z").seconds(), "balance_transactions": movements,
        "evidence_details": { "due_by": instant("2026-11-20T00:00:00Z").seconds() },
    })
}

fn movement(id: &str, amount: i64, fee: i64) -> Value {
    json!({ "id": id, "amount": amount, "fee": fee, "net": amount - fee, "currency": "usd" })
}

async fn balance(fixture: &Fixture, account: Account) -> i64 {
    let balances = fixture.store.balances(fixture.buyer).await.unwrap();
    balances.iter().find(|one| one.account == account).map_or(0, |one| one.amount.minor())
}

async fn statuses(fixture: &Fixture) -> Vec<DisputeStatus> {
    let found = fixture.store.disputes(DisputeFilter::default(), ALL).await.unwrap().items;
    found.iter().map(|dispute| dispute.status).collect()
}

#[tokio::test]
async fn dispute_that_no_event_told_is_found_and_lost_without_a_second_charge_of_the_card() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.issuer_states(json!({ "dunning": {} })).await;
    let (invoice, intent) = paid(&fixture, now).await;
    let open = dispute(&intent, "needs_response", &[movement("txn_1", -10_380, 1_500)]);
    fixture.put("things", &open).await;
    let hours = |hours: i64| now.plus_seconds(hours * 3_600);
    // The job has looked for disputes at the beginning, and does so again in the next hour.
    fixture.look(hours(24)).await;
    assert_eq!(statuses(&fixture).await, [DisputeStatus::Open]);
    assert_eq!((balance(&fixture, Account::Disputed).await, balance(&fixture, Account::Fees).await), (10_380, 1_500));
    // Nobody is dunned while it is open, not even for another invoice.
    let other = fixture.invoice(now).await;
    fixture.look(hours(24 * 60)).await;
    assert!(fixture.store.dunning_steps(other.id).await.unwrap().is_empty());

    fixture.put("things", &dispute(&intent, "lost", &[movement("txn_1", -10_380, 1_500)])).await;
    fixture.look(hours(24 * 61)).await;
    assert_eq!(statuses(&fixture).await, [DisputeStatus::Lost]);
    let charges = fixture.charged().await.len();
    fixture.look(hours(24 * 62)).await;
    let open = fixture.store.invoice(invoice.id).await.unwrap();
    assert_eq!((open.status, open.open), (InvoiceStatus::Finalized, invoice.total), "it is open again");
    assert_eq!(fixture.charged().await.len(), charges, "the bank took it back: the card is not asked again");
    assert_eq!(balance(&fixture, Account::Disputed).await, 0);
    fixture.assert_books_balance().await;
}

#[tokio::test]
async fn dispute_that_is_won_leaves_its_fee_only() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    let (invoice, intent) = paid(&fixture, now).await;
    let taken = movement("txn_1", -10_380, 1_500);
    for (hour, status, movements) in [
        (24, "needs_response", vec![taken.clone()]),
        (48, "under_review", vec![taken.clone()]),
        (72, "won", vec![taken, movement("txn_2", 10_380, 0)]),
    ] {
        fixture.put("things", &dispute(&intent, status, &movements)).await;
        fixture.look(now.plus_seconds(hour * 3_600)).await;
    }
    assert_eq!(statuses(&fixture).await, [DisputeStatus::Won]);
    assert_eq!(fixture.store.invoice(invoice.id).await.unwrap().status, InvoiceStatus::Paid);
    assert_eq!((balance(&fixture, Account::Disputed).await, balance(&fixture, Account::Fees).await), (0, 1_500));
    fixture.assert_books_balance().await;
}
