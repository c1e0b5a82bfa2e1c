//! A provider that answers late, never, or with an error after it has charged: nobody is charged
//! twice, and nothing is forgotten.

use common::payment::AttemptStatus;

use super::fixture::{Fixture, GOOD};
use crate::deployment::instant;

#[tokio::test]
async fn answer_that_is_lost_charges_nobody_twice_and_forgets_nothing() {
    for (path, kind) in [
        ("payment_intents", "error"),
        ("payment_intents", "silent"),
        ("confirm", "error"),
        ("confirm", "silent"),
        ("confirm", "late"),
    ] {
        let fixture = Fixture::open().await;
        let now = instant("2026-11-01T00:00:00Z");
        fixture.save_card(GOOD).await;
        let invoice = fixture.invoice(now).await;
        // More than any client repeats by itself.
        fixture.fault(path, kind, 3).await;
        for minute in 0..8 {
            fixture.look(now.plus_seconds(minute * 61)).await;
        }
        assert_eq!(fixture.statuses(invoice.id).await, [AttemptStatus::Succeeded], "{path} {kind}");
        fixture.assert_paid_once(&invoice).await;
    }
}

#[tokio::test]
async fn provider_that_is_away_is_asked_again_once_it_is_back() {
    let fixture = Fixture::open().await;
    let now = instant("2026-11-01T00:00:00Z");
    fixture.save_card(GOOD).await;
    let invoice = fixture.invoice(now).await;
    fixture.stripe.pause().unwrap();
    let looked = tokio::time::timeout(std::time::Duration::from_millis(300), fixture.look(now)).await;
    assert!(looked.is_err(), "the process was stopped while it waited for the answer");
    fixture.stripe.resume().unwrap();
    fixture.look(now.plus_seconds(61)).await;
    fixture.assert_paid_once(&invoice).await;
}
