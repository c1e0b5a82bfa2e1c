//! An invoice that is not paid, step by step, up to the suspension and out of it.

use common::{
    dunning::DunningAction::{self, Remind, Retry, Suspend},
    id::InvoiceId,
    payment::NewPayment,
    time::Micros,
};
use serde_json::json;

use super::fixture::{DECLINED, Fixture, GOOD};
use crate::deployment::instant;

const HOUR: i64 = 3_600;

/// Looks each six hours; gives the steps that were taken, with the day of each.
async fn days(fixture: &Fixture, invoice: InvoiceId, now: Micros, days: i64) -> Vec<(i64, DunningAction)> {
    for quarter in 0..days * 4 {
        fixture.look(now.plus_seconds(quarter * 6 * HOUR)).await;
    }
    let steps = fixture.store.dunning_steps(invoice).await.unwrap();
    steps.iter().map(|step| ((step.taken_at.0 - now.0) / (24 * HOUR * Micros::PER_SECOND), step.action)).collect()
}

async fn unpaid_of(fixture: &Fixture) -> Option<InvoiceId> {
    fixture.store.tenant(fixture.buyer).await.unwrap().unpaid.map(|unpaid| unpaid.invoice)
}

fn transfer(invoice: &common::invoice::Invoice, now: Micros) -> NewPayment {
    NewPayment {
        invoice: invoice.id,
        amount: invoice.total,
        method: "bank_transfer".into(),
        reference: invoice.id.to_string(),
        received_at: now,
    }
}

#[tokio::test]
async fn declined_card_is_tried_on_the_days_of_the_campaign_and_then_the_tenant_is_suspended_until_it_pays() {
    let fixture = Fixture::open().await;
    fixture.issuer_states(json!({ "dunning": { "pay_at": "https://pay.example.com/{invoice}" } })).await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(DECLINED).await;
    let invoice = fixture.invoice(now).await;
    let taken = days(&fixture, invoice.id, now, 14).await;
    assert_eq!(taken, [(0, Remind), (3, Retry), (5, Retry), (7, Retry)]);
    assert_eq!(fixture.attempts(invoice.id).await.len(), 4, "the first, and one each day of the campaign");
    assert_eq!(unpaid_of(&fixture).await, None, "the grace is not over");

    let later = now.plus_seconds(15 * 24 * HOUR);
    fixture.look(later).await;
    let unpaid = fixture.store.tenant(fixture.buyer).await.unwrap().unpaid.unwrap();
    assert_eq!(unpaid.invoice, invoice.id);
    assert_eq!(unpaid.pay_at, Some(format!("https://pay.example.com/{}", invoice.id)));

    fixture.store.record_payment(&transfer(&invoice, later), later).await.unwrap();
    assert_eq!(unpaid_of(&fixture).await, None, "it is served again with the payment");
    assert_eq!(fixture.store.dunning_steps(invoice.id).await.unwrap().last().unwrap().action, Suspend);
    fixture.assert_books_balance().await;
}

#[tokio::test]
async fn payer_by_transfer_is_reminded_from_the_due_date_on_and_a_second_unpaid_invoice_keeps_it_suspended() {
    let fixture = Fixture::open().await;
    let policy = json!({ "dunning": { "days": [2], "grace_days": 1 }, "payment_days": 10 });
    fixture.issuer_states(policy).await;
    let now = instant("2026-11-01T00:00:00Z");
    let (first, second) = (fixture.invoice(now).await, fixture.invoice(now).await);
    let taken = days(&fixture, first.id, now, 16).await;
    assert_eq!(taken, [(10, Remind), (12, Remind), (13, Suspend)]);
    assert_eq!(unpaid_of(&fixture).await, Some(first.id));
    let later = now.plus_seconds(16 * 24 * HOUR);
    fixture.store.record_payment(&transfer(&first, later), later).await.unwrap();
    assert_eq!(unpaid_of(&fixture).await, Some(second.id));
    fixture.store.write_off_invoice(second.id, "we are friends", later).await.unwrap();
    assert_eq!(unpaid_of(&fixture).await, None);
}

#[tokio::test]
async fn tenant_on_hold_and_issuer_without_a_campaign_take_no_steps() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    let invoice = fixture.invoice(now).await;
    assert_eq!(days(&fixture, invoice.id, now, 40).await, [], "no campaign is stated");
    fixture.issuer_states(json!({ "dunning": {} })).await;
    let details = serde_json::from_value(json!({ "dunning_hold": true })).unwrap();
    fixture.store.set_billing_details(fixture.buyer, &details, now).await.unwrap();
    assert_eq!(days(&fixture, invoice.id, now, 40).await, [], "the buyer is on hold");
}

#[tokio::test]
async fn new_card_is_tried_at_once_and_ends_the_campaign() {
    let fixture = Fixture::open().await;
    fixture.issuer_states(json!({ "dunning": {} })).await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(DECLINED).await;
    let invoice = fixture.invoice(now).await;
    days(&fixture, invoice.id, now, 4).await;
    fixture.save_card(GOOD).await;
    fixture.look(now.plus_seconds(4 * 24 * HOUR + 60)).await;
    fixture.assert_paid_once(&invoice).await;
    let taken = days(&fixture, invoice.id, now, 30).await;
    assert_eq!(taken, [(0, Remind), (3, Retry)]);
}
