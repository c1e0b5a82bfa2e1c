//! Payouts: posted once, with everything that they consist of.

use common::{
    ledger::Account,
    money::Money,
    payment::{
        DisputeMovement, DisputeStatus, PaymentAttempt, Payout, PayoutFilter, PayoutItemKind, PayoutStatus,
        ToldDispute, ToldPayout, ToldPayoutItem,
    },
    store::{PageRequest, Store},
    time::Micros,
};

use crate::{
    fixture::{Fixture, NOW, on_both_engines},
    invoice::{balance, usd},
    payment_attempt::{attempt, succeeded},
};

on_both_engines!(
    payout_moves_each_item_from_where_it_was_to_the_bank,
    payout_with_an_item_that_nothing_explains_says_so,
    payout_that_the_bank_refuses_leaves_it_again,
    payout_by_hand_has_no_items,
);

const ISSUER_ACCOUNTS: [Account; 4] = [Account::Bank, Account::Cash, Account::Fees, Account::Unmatched];

fn item(id: &str, kind: PayoutItemKind, source: &str, amount: i64, fee: i64) -> ToldPayoutItem {
    let source = (!source.is_empty()).then(|| source.to_owned());
    ToldPayoutItem { id: id.into(), kind, source, amount: usd(amount), fee: usd(fee) }
}

fn told(status: PayoutStatus, amount: i64, items: Option<Vec<ToldPayoutItem>>) -> ToldPayout {
    ToldPayout { id: "po_1".into(), amount: usd(amount), status, arrives_at: NOW, created_at: NOW, items }
}

/// A payment of 10.00 by the intent `pi_1`.
async fn paid(fixture: &Fixture) -> (Store, PaymentAttempt) {
    let (store, attempt) = attempt(fixture).await;
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    store.follow_payment(attempt.id, &succeeded(1_000), NOW).await.unwrap();
    (store, attempt)
}

async fn follow(store: &Store, attempt: &PaymentAttempt, told: &ToldPayout, now: Micros) -> Payout {
    let payout = store.follow_payout(attempt.issuer, "stripe", told, now).await.unwrap();
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    payout
}

async fn balances(store: &Store, attempt: &PaymentAttempt) -> [i64; 4] {
    let mut found = [0; 4];
    for (found, account) in found.iter_mut().zip(ISSUER_ACCOUNTS) {
        *found = balance(store, attempt.issuer, account).await;
    }
    found
}

async fn payout_moves_each_item_from_where_it_was_to_the_bank(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let dispute = ToldDispute {
        id: "dp_1".into(),
        intent: "pi_1".into(),
        amount: usd(1_000),
        status: DisputeStatus::Open,
        reason: "fraudulent".into(),
        evidence_due_at: None,
        opened_at: NOW,
        movements: vec![DisputeMovement { id: "txn_3".into(), amount: usd(-1_000), fee: usd(1_500) }],
    };
    store.follow_dispute(attempt.issuer, "stripe", &dispute, NOW).await.unwrap().unwrap();
    assert_eq!(balance(&store, attempt.tenant, Account::Cash).await, -1_500);
    let on_its_way = follow(&store, &attempt, &told(PayoutStatus::InTransit, -1_565, None), NOW).await;
    assert_eq!((on_its_way.reconciled_at, on_its_way.check_at.is_some()), (None, true));
    let items = vec![
        item("txn_1", PayoutItemKind::Payment, "pi_1", 1_000, 60),
        item("txn_2", PayoutItemKind::Fee, "", -5, 0),
        item("txn_3", PayoutItemKind::Dispute, "dp_1", -1_000, 1_500),
    ];
    let arrived = told(PayoutStatus::Paid, -1_565, Some(items));
    for _ in 0..2 {
        let payout = follow(&store, &attempt, &arrived, NOW).await;
        assert_eq!((payout.unmatched, payout.reconciled_at, payout.id), (0, Some(NOW), on_its_way.id));
        // Of the payment 10.00 leave `cash`, and of the dispute 25.00 come back to it; 0.65 are fees.
        assert_eq!(balances(&store, &attempt).await, [-1_565, 1_500, 65, 0]);
    }
    let matched: Vec<_> = store.payout_items(on_its_way.id).await.unwrap();
    assert!(matched.iter().all(|item| item.matched.is_some() && item.note.is_none()), "{matched:?}");
    let listed = store.payouts(PayoutFilter::default(), PageRequest { after: None, limit: 9 }).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    // A bank may refuse it for some days.
    let later = follow(&store, &attempt, &arrived, NOW.plus_seconds(8 * 86_400)).await;
    assert_eq!(later.check_at, None);
}

async fn payout_with_an_item_that_nothing_explains_says_so(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let items = vec![
        item("txn_1", PayoutItemKind::Payment, "pi_1", 1_001, 0),
        item("txn_2", PayoutItemKind::Payment, "pi_2", 500, 20),
        item("txn_3", PayoutItemKind::Other, "", 7, 0),
        item("txn_4", PayoutItemKind::Payout, "po_9", 9, 0),
    ];
    // The items do not even sum to it.
    let payout = follow(&store, &attempt, &told(PayoutStatus::Paid, 1_500, Some(items)), NOW).await;
    assert_eq!(payout.unmatched, 4);
    assert_eq!(balances(&store, &attempt).await, [1_500, 0, 0, -1_500]);
    let notes: Vec<_> = store.payout_items(payout.id).await.unwrap().into_iter().filter_map(|item| item.note).collect();
    assert!(notes[0].ends_with("has another amount"), "{notes:?}");
    assert_eq!(notes[1], "nothing here is called pi_2");
    let only = PayoutFilter { unmatched: true, ..PayoutFilter::default() };
    assert_eq!(store.payouts(only, PageRequest { after: None, limit: 9 }).await.unwrap().items.len(), 1);
}

async fn payout_that_the_bank_refuses_leaves_it_again(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let items = || Some(vec![item("txn_1", PayoutItemKind::Payment, "pi_1", 1_000, 60)]);
    follow(&store, &attempt, &told(PayoutStatus::Paid, 940, items()), NOW).await;
    assert_eq!(balances(&store, &attempt).await, [940, -1_000, 60, 0]);
    for _ in 0..2 {
        let failed = follow(&store, &attempt, &told(PayoutStatus::Failed, 940, items()), NOW).await;
        assert_eq!((failed.status, failed.check_at), (PayoutStatus::Failed, None));
        assert_eq!(balances(&store, &attempt).await, [0, -60, 60, 0]);
    }
    // The next one brings it.
    let again = ToldPayout {
        id: "po_2".into(),
        ..told(PayoutStatus::Paid, 940, Some(vec![item("txn_2", PayoutItemKind::Payout, "po_1", 940, 0)]))
    };
    assert_eq!(follow(&store, &attempt, &again, NOW).await.unmatched, 0);
    assert_eq!(balances(&store, &attempt).await, [940, -1_000, 60, 0]);
}

async fn payout_by_hand_has_no_items(fixture: Fixture) {
    let (store, attempt) = paid(&fixture).await;
    let payout = follow(&store, &attempt, &told(PayoutStatus::Paid, 900, Some(Vec::new())), NOW).await;
    assert_eq!(payout.amount, Money::from_minor(900, payout.amount.currency()));
    assert_eq!(balances(&store, &attempt).await, [900, -900, 0, 0]);
}
