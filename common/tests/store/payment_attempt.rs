//! Attempts to collect payments: written before the provider hears of them, and paid once.

use common::{
    dunning::{CampaignStep, DunningAction, DunningPolicy},
    id::PaymentAttemptId,
    invoice::{BillingDetails, InvoiceStatus, NewInvoice, PinnedPlan},
    money::{Currency, Money},
    payment::{AttemptFailure, AttemptStatus, IntentState, NewPayment, NewProviderEvent, PaymentAttempt, SavedMethod},
    store::{Store, StoreError},
};

use crate::{
    fixture::{Fixture, NOW, assert_conflict, customer, on_both_engines, root},
    invoice::{bill, finalized, line, usd},
};

on_both_engines!(
    invoice_has_one_attempt_at_a_time,
    attempt_pays_once_whatever_is_told_and_however_often,
    charge_beyond_what_is_open_goes_to_the_wallet,
    event_is_kept_once_and_handled_until_it_was,
    campaign_of_the_plan_counts_before_that_of_the_issuer,
    suspension_is_in_the_change_log_and_ends_with_the_payment,
    figures_count_attempts_events_and_tenants_that_are_refused,
);

const CARD: &str = "pm_1";

pub(crate) async fn attempt(fixture: &Fixture) -> (Store, PaymentAttempt) {
    let store = fixture.store().await;
    let (root, now) = (root(&store).await.id, NOW);
    let tenant = customer(&store, root).await;
    let invoice = finalized(&store, &bill(root, tenant, 0, vec![line(1_000, None)])).await;
    let sides = (root, tenant);
    assert_conflict(store.begin_payment(invoice.id, "stripe", now, now).await, "has saved no payment method");
    let saved = SavedMethod { id: CARD.into(), label: "visa 4242".into() };
    store.save_payment_account(sides, "stripe", "cus_1", Some(&saved), now).await.unwrap();
    let attempt = store.begin_payment(invoice.id, "stripe", now, now).await.unwrap();
    (store, attempt)
}

pub(crate) fn succeeded(minor: i64) -> IntentState {
    IntentState::Succeeded(Money::from_minor(minor, Currency::USD))
}

fn failed() -> IntentState {
    IntentState::Failed(AttemptFailure { code: "insufficient_funds".into(), is_final: false })
}

