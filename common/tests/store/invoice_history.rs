//! Random histories of invoices, payments, credit notes and refunds.

use common::{invoice::Invoice, ledger::Account, store::Store, time::Micros};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    fixture::{Fixture, NOW, customer, on_both_engines, root},
    invoice::{balance, bill, credit, finalized, line, transfer, usd, with_tax},
};

on_both_engines!(any_history_keeps_invoices_and_ledger_in_agreement);

/// Makes a random step; most are refused now and then, and change nothing then.
async fn step(store: &Store, random: &mut StdRng, invoices: &[Invoice], now: Micros) {
    let invoice = &invoices[random.random_range(0..invoices.len())];
    let minor = random.random_range(1..1_500);
    match random.random_range(0..12) {
        0..4 => {
            let new = transfer(invoice.id, minor, &random.random_range(0..60).to_string());
            let _ = store.record_payment(&new, now).await;
        }
        4..7 => {
            let _ = credit(store, invoice.id, &[(random.random_range(0..2), minor)]).await;
        }
        7 => {
            let _ = credit(store, invoice.id, &[]).await;
        }
        8..10 => {
            let payments = store.payments(invoice.id).await.unwrap();
            if let Some(payment) = payments.first() {
                let reference = format!("back {}", random.random_range(0..9));
                let _ = store.refund_payment(payment.id, usd(minor), &reference, now).await;
            }
        }
        10 => drop(store.void_invoice(invoice.id, "random", now).await),
        _ => drop(store.write_off_invoice(invoice.id, "random", now).await),
    }
}

async fn any_history_keeps_invoices_and_ledger_in_agreement(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    for seed in 0..6 {
        let tenant = customer(&store, issuer).await;
        with_tax(&store, tenant).await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut invoices = Vec::new();
        for month in 0..4 {
            let lines =
                vec![line(random.random_range(0..3_000), None), line(random.random_range(0..900), Some("books"))];
            invoices.push(finalized(&store, &bill(issuer, tenant, month, lines)).await);
        }
        for _ in 0..60 {
            step(&store, &mut random, &invoices, NOW).await;
            let mut open = 0;
            for invoice in &invoices {
                let invoice = store.invoice(invoice.id).await.unwrap();
                open += invoice.open.minor();
                let credited: i64 =
                    store.credit_notes(invoice.id).await.unwrap().iter().map(|note| note.total.minor()).sum();
                assert!(credited <= invoice.total.minor(), "seed {seed}");
                assert!(invoice.open.minor() <= invoice.total.minor(), "seed {seed}");
            }
            assert_eq!(balance(&store, tenant, Account::Receivable).await, open, "seed {seed}");
        }
        let sum: i64 = store.balances(tenant).await.unwrap().iter().map(|balance| balance.amount.minor()).sum();
        assert_eq!(sum, 0, "seed {seed}");
    }
    assert!(store.ledger_faults().await.unwrap().is_empty());
    assert_eq!(store.invoice_faults().await.unwrap(), []);
}
