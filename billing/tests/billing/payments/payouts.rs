//! Payouts, from Stripe's list of movements to the ledger.

use common::{
    ledger::Account,
    payment::{PayoutFilter, PayoutStatus},
    store::PageRequest,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, GOOD};
use crate::deployment::instant;

const ALL: PageRequest = PageRequest { after: None, limit: 100 };

async fn balance(fixture: &Fixture, account: Account) -> i64 {
    let balances = fixture.store.trial_balance(fixture.root, None).await.unwrap();
    balances.iter().find(|one| one.account == account).map_or(0, |one| one.amount.minor())
}

fn payout(status: &str, reconciliation: &str) -> Value {
    let created = instant("2026-11-03T00:00:00Z").seconds();
    json!({
        "id": "po_1", "object": "payout", "amount": 10_045, "currency": "usd", "status": status, "created": created,
        "arrival_date": created, "automatic": true, "reconciliation_status": reconciliation,
    })
}

#[tokio::test]
async fn payout_is_posted_once_stripe_knows_what_it_consists_of() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(GOOD).await;
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    let intent = fixture.store.payments(invoice.id).await.unwrap().remove(0).reference;
    let charge = json!({ "id": "ch_1", "object": "charge", "payment_intent": intent });
    let mut movements = vec![
        json!({ "id": "txn_0", "type": "payout", "amount": -10_045, "fee": 0, "currency": "usd", "source": "po_1" }),
        json!({ "id": "txn_1", "type": "charge", "amount": 10_380, "fee": 331, "currency": "usd", "source": charge }),
        json!({ "id": "txn_2", "type": "stripe_fee", "amount": -4, "fee": 0, "currency": "usd", "source": null }),
    ];
    // More than one page of them.
    for number in 0..150 {
        movements.push(json!({
            "id": format!("txn_m{number}"), "type": "adjustment", "amount": if number % 2 == 0 { 5 } else { -5 }, "fee": 0,
            "currency": "usd", "source": null,
        }));
    }
    fixture.put("movements", &json!({ "payout": "po_1", "movements": movements })).await;
    let hours = |hours: i64| now.plus_seconds(hours * 3_600);
    for (hour, status, reconciliation) in
        [(72, "in_transit", "in_progress"), (96, "paid", "in_progress"), (120, "paid", "completed")]
    {
        fixture.put("things", &payout(status, reconciliation)).await;
        fixture.look(hours(hour)).await;
        let found = fixture.store.payouts(PayoutFilter::default(), ALL).await.unwrap().items;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reconciled_at.is_some(), reconciliation == "completed");
    }
    fixture.look(hours(130)).await;
    let found = fixture.store.payouts(PayoutFilter::default(), ALL).await.unwrap().items.remove(0);
    assert_eq!((found.status, found.unmatched), (PayoutStatus::Paid, 150));
    let items = fixture.store.payout_items(found.id).await.unwrap();
    let of_charge = items.iter().find(|item| item.told.id == "txn_1").unwrap();
    let payment = fixture.store.payments(invoice.id).await.unwrap().remove(0).id;
    assert_eq!(of_charge.matched, Some(payment.to_string()));
    let accounts = [Account::Bank, Account::Cash, Account::Fees, Account::Unmatched];
    let mut balances = Vec::new();
    for account in accounts {
        balances.push(balance(&fixture, account).await);
    }
    assert_eq!(balances, [10_045, 0, 335, 0]);
    fixture.assert_books_balance().await;
}
