//! The ledger: what is posted stays, once, and adds up.

use common::{
    acting::Scope,
    id::TenantId,
    ledger::{Account, Balance, Cause, CauseKind, Posted, Posting},
    money::{Currency, Money},
    store::{PageRequest, Store, StoreError},
    tenant::TenantKind,
    time::Micros,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::fixture::{Fixture, NOW, acting_person, new_tenant, on_both_engines, root};

on_both_engines!(
    posting_is_in_the_ledger_once,
    concurrent_postings_of_one_cause_are_one,
    posted_rows_never_change,
    balances_are_sums_of_entries,
    statement_comes_in_pages,
    accounts_of_others_are_not_there,
    faults_of_the_ledger_are_found,
    any_history_leaves_the_ledger_balanced,
);

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD)
}

fn invoice(issuer: TenantId, tenant: TenantId, number: u32, net: i64, tax: i64) -> Posting {
    let entries = [(Account::Receivable, usd(net + tax)), (Account::Revenue, usd(-net)), (Account::Tax, usd(-tax))];
    let cause = Cause { kind: CauseKind::Invoice, id: format!("inv_{number}") };
    Posting::new((issuer, tenant), format!("invoice:{number}"), cause, NOW, &entries).unwrap()
}

fn payment(issuer: TenantId, tenant: TenantId, reference: &str, minor: i64) -> Posting {
    let entries = [(Account::Cash, usd(minor)), (Account::Receivable, usd(-minor))];
    let cause = Cause { kind: CauseKind::Payment, id: reference.into() };
    Posting::new((issuer, tenant), format!("payment:{reference}"), cause, NOW, &entries).unwrap()
}

async fn two(store: &Store) -> (TenantId, TenantId) {
    let issuer = root(store).await.id;
    let customer = store.create_tenant(&new_tenant(TenantKind::Customer, Some(issuer)), NOW).await.unwrap().id;
    (issuer, customer)
}

fn balances(found: &[Balance]) -> Vec<(Account, i64)> {
    found.iter().map(|balance| (balance.account, balance.amount.minor())).collect()
}

async fn posting_is_in_the_ledger_once(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    let posting = invoice(issuer, customer, 1, 10_000, 1_900);
    assert_eq!(store.post(&posting).await.unwrap(), Posted::New);
    assert_eq!(store.post(&posting).await.unwrap(), Posted::Before);
    let error = store.post(&invoice(issuer, customer, 1, 10_001, 1_900)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(reason) if reason.contains("`invoice:1`")), "{error}");
    let expected = [(Account::Receivable, 11_900), (Account::Revenue, -10_000), (Account::Tax, -1_900)];
    assert_eq!(balances(&store.balances(customer).await.unwrap()), expected);
}

async fn concurrent_postings_of_one_cause_are_one(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    let mut posting = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (store, posted) = (store.clone(), payment(issuer, customer, &format!("tr_{}", number / 4), 500));
        posting.spawn(async move { store.post(&posted).await.unwrap() });
    }
    let posted = posting.join_all().await;
    assert_eq!(posted.iter().filter(|one| **one == Posted::New).count(), 3);
    let expected = [(Account::Cash, 1_500), (Account::Receivable, -1_500)];
    assert_eq!(balances(&store.balances(customer).await.unwrap()), expected);
}

