//! Payments that go back by Stripe, once, and no more than a credit note has taken back.

use billing::payment::{advance_refund, follow_due_refunds};
use common::{
    invoice::NewCreditNote,
    money::{Currency, Money},
    payment::AttemptStatus,
    store::StoreError,
    time::Micros,
};

use super::fixture::{Fixture, GOOD};
use crate::deployment::instant;

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD)
}

/// A payment of 103.80 of which a credit note has taken back 40.00.
async fn paid(fixture: &Fixture, now: Micros) -> common::payment::Payment {
    fixture.save_card(GOOD).await;
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    let note = NewCreditNote { lines: vec![(0, 4_000)], reason: "it was down".into() };
    fixture.store.issue_credit_note(invoice.id, &note, now).await.unwrap();
    fixture.store.payments(invoice.id).await.unwrap().remove(0)
}

#[tokio::test]
async fn refund_goes_back_once_whatever_becomes_of_the_answer_and_is_recorded_with_it() {
    for kind in ["none", "error", "silent", "late"] {
        let fixture = Fixture::open().await;
        let now = instant("2026-11-01T00:00:00Z");
        let payment = paid(&fixture, now).await;
        let provider = fixture.providers.of(fixture.root).unwrap();
        if kind != "none" {
            fixture.fault("refunds", kind, 1).await;
        }
        let attempt = fixture.store.begin_refund(payment.id, usd(3_000), now, now).await.unwrap();
        advance_refund(&fixture.store, provider.as_ref(), attempt, now).await.unwrap();
        for minute in 1..4 {
            follow_due_refunds(&fixture.store, &fixture.providers, now.plus_seconds(minute * 61)).await.unwrap();
        }
        let after = fixture.store.refund_attempts(payment.id).await.unwrap().remove(0);
        assert_eq!(after.status, AttemptStatus::Succeeded, "{kind}");
        let rows = fixture.store.payments(payment.invoice).await.unwrap();
        let refunds: Vec<_> = rows.iter().filter(|row| row.refund_of == Some(payment.id)).collect();
        assert_eq!((refunds.len(), refunds[0].amount), (1, usd(-3_000)), "{kind}");
        assert_eq!(Some(&refunds[0].reference), after.provider_refund.as_ref());
        let url = format!("{}/v1/refunds?payment_intent={}", fixture.stripe.url(), payment.reference);
        let told = fixture.client.get(url).bearer_auth("sk_test_12345").send().await.unwrap().text().await.unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["data"].as_array().unwrap().len(), 1, "{kind}: Stripe's books: {told}");
        fixture.assert_books_balance().await;
    }
}

#[tokio::test]
async fn refunds_under_way_keep_what_they_take_from_others() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    let payment = paid(&fixture, now).await;
    fixture.store.begin_refund(payment.id, usd(3_000), now, now).await.unwrap();
    let second = fixture.store.begin_refund(payment.id, usd(1_001), now, now).await.unwrap_err();
    assert!(matches!(&second, StoreError::Conflict(reason) if reason.starts_with("10.00 USD of")), "{second}");
    fixture.store.begin_refund(payment.id, usd(1_000), now, now).await.unwrap();
    let nothing = fixture.store.begin_refund(payment.id, usd(0), now, now).await.unwrap_err();
    assert!(matches!(nothing, StoreError::Refused(_)), "{nothing}");
}

#[tokio::test]
async fn refund_that_cannot_be_recorded_keeps_no_other_from_being_followed() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    let (first, second) = (paid(&fixture, now).await, paid(&fixture, now).await);
    for payment in [&first, &second] {
        fixture.store.begin_refund(payment.id, usd(1_000), now, now).await.unwrap();
    }
    let odd =
        "CREATE TRIGGER odd BEFORE INSERT ON payments WHEN NEW.refund_of = '{}' BEGIN SELECT RAISE(ABORT, 'odd'); END";
    fixture.execute(odd.replace("{}", &first.id.to_string())).await;
    let status = async |payment| fixture.store.refund_attempts(payment).await.unwrap().remove(0).status;
    let follow = async |seconds| {
        follow_due_refunds(&fixture.store, &fixture.providers, now.plus_seconds(seconds)).await.unwrap();
    };
    follow(61).await;
    assert_eq!(status(first.id).await, AttemptStatus::Created);
    assert_eq!(status(second.id).await, AttemptStatus::Succeeded);
    fixture.execute("DROP TRIGGER odd".into()).await;
    follow(122).await;
    assert_eq!(status(first.id).await, AttemptStatus::Succeeded);
    fixture.assert_books_balance().await;
}