async fn invoice_has_one_attempt_at_a_time(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    assert_eq!((attempt.amount, attempt.method.as_str()), (usd(1_000), CARD));
    let again = store.begin_payment(attempt.invoice, "stripe", NOW.plus_seconds(1), NOW.plus_seconds(1)).await.unwrap();
    assert_eq!(again.id, attempt.id);
    assert_eq!(store.due_payment_attempts(NOW.plus_seconds(59), 9).await.unwrap(), []);
    assert_eq!(store.due_payment_attempts(NOW.plus_seconds(60), 9).await.unwrap().len(), 1);
    store.delay_payment(attempt.id, NOW.plus_seconds(60)).await.unwrap();
    assert_eq!(store.due_payment_attempts(NOW.plus_seconds(60), 9).await.unwrap(), []);
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    assert_conflict(store.name_intent(attempt.id, "pi_2", NOW).await, "and not pi_2");
    store.follow_payment(attempt.id, &failed(), NOW).await.unwrap();
    let next = store.begin_payment(attempt.invoice, "stripe", NOW.plus_seconds(2), NOW.plus_seconds(2)).await.unwrap();
    assert_ne!(next.id, attempt.id, "one that failed makes room");
    let unknown = store.payment_attempt(PaymentAttemptId::generate()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

async fn attempt_pays_once_whatever_is_told_and_however_often(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    let told = [
        IntentState::Processing,
        IntentState::ActionRequired(Some("https://bank.example.com".into())),
        IntentState::ActionRequired(Some("https://bank.example.com".into())),
        failed(),
        IntentState::Processing,
        succeeded(1_000),
        failed(),
        succeeded(1_000),
        IntentState::ActionRequired(None),
    ];
    for state in &told {
        store.follow_payment(attempt.id, state, NOW).await.unwrap();
    }
    let after = store.payment_attempt(attempt.id).await.unwrap();
    assert_eq!((after.status, after.check_at), (AttemptStatus::Succeeded, None));
    let invoice = store.invoice(attempt.invoice).await.unwrap();
    assert_eq!((invoice.status, invoice.open), (InvoiceStatus::Paid, usd(0)));
    let payments = store.payments(attempt.invoice).await.unwrap();
    assert_eq!((payments.len(), payments[0].method.as_str(), payments[0].reference.as_str()), (1, "stripe", "pi_1"));
    assert_conflict(store.begin_payment(attempt.invoice, "stripe", NOW, NOW).await, "nothing is to be paid");
    for (told, count) in [
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.action_required'", 1),
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.failed'", 1),
        ("SELECT COUNT(*) FROM events WHERE type = 'payment.succeeded'", 1),
        ("SELECT COUNT(*) FROM events WHERE type = 'invoice.paid'", 1),
    ] {
        assert_eq!(fixture.number(told).await, count, "{told}");
    }
    assert_eq!(store.ledger_faults().await.unwrap(), []);
}

async fn charge_beyond_what_is_open_goes_to_the_wallet(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    let transfer = NewPayment {
        invoice: attempt.invoice,
        amount: usd(400),
        method: "bank_transfer".into(),
        reference: "1".into(),
        received_at: NOW,
    };
    store.record_payment(&transfer, NOW).await.unwrap();
    store.follow_payment(attempt.id, &succeeded(1_000), NOW).await.unwrap();
    assert_eq!(store.invoice(attempt.invoice).await.unwrap().status, InvoiceStatus::Paid);
    assert_eq!(store.wallets(attempt.tenant, NOW).await.unwrap()[0].balance, usd(400));
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    assert_eq!(store.wallet_faults().await.unwrap(), []);
    assert_eq!(store.invoice_faults().await.unwrap(), []);
}

async fn event_is_kept_once_and_handled_until_it_was(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let event = NewProviderEvent {
        provider: "stripe".into(),
        issuer,
        id: "evt_1".into(),
        kind: "odd".into(),
        body: "{}".into(),
    };
    assert!(store.keep_provider_event(&event, NOW).await.unwrap());
    assert!(store.keep_provider_event(&event, NOW.plus_seconds(9)).await.unwrap(), "it was not handled");
    let second = NewProviderEvent { id: "Evt_0".into(), ..event.clone() };
    assert!(store.keep_provider_event(&second, NOW).await.unwrap());
    let open = store.open_provider_events(NOW, None, 1).await.unwrap();
    let rest = store.open_provider_events(NOW, open.first(), 9).await.unwrap();
    let mut ids: Vec<_> = open.iter().chain(&rest).map(|kept| kept.event.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!((open.len(), ids), (1, vec!["Evt_0", "evt_1"]), "each page goes on where the last one ended");
    assert_eq!(store.open_provider_events(NOW, rest.last(), 9).await.unwrap(), []);
    assert!(open.iter().chain(&rest).all(|kept| kept.received_at == NOW), "the first time counts");
    store.finish_provider_event(&second, "nothing follows", NOW).await.unwrap();
    let open = store.open_provider_events(NOW, None, 9).await.unwrap();
    assert_eq!((open.len(), &open[0].event), (1, &event));
    store.finish_provider_event(&event, "nothing follows", NOW).await.unwrap();
    assert_eq!(store.open_provider_events(NOW, None, 9).await.unwrap(), []);
    assert!(!store.keep_provider_event(&event, NOW).await.unwrap());
}

async fn campaign_of_the_plan_counts_before_that_of_the_issuer(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    let plan = PinnedPlan { owner: attempt.issuer, id: "growth".parse().unwrap(), name: "Growth".into(), version: 1 };
    let new = bill(attempt.issuer, attempt.tenant, 1, vec![line(500, None)]);
    finalized(&store, &NewInvoice { plan: Some(plan), ..new }).await;
    let policy = |days: &[u32]| DunningPolicy { days: days.to_vec(), ..DunningPolicy::default() };
    let days = async |issuer: Option<DunningPolicy>, plans: &[(&str, DunningPolicy)]| {
        let dunning_of_plans = plans.iter().map(|(plan, policy)| ((*plan).to_owned(), policy.clone())).collect();
        let details = BillingDetails { dunning: issuer, dunning_of_plans, ..BillingDetails::default() };
        store.set_billing_details(attempt.issuer, &details, NOW).await.unwrap();
        let unpaid = store.unpaid_invoices(0).await.unwrap();
        unpaid.into_iter().map(|invoice| invoice.policy.map(|policy| policy.days)).collect::<Vec<_>>()
    };
    // The first invoice has no plan, the second that of the test.
    assert_eq!(days(None, &[]).await, [None, None]);
    assert_eq!(days(Some(policy(&[1])), &[]).await, [Some(vec![1]), Some(vec![1])]);
    let growth = [("growth", policy(&[9])), ("starter", policy(&[8]))];
    assert_eq!(days(Some(policy(&[1])), &growth).await, [Some(vec![1]), Some(vec![9])]);
    assert_eq!(days(None, &growth).await, [None, Some(vec![9])]);
}

async fn suspension_is_in_the_change_log_and_ends_with_the_payment(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    let unpaid = store.unpaid_invoices(0).await.unwrap().remove(0);
    assert_eq!((unpaid.attempts, unpaid.is_attempted, unpaid.failed_at), (1, true, None));
    let step = |number| CampaignStep { number, at: NOW, action: DunningAction::Suspend };
    let before = store.catalog().await.unwrap().seq;
    assert!(store.take_dunning_step(&unpaid, step(4), None, NOW).await.unwrap().is_some());
    assert_eq!(store.take_dunning_step(&unpaid, step(4), None, NOW).await.unwrap(), None, "a step is taken once");
    let catalog = store.catalog().await.unwrap();
    assert!(catalog.seq > before, "gateways are told");
    let tenant = catalog.tenants.iter().find(|tenant| tenant.id == attempt.tenant).unwrap();
    assert_eq!(tenant.unpaid.as_ref().map(|unpaid| unpaid.invoice), Some(attempt.invoice));
    store.name_intent(attempt.id, "pi_1", NOW).await.unwrap();
    store.follow_payment(attempt.id, &succeeded(1_000), NOW).await.unwrap();
    assert_eq!(store.tenant(attempt.tenant).await.unwrap().unpaid, None);
    assert!(store.catalog().await.unwrap().seq > catalog.seq);
    assert_eq!(store.take_dunning_step(&unpaid, step(5), None, NOW).await.unwrap(), None, "it is paid");
    let steps = store.dunning_steps(attempt.invoice).await.unwrap();
    assert_eq!(steps.iter().map(|step| step.number).collect::<Vec<_>>(), [4]);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM events WHERE type = 'invoice.unpaid'").await, 1, "told once");
}

async fn figures_count_attempts_events_and_tenants_that_are_refused(fixture: Fixture) {
    let (store, attempt) = attempt(&fixture).await;
    store.follow_payment(attempt.id, &failed(), NOW).await.unwrap();
    let unpaid = store.unpaid_invoices(0).await.unwrap().remove(0);
    let step = CampaignStep { number: 1, at: NOW, action: DunningAction::Suspend };
    assert!(store.take_dunning_step(&unpaid, step, None, NOW).await.unwrap().is_some());
    store.begin_payment(attempt.invoice, "stripe", NOW.plus_seconds(60), NOW.plus_seconds(60)).await.unwrap();
    let event = NewProviderEvent {
        provider: "stripe".into(),
        issuer: attempt.issuer,
        id: "evt_1".into(),
        kind: "odd".into(),
        body: "{}".into(),
    };
    store.keep_provider_event(&event, NOW).await.unwrap();

    let figures = store.money_figures(NOW).await.unwrap();
    let finalized = store.invoice(attempt.invoice).await.unwrap().finalized_at;
    let attempts = [(AttemptStatus::Created, 1), (AttemptStatus::Failed, 1)];
    assert_eq!(figures.attempts, attempts.into());
    assert_eq!((figures.unhandled_events, figures.unpaid_tenants), (1, 1));
    assert_eq!(figures.last_finalized, Some(finalized));
    let later = store.money_figures(NOW.plus_seconds(1)).await.unwrap();
    assert_eq!(later.attempts, [(AttemptStatus::Created, 1)].into(), "earlier attempts do not count");
}
