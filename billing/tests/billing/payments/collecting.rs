//! The open amount is charged to the saved method.

use common::{
    invoice::InvoiceStatus,
    money::{Currency, Money},
    payment::{AttemptStatus, NewPayment},
    time::{Clock as _, SystemClock},
};

use super::fixture::{DECLINED, Fixture, GOOD, TO_CONFIRM};
use crate::deployment::instant;

#[tokio::test]
async fn invoice_is_charged_once_to_the_saved_method_however_often_is_looked() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    assert_eq!(fixture.attempts(invoice.id).await, [], "nothing is saved that could be charged");
    fixture.save_card(GOOD).await;
    for minute in 0..3 {
        fixture.look(now.plus_seconds(minute * 60)).await;
    }
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Succeeded]);
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn method_that_is_declined_for_now_is_not_tried_again_without_a_campaign_and_another_one_is() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(DECLINED).await;
    let invoice = fixture.invoice(now).await;
    for minute in 0..3 {
        fixture.look(now.plus_seconds(minute * 60)).await;
    }
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Failed]);
    let failure = fixture.attempts(invoice.id).await.remove(0).failure.unwrap();
    assert_eq!(failure.code, "card_declined");
    assert_eq!(fixture.charged().await, []);
    fixture.assert_books_balance().await;
    // Another one is tried, once.
    fixture.save_card(DECLINED).await;
    for minute in 3..6 {
        fixture.look(now.plus_seconds(minute * 60)).await;
    }
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Failed; 2]);
    fixture.save_card(GOOD).await;
    fixture.look(now.plus_seconds(360)).await;
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn payer_confirms_a_payment_that_waits_for_that() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(TO_CONFIRM).await;
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::ActionRequired]);
    let intent = fixture.attempts(invoice.id).await.remove(0).intent.unwrap();
    let secret = super::fixture::text(
        &fixture
            .client
            .get(format!("{}/v1/payment_intents/{intent}", fixture.stripe.url()))
            .bearer_auth("sk_test_12345")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
            .unwrap(),
        "client_secret",
    );
    let body = serde_json::json!({ "client_secret": secret, "success": true });
    fixture.ask(&format!("payment_intents/{intent}/_authenticate"), &body).await;
    fixture.look(now.plus_seconds(60)).await;
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::ActionRequired], "it is asked about each hour");
    fixture.look(now.plus_seconds(3_600)).await;
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn payment_by_transfer_before_the_confirmation_is_not_charged_and_after_it_goes_to_the_wallet() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(GOOD).await;
    let transfer = |invoice, amount: Money, reference: &str| NewPayment {
        invoice,
        amount,
        method: "bank_transfer".into(),
        reference: reference.into(),
        received_at: now,
    };
    // The provider makes the intent, and the transfer comes before it is confirmed.
    let first = fixture.invoice(now).await;
    fixture.fault("payment_intents", "error", 1).await;
    fixture.look(now).await;
    assert_eq!(fixture.statuses(first.id).await, [AttemptStatus::Created]);
    fixture.store.record_payment(&transfer(first.id, first.total, "1"), now).await.unwrap();
    fixture.look(now.plus_seconds(60)).await;
    fixture.look(now.plus_seconds(120)).await;
    assert_eq!(fixture.statuses(first.id).await, [AttemptStatus::Failed], "the intent was given up");
    assert_eq!(fixture.charged().await, []);

    // The provider charges, its answer is lost, and the transfer comes before it is asked again.
    let second = fixture.invoice(now).await;
    fixture.fault("confirm", "error", 2).await;
    fixture.look(now).await;
    let half = Money::from_minor(5_000, Currency::USD);
    fixture.store.record_payment(&transfer(second.id, half, "2"), now).await.unwrap();
    fixture.look(now.plus_seconds(60)).await;
    fixture.look(now.plus_seconds(120)).await;
    let paid = fixture.store.invoice(second.id).await.unwrap();
    assert_eq!((paid.status, paid.open.minor()), (InvoiceStatus::Paid, 0));
    assert_eq!(fixture.charged().await.len(), 1);
    let wallets = fixture.store.wallets(fixture.buyer, now.plus_seconds(120)).await.unwrap();
    assert_eq!(wallets[0].balance, half, "what was paid beyond the invoice is the buyer's");
    fixture.assert_books_balance().await;
}

#[tokio::test]
async fn currency_that_stripe_does_not_take_fails_with_a_reason_and_a_dinar_is_rounded_up_into_the_wallet() {
    let fixture = Fixture::open().await;
    let now = SystemClock.now();
    fixture.save_card(GOOD).await;
    let dinars = fixture.invoice_of("5.124", Currency::KWD, now).await;
    let rials = fixture.invoice_of("5.124", Currency::LYD, now).await;
    fixture.look(now).await;
    assert_eq!(fixture.charged().await.iter().map(|(_, amount, _)| *amount).collect::<Vec<_>>(), [5_130]);
    assert_eq!(fixture.store.invoice(dinars.id).await.unwrap().status, InvoiceStatus::Paid);
    let wallets = fixture.store.wallets(fixture.buyer, now).await.unwrap();
    assert_eq!(wallets[0].balance, Money::from_minor(6, Currency::KWD));
    let failure = fixture.attempts(rials.id).await.remove(0).failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.is_final), ("amount_not_chargeable", true));
    fixture.assert_books_balance().await;
}

#[tokio::test]
async fn invoice_whose_payment_cannot_be_recorded_keeps_no_other_from_being_collected() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(GOOD).await;
    let (first, second) = (fixture.invoice(now).await, fixture.invoice(now).await);
    fixture.execute(format!(
        "CREATE TRIGGER odd BEFORE INSERT ON payments WHEN NEW.invoice_id = '{}' BEGIN SELECT RAISE(ABORT, 'odd'); END",
        first.id
    ))
    .await;
    fixture.look(now).await;
    fixture.look(now.plus_seconds(61)).await;
    assert_eq!(fixture.store.invoice(first.id).await.unwrap().status, InvoiceStatus::Finalized);
    assert_eq!(fixture.store.invoice(second.id).await.unwrap().status, InvoiceStatus::Paid);
    fixture.execute("DROP TRIGGER odd".into()).await;
    fixture.look(now.plus_seconds(122)).await;
    assert_eq!(fixture.store.invoice(first.id).await.unwrap().status, InvoiceStatus::Paid);
    let charges: Vec<_> = fixture.charged().await.into_iter().map(|(_, _, charges)| charges).collect();
    assert_eq!(charges, [1, 1], "nobody was charged twice meanwhile");
    fixture.assert_books_balance().await;
}
