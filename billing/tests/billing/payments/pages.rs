//! Invoices that are paid on a page of Stripe.

use billing::payment::open_page;
use common::{
    invoice::InvoiceStatus,
    money::{Currency, Money},
    payment::{AttemptStatus, NewPayment, PaymentAttempt},
    store::StoreError,
    time::Micros,
};
use serde_json::{Value, json};

use super::fixture::{DECLINED, Fixture, GOOD, text};
use crate::deployment::instant;

async fn page(fixture: &Fixture, invoice: &common::invoice::Invoice, now: Micros) -> PaymentAttempt {
    let provider = fixture.providers.of(fixture.root).unwrap();
    open_page(&fixture.store, provider.as_ref(), invoice, "https://example.com/done", now).await.unwrap()
}

/// Pays on a page as its payer would, with a card that is not saved.
async fn pay(fixture: &Fixture, attempt: &PaymentAttempt, number: &str) -> Value {
    let card = json!({ "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123" });
    let method = text(&fixture.ask("payment_methods", &json!({ "type": "card", "card": card })).await, "id");
    fixture.ask(&format!("payment_methods/{method}/attach"), &json!({ "customer": attempt.customer })).await;
    let page = attempt.page.as_ref().unwrap();
    fixture.configure(&format!("pay/{page}"), &json!({ "method": method })).await
}

#[tokio::test]
async fn invoice_is_paid_on_its_page_after_a_card_there_was_declined() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(DECLINED).await;
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Failed]);
    let attempt = page(&fixture, &invoice, now).await;
    assert!(attempt.action_url.as_ref().unwrap().starts_with("http"), "{attempt:?}");
    assert_eq!(page(&fixture, &invoice, now).await.id, attempt.id, "the same page again");
    assert_eq!(text(&pay(&fixture, &attempt, DECLINED).await, "status"), "declined");
    fixture.look(now.plus_seconds(61)).await;
    assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Failed, AttemptStatus::Created], "it is open still");
    assert_eq!(text(&pay(&fixture, &attempt, GOOD).await, "status"), "succeeded");
    fixture.look(now.plus_seconds(122)).await;
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn page_of_an_invoice_that_is_paid_otherwise_is_closed_and_another_amount_gets_another_page() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(DECLINED).await;
    let invoice = fixture.invoice(now).await;
    let first = page(&fixture, &invoice, now).await;
    let transfer = |minor, reference: &str| NewPayment {
        invoice: invoice.id,
        amount: Money::from_minor(minor, Currency::USD),
        method: "bank_transfer".into(),
        reference: reference.into(),
        received_at: now,
    };
    fixture.store.record_payment(&transfer(380, "1"), now).await.unwrap();
    let invoice = fixture.store.invoice(invoice.id).await.unwrap();
    let second = page(&fixture, &invoice, now).await;
    assert_ne!((second.id, second.amount), (first.id, first.amount));
    let closed = fixture.store.payment_attempt(first.id).await.unwrap();
    assert_eq!(closed.failure.map(|failure| failure.code).as_deref(), Some("page_closed"));
    fixture.store.record_payment(&transfer(10_000, "2"), now).await.unwrap();
    fixture.look(now.plus_seconds(61)).await;
    let second = fixture.store.payment_attempt(second.id).await.unwrap();
    assert_eq!(second.status, AttemptStatus::Failed, "nobody can pay there any more");
    assert_eq!(fixture.store.invoice(invoice.id).await.unwrap().status, InvoiceStatus::Paid);
    assert_eq!(fixture.charged().await, []);
    let refused = fixture.store.begin_page_payment(invoice.id, "stripe", now).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(reason) if reason.contains("nothing is to be paid")), "{refused}");
    fixture.assert_books_balance().await;
}
