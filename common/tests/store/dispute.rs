//! Disputes: each movement is posted once, a lost one opens the invoice again, and nobody is dunned
//! meanwhile.

use common::{
    invoice::InvoiceStatus,
    ledger::Account,
    money::{Currency, Money},
    payment::{Dispute, DisputeFilter, DisputeMovement, DisputeStatus, NewPayment, PaymentAttempt, ToldDispute},
    store::{PageRequest, Store},
};

use crate::{
    fixture::{Fixture, NOW, on_both_engines},
    invoice::{balance, usd},
    payment_attempt::{attempt, succeeded},
};

on_both_engines!(
    dispute_that_is_won_gives_the_money_back_but_its_fee,
    dispute_that_is_lost_opens_the_invoice_again,
    dispute_ends_alike_in_whatever_order_it_is_told,
    dispute_of_an_inquiry_moves_nothing,
    dispute_of_an_unknown_payment_is_nobodys,
    dispute_beyond_the_payment_and_of_a_given_up_invoice_is_written_off,
    dispute_in_another_currency_posts_the_amount_in_that_of_the_payment,
);

fn movement(id: &str, amount: i64, fee: i64) -> DisputeMovement {
    DisputeMovement { id: id.into(), amount: usd(amount), fee: usd(fee) }
}

fn told(status: DisputeStatus, movements: &[DisputeMovement]) -> ToldDispute {
    ToldDispute {
        id: "dp_1".into(),
        intent: "pi_1".into(),
        amount: usd(1_000),
        status,
        reason: "fraudulent".into(),
        evidence_due_at: None,
        opened_at: NOW,
        movements: movements.to_vec(),
    }
}

async fn paid(fixture: &Fixture) -> (Store, PaymentAttempt) {
    let (store, attempt) = attempt(fixture).await;
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    store.follow_payment(attempt.id, &succeeded(1_000), NOW).await.unwrap();
    (store, attempt)
}

async fn follow(store: &Store, attempt: &PaymentAttempt, told: &ToldDispute) -> Dispute {
    store.follow_dispute(attempt.issuer, "stripe", told, NOW).await.unwrap().unwrap()
}

async fn balances(store: &Store, attempt: &PaymentAttempt) -> [i64; 4] {
    let mut found = [0; 4];
    let accounts = [Account::Cash, Account::Disputed, Account::Fees, Account::Receivable];
    for (balance_of, account) in found.iter_mut().zip(accounts) {
        *balance_of = balance(store, attempt.tenant, account).await;
    }
    found
}

async fn assert_books_balance(store: &Store) {
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    assert_eq!(store.invoice_faults().await.unwrap(), []);
    assert_eq!(store.dispute_faults().await.unwrap(), []);
}

async fn dispute_that_is_won_gives_the_money_back_but_its_fee(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let taken = movement("txn_1", -1_000, 1_500);
    for _ in 0..2 {
        let open = follow(&store, &attempt, &told(DisputeStatus::Open, std::slice::from_ref(&taken))).await;
        assert_eq!((open.status, open.check_at.is_some()), (DisputeStatus::Open, true));
        assert_eq!(balances(&store, &attempt).await, [-1_500, 1_000, 1_500, 0]);
        assert_books_balance(&store).await;
    }
    let unpaid = store.invoice(attempt.invoice).await.unwrap();
    assert_eq!((unpaid.status, unpaid.open), (InvoiceStatus::Paid, usd(0)), "nothing is decided");
    // Won, and the money is not there yet.
    let won = follow(&store, &attempt, &told(DisputeStatus::Won, std::slice::from_ref(&taken))).await;
    assert!(won.closed_at.is_some() && won.check_at.is_some());
    assert_books_balance(&store).await;
    let back = told(DisputeStatus::Won, &[taken, movement("txn_2", 1_000, 0)]);
    for _ in 0..2 {
        assert_eq!(follow(&store, &attempt, &back).await.check_at, None);
        assert_eq!(balances(&store, &attempt).await, [-500, 0, 1_500, 0]);
        assert_books_balance(&store).await;
    }
    for (told, count) in [
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.disputed'", 1),
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.dispute_closed'", 1),
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.refunded'", 0),
    ] {
        assert_eq!(fixture.number(told).await, count, "{told}");
    }
}