async fn posted_rows_never_change(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    store.post(&invoice(issuer, customer, 1, 100, 19)).await.unwrap();
    for statement in [
        "UPDATE ledger_entries SET amount = amount + 1",
        "DELETE FROM ledger_entries",
        "UPDATE ledger_postings SET at = 0",
        "DELETE FROM ledger_postings",
    ] {
        let error = fixture.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    assert_eq!(store.balances(customer).await.unwrap().len(), 3);
}

async fn balances_are_sums_of_entries(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    let other = store.create_tenant(&new_tenant(TenantKind::Customer, Some(issuer)), NOW).await.unwrap().id;
    for posting in [
        invoice(issuer, customer, 1, 10_000, 1_900),
        invoice(issuer, other, 2, 500, 95),
        payment(issuer, customer, "tr_1", 11_900),
        payment(issuer, other, "tr_2", 300),
    ] {
        store.post(&posting).await.unwrap();
    }
    let expected = [(Account::Cash, 300), (Account::Receivable, 295), (Account::Revenue, -500), (Account::Tax, -95)];
    assert_eq!(balances(&store.balances(other).await.unwrap()), expected);
    let trial = balances(&store.trial_balance(issuer, None).await.unwrap());
    let expected =
        [(Account::Cash, 12_200), (Account::Receivable, 295), (Account::Revenue, -10_500), (Account::Tax, -1_995)];
    assert_eq!(trial, expected);
    assert_eq!(store.trial_balance(issuer, Some(NOW)).await.unwrap(), []);
}

async fn statement_comes_in_pages(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    for number in 0..3 {
        store.post(&invoice(issuer, customer, number, 100, 19)).await.unwrap();
        store.post(&payment(issuer, customer, &number.to_string(), 119)).await.unwrap();
    }
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = store.statement(customer, None, PageRequest { after, limit: 4 }).await.unwrap();
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 15);
    assert!(found.is_sorted_by_key(|line| line.seq));
    assert_eq!(found.iter().map(|line| line.amount.minor()).sum::<i64>(), 0);
    let all = PageRequest { after: None, limit: 100 };
    let cash = store.statement(customer, Some(Account::Cash), all).await.unwrap().items;
    assert_eq!(cash.iter().map(|line| line.cause.id.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
}

async fn accounts_of_others_are_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    store.post(&invoice(issuer, customer, 1, 100, 19)).await.unwrap();
    let theirs = store.acting_as(acting_person("anna", Scope::Subtree(customer)));
    assert_eq!(theirs.balances(customer).await.unwrap().len(), 3);
    for error in [theirs.balances(issuer).await.unwrap_err(), theirs.trial_balance(issuer, None).await.unwrap_err()] {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
}

async fn faults_of_the_ledger_are_found(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    store.post(&invoice(issuer, customer, 1, 100, 19)).await.unwrap();
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    fixture
        .execute(
            "INSERT INTO ledger_postings (idempotency_key, issuer_id, tenant_id, currency, cause_kind, cause_id, at) \
             SELECT 'forged', issuer_id, tenant_id, currency, cause_kind, cause_id, at FROM ledger_postings; \
             INSERT INTO ledger_entries (posting_seq, place, account, amount) \
             SELECT seq, 0, 'revenue', -500 FROM ledger_postings WHERE idempotency_key = 'forged'",
        )
        .await
        .unwrap();
    let faults = store.ledger_faults().await.unwrap();
    assert_eq!(faults.len(), 1);
    let told = faults[0].to_string();
    assert!(told.contains("(`forged`) has 1 entries that sum to -5.00 USD"), "{told}");
}

async fn any_history_leaves_the_ledger_balanced(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, customer) = two(&store).await;
    let mut random = StdRng::seed_from_u64(15);
    let mut owed = 0;
    for number in 0..60 {
        let (net, tax) = (random.random_range(1..100_000), random.random_range(0..20_000));
        let posting = match random.random_range(0..3) {
            0 | 1 => invoice(issuer, customer, number, net, tax),
            _ => payment(issuer, customer, &number.to_string(), net),
        };
        owed += posting
            .entries()
            .iter()
            .filter(|entry| entry.account == Account::Receivable)
            .map(|entry| entry.amount.minor())
            .sum::<i64>();
        for _ in 0..random.random_range(1..3) {
            store.post(&posting).await.unwrap();
        }
    }
    let trial = store.trial_balance(issuer, Some(Micros(i64::MAX))).await.unwrap();
    assert_eq!(trial.iter().map(|balance| balance.amount.minor()).sum::<i64>(), 0);
    let receivable = trial.iter().find(|balance| balance.account == Account::Receivable).unwrap();
    assert_eq!(receivable.amount.minor(), owed);
    assert_eq!(store.ledger_faults().await.unwrap(), []);
}