async fn dispute_that_is_lost_opens_the_invoice_again(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let taken = movement("txn_1", -1_000, 1_500);
    let dispute = follow(&store, &attempt, &told(DisputeStatus::Open, std::slice::from_ref(&taken))).await;
    // Another invoice of the tenant is not dunned while a dispute is open.
    let lost = told(DisputeStatus::Lost, &[taken]);
    for _ in 0..3 {
        assert_eq!(follow(&store, &attempt, &lost).await.check_at, None);
    }
    assert_eq!(balances(&store, &attempt).await, [-1_500, 0, 1_500, 1_000]);
    let open = store.invoice(attempt.invoice).await.unwrap();
    assert_eq!((open.status, open.open), (InvoiceStatus::Finalized, usd(1_000)));
    let payments = store.payments(attempt.invoice).await.unwrap();
    assert_eq!((payments.len(), payments[1].refund_of), (2, Some(payments[0].id)));
    assert_books_balance(&store).await;
    let unpaid = store.unpaid_invoices(0).await.unwrap().remove(0);
    assert_eq!((unpaid.taken_back_at, unpaid.campaign_start(), unpaid.on_hold), (Some(NOW), NOW, false));
    let listed = store.disputes(DisputeFilter::default(), PageRequest { after: None, limit: 9 }).await.unwrap().items;
    assert_eq!(listed.iter().map(|one| (one.id, one.status)).collect::<Vec<_>>(), [(dispute.id, DisputeStatus::Lost)]);
    // It is paid another way.
    let transfer = NewPayment {
        invoice: attempt.invoice,
        amount: usd(1_000),
        method: "bank_transfer".into(),
        reference: "1".into(),
        received_at: NOW,
    };
    store.record_payment(&transfer, NOW).await.unwrap();
    assert_eq!(store.invoice(attempt.invoice).await.unwrap().status, InvoiceStatus::Paid);
    assert_books_balance(&store).await;
}

async fn dispute_ends_alike_in_whatever_order_it_is_told(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let taken = movement("txn_1", -1_000, 1_500);
    let steps = [
        told(DisputeStatus::Lost, &[]),
        told(DisputeStatus::Open, std::slice::from_ref(&taken)),
        told(DisputeStatus::Inquiry, &[]),
        told(DisputeStatus::Lost, &[taken]),
    ];
    let first = follow(&store, &attempt, &steps[0]).await;
    assert_eq!((first.status, first.check_at), (DisputeStatus::Lost, None), "nothing was taken that is to go back");
    for step in &steps[1..] {
        follow(&store, &attempt, step).await;
        assert_books_balance(&store).await;
    }
    assert_eq!(balances(&store, &attempt).await, [-1_500, 0, 1_500, 1_000]);
    assert_eq!(store.invoice(attempt.invoice).await.unwrap().open, usd(1_000));
    // Even what was lost may be given back.
    let given_back = told(DisputeStatus::Lost, &[movement("txn_1", -1_000, 1_500), movement("txn_2", 1_000, 0)]);
    for _ in 0..2 {
        follow(&store, &attempt, &given_back).await;
    }
    assert_eq!(balances(&store, &attempt).await, [-500, 0, 1_500, 1_000]);
    assert_eq!(balance(&store, attempt.tenant, Account::WriteOff).await, -1_000);
    assert_books_balance(&store).await;
}

async fn dispute_of_an_inquiry_moves_nothing(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let asked = follow(&store, &attempt, &told(DisputeStatus::Inquiry, &[])).await;
    assert_eq!((asked.status, asked.check_at.is_some()), (DisputeStatus::Inquiry, true));
    assert_eq!(store.due_disputes(NOW.plus_seconds(6 * 3_600), 9).await.unwrap().len(), 1);
    let closed = follow(&store, &attempt, &told(DisputeStatus::Won, &[])).await;
    assert_eq!((closed.closed_at, closed.check_at), (Some(NOW), None));
    assert_eq!(balances(&store, &attempt).await, [1_000, 0, 0, 0]);
}

async fn dispute_of_an_unknown_payment_is_nobodys(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let other = ToldDispute { intent: "pi_9".into(), ..told(DisputeStatus::Open, &[]) };
    assert_eq!(store.follow_dispute(attempt.issuer, "stripe", &other, NOW).await.unwrap(), None);
    let elsewhere = told(DisputeStatus::Open, &[]);
    assert_eq!(store.follow_dispute(attempt.tenant, "stripe", &elsewhere, NOW).await.unwrap(), None, "another account");
    assert_eq!(fixture.number("SELECT COUNT(*) FROM disputes").await, 0);
}

async fn dispute_beyond_the_payment_and_of_a_given_up_invoice_is_written_off(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    // 4.00 of the charge went into the wallet.
    store.follow_payment(attempt.id, &succeeded(1_400), NOW).await.unwrap();
    let lost = ToldDispute { amount: usd(1_400), ..told(DisputeStatus::Lost, &[movement("txn_1", -1_400, 0)]) };
    follow(&store, &attempt, &lost).await;
    assert_eq!(store.invoice(attempt.invoice).await.unwrap().open, usd(1_000));
    assert_eq!(balance(&store, attempt.tenant, Account::WriteOff).await, 400);
    assert_books_balance(&store).await;
}

async fn dispute_in_another_currency_posts_the_amount_in_that_of_the_payment(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let eur = |minor| Money::from_minor(minor, Currency::EUR);
    let taken = DisputeMovement { id: "txn_1".into(), amount: eur(-920), fee: eur(1_500) };
    follow(&store, &attempt, &told(DisputeStatus::Open, &[taken])).await;
    let found = balances(&store, &attempt).await;
    assert_eq!((found[1], found[3]), (1_000, 0));
    assert_books_balance(&store).await;
}
