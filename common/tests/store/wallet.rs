//! Wallets: money in advance, used in order, once for an invoice, and equal to the ledger.

use common::{
    acting::Scope,
    id::TenantId,
    ledger::Account,
    money::{Currency, Money},
    store::{AuditAction, AuditFilter, Store, StoreError},
    tenant::TenantKind,
    time::Micros,
    wallet::{AutoTopUp, GrantKind, NewWalletGrant, TopUpStatus, WalletGrant, WalletPolicy},
};

use crate::fixture::{
    Fixture, NOW, PAGE, acting_person, assert_conflict, assert_refused, below, customer, on_both_engines, root,
};

on_both_engines!(
    grants_are_used_in_stated_order,
    invoice_uses_credit_once,
    voided_invoice_gives_credit_back,
    repeated_reference_grants_once,
    void_takes_back_what_is_left,
    expired_grant_leaves_by_a_posting,
    overdraft_is_paid_by_next_grant,
    balance_is_that_of_the_instant,
    wallet_below_threshold_asks_once,
    runaway_top_ups_end_at_daily_guard,
    invalid_grant_is_refused,
    wallet_of_others_is_not_there,
    concurrent_invoices_use_no_money_twice,
    movements_never_change,
    wallet_that_is_not_the_ledger_is_found,
);

pub(crate) fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD)
}

pub(crate) fn new_grant(tenant: TenantId, minor: i64, reference: &str) -> NewWalletGrant {
    NewWalletGrant {
        issuer: None,
        tenant,
        amount: usd(minor),
        kind: GrantKind::Paid,
        priority: 50,
        expires_at: None,
        reference: reference.into(),
        reason: None,
    }
}

async fn two(store: &Store) -> (TenantId, TenantId) {
    let issuer = root(store).await.id;
    (issuer, customer(store, issuer).await)
}

async fn granted(store: &Store, new: NewWalletGrant) -> WalletGrant {
    store.grant_money(&new, NOW).await.unwrap()
}

/// Amounts that an invoice uses.
async fn used(store: &Store, wallet: (TenantId, TenantId), upto: i64, invoice: &str, at: Micros) -> Vec<i64> {
    let uses = store.use_money(wallet, usd(upto), invoice, at).await.unwrap();
    uses.into_iter().map(|used| used.amount.minor()).collect()
}

/// The balance of the only wallet, which has to be that of the ledger.
pub(crate) async fn balance(store: &Store, tenant: TenantId) -> i64 {
    let wallets = store.wallets(tenant, Micros(i64::MAX)).await.unwrap();
    let found = wallets.first().map_or(0, |wallet| wallet.balance.minor());
    assert_eq!(-ledger(store, tenant, Account::Credit).await, found);
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    found
}

async fn ledger(store: &Store, tenant: TenantId, account: Account) -> i64 {
    let balances = store.balances(tenant).await.unwrap();
    balances.iter().find(|balance| balance.account == account).map_or(0, |balance| balance.amount.minor())
}

async fn grants_are_used_in_stated_order(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let soon = Some(NOW.plus_seconds(100));
    let late = Some(NOW.plus_seconds(200));
    let promotional = GrantKind::Promotional;
    let grants = [
        NewWalletGrant { expires_at: late, ..new_grant(tenant, 16, "fifth") },
        new_grant(tenant, 64, "seventh"),
        NewWalletGrant { kind: promotional, ..new_grant(tenant, 32, "sixth") },
        NewWalletGrant { kind: promotional, expires_at: late, ..new_grant(tenant, 8, "fourth") },
        NewWalletGrant { expires_at: soon, ..new_grant(tenant, 4, "third") },
        NewWalletGrant { priority: 1, ..new_grant(tenant, 1, "first") },
        NewWalletGrant { priority: 1, ..new_grant(tenant, 2, "second") },
    ];
    for (place, grant) in (0_i64..).zip(grants) {
        store.grant_money(&grant, Micros(NOW.0 + place)).await.unwrap();
    }
    let at = NOW.plus_seconds(1);
    assert_eq!(used(&store, (issuer, tenant), 1_000, "inv_1", at).await, [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(used(&store, (issuer, tenant), 1_000, "inv_2", at).await, [0_i64; 0]);
    assert_eq!((balance(&store, tenant).await, ledger(&store, tenant, Account::Receivable).await), (0, -127));
    assert_eq!(ledger(&store, tenant, Account::Promotion).await, 40);
    assert_eq!(ledger(&store, tenant, Account::Cash).await, 87);
}

async fn invoice_uses_credit_once(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    assert_eq!(used(&store, (issuer, tenant), 50, "inv_0", NOW).await, [0_i64; 0], "there is no wallet");
    granted(&store, new_grant(tenant, 100, "one")).await;
    granted(&store, new_grant(tenant, 30, "two")).await;
    for _ in 0..3 {
        assert_eq!(used(&store, (issuer, tenant), 110, "inv_1", NOW).await, [100, 10]);
    }
    assert_eq!(balance(&store, tenant).await, 20);
    for nothing in [0, -5] {
        assert_eq!(used(&store, (issuer, tenant), nothing, "inv_2", NOW).await, [0_i64; 0]);
    }
    let euro = Money::from_minor(5, Currency::EUR);
    assert_eq!(store.use_money((issuer, tenant), euro, "inv_3", NOW).await.unwrap(), [], "another currency");
    assert_eq!(balance(&store, tenant).await, 20);
}

async fn voided_invoice_gives_credit_back(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let first = granted(&store, NewWalletGrant { priority: 0, ..new_grant(tenant, 60, "one") }).await;
    granted(&store, new_grant(tenant, 60, "two")).await;
    used(&store, (issuer, tenant), 100, "inv_1", NOW).await;
    store.void_money(tenant, first.id, "a slip", NOW).await.unwrap();
    for _ in 0..2 {
        store.return_money("inv_1", NOW).await.unwrap();
        // What comes back to a grant that was voided is taken back as well.
        assert_eq!(balance(&store, tenant).await, 60);
    }
    assert_eq!(ledger(&store, tenant, Account::Receivable).await, 0);
    assert_eq!(ledger(&store, tenant, Account::Cash).await, 60);
    assert_eq!(store.return_money("inv_9", NOW).await.unwrap(), []);
    assert_eq!(used(&store, (issuer, tenant), 100, "inv_2", NOW).await, [60]);
}

async fn repeated_reference_grants_once(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let first = granted(&store, new_grant(tenant, 100, "order-1")).await;
    let again = store.grant_money(&new_grant(tenant, 100, "order-1"), NOW.plus_seconds(9)).await.unwrap();
    assert_eq!((&again, again.issuer), (&first, issuer));
    assert_conflict(store.grant_money(&new_grant(tenant, 101, "order-1"), NOW).await, "order-1");
    let other = customer(&store, issuer).await;
    granted(&store, new_grant(other, 7, "order-1")).await;
    assert_eq!((balance(&store, tenant).await, balance(&store, other).await), (100, 7));
    let filter = AuditFilter { action: Some(AuditAction::WalletGrant), ..AuditFilter::default() };
    assert_eq!(store.audit_log(&filter, PAGE).await.unwrap().items.len(), 2);
}

async fn void_takes_back_what_is_left(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let kind = GrantKind::Promotional;
    let grant = granted(&store, NewWalletGrant { kind, ..new_grant(tenant, 100, "one") }).await;
    used(&store, (issuer, tenant), 30, "inv_1", NOW).await;
    for _ in 0..2 {
        let voided = store.void_money(tenant, grant.id, "a slip", NOW.plus_seconds(5)).await.unwrap();
        assert_eq!((voided.left, voided.void_reason.as_deref()), (usd(0), Some("a slip")));
        assert_eq!(balance(&store, tenant).await, 0);
    }
    assert_eq!(ledger(&store, tenant, Account::Promotion).await, 30, "what was used was given");
    assert_eq!(used(&store, (issuer, tenant), 30, "inv_2", NOW).await, [0_i64; 0]);
    let other = customer(&store, issuer).await;
    let error = store.void_money(other, grant.id, "of another", NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_refused(store.void_money(tenant, grant.id, " ", NOW).await, "reason");
}

async fn expired_grant_leaves_by_a_posting(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let expires_at = Some(NOW.plus_seconds(10));
    let paid = granted(&store, NewWalletGrant { expires_at, ..new_grant(tenant, 100, "paid") }).await;
    let kind = GrantKind::Promotional;
    granted(&store, NewWalletGrant { expires_at, kind, ..new_grant(tenant, 40, "given") }).await;
    used(&store, (issuer, tenant), 50, "inv_1", NOW).await;
    assert_eq!(store.expire_money(NOW.plus_seconds(9)).await.unwrap(), []);
    let at = NOW.plus_seconds(10);
    assert_eq!(used(&store, (issuer, tenant), 50, "inv_2", at).await, [0_i64; 0], "it cannot be used any more");
    let wallet = store.wallets(tenant, at).await.unwrap().remove(0);
    assert_eq!((wallet.balance, wallet.available), (usd(90), usd(0)), "it is not taken out yet");
    let expired = store.expire_money(at).await.unwrap();
    assert_eq!(expired.iter().map(|one| one.amount.minor()).collect::<Vec<_>>(), [90]);
    assert_eq!(expired[0].grant, paid.id);
    assert_eq!(store.expire_money(at).await.unwrap(), []);
    assert_eq!((balance(&store, tenant).await, ledger(&store, tenant, Account::Revenue).await), (0, -90));
    // Credit that comes back after the expiry expires as well.
    store.return_money("inv_1", at).await.unwrap();
    assert_eq!(balance(&store, tenant).await, 50);
    assert_eq!(store.expire_money(at).await.unwrap().len(), 2);
    assert_eq!((balance(&store, tenant).await, ledger(&store, tenant, Account::Revenue).await), (0, -100));
    assert_eq!(ledger(&store, tenant, Account::Promotion).await, 0);
}

async fn overdraft_is_paid_by_next_grant(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let policy = WalletPolicy { overdraft: usd(50), top_up: None };
    store.set_wallet_policy((None, tenant, Currency::USD), &policy, NOW).await.unwrap();
    granted(&store, new_grant(tenant, 20, "one")).await;
    assert_eq!(used(&store, (issuer, tenant), 60, "inv_1", NOW).await, [20, 40]);
    assert_eq!(used(&store, (issuer, tenant), 60, "inv_2", NOW).await, [10], "not below the overdraft");
    assert_eq!(balance(&store, tenant).await, -50);
    let next = granted(&store, new_grant(tenant, 80, "two")).await;
    assert_eq!((next.left, balance(&store, tenant).await), (usd(30), 30));
    store.return_money("inv_1", NOW).await.unwrap();
    assert_eq!(balance(&store, tenant).await, 90);
    // What came back beside the grants is used after them.
    assert_eq!(used(&store, (issuer, tenant), 500, "inv_3", NOW).await, [20, 30, 90]);
    assert_eq!(balance(&store, tenant).await, -50);
}

async fn balance_is_that_of_the_instant(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    granted(&store, new_grant(tenant, 100, "one")).await;
    used(&store, (issuer, tenant), 30, "inv_1", NOW.plus_seconds(10)).await;
    store.grant_money(&new_grant(tenant, 5, "two"), NOW.plus_seconds(20)).await.unwrap();
    for (seconds, expected) in [(-1, 0), (0, 100), (9, 100), (10, 70), (19, 70), (20, 75)] {
        let wallet = store.wallets(tenant, NOW.plus_seconds(seconds)).await.unwrap().remove(0);
        assert_eq!((wallet.issuer, wallet.balance.minor()), (issuer, expected), "{seconds}");
    }
}

fn auto(threshold: i64, target: i64, per_day: u8) -> WalletPolicy {
    let top_up = AutoTopUp { threshold: usd(threshold), target: usd(target), per_day };
    WalletPolicy { overdraft: usd(0), top_up: Some(top_up) }
}

async fn wallet_below_threshold_asks_once(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let wallet = (None, tenant, Currency::USD);
    store.set_wallet_policy(wallet, &auto(20, 100, 5), NOW).await.unwrap();
    granted(&store, new_grant(tenant, 50, "one")).await;
    assert_eq!(store.request_top_ups(NOW).await.unwrap(), []);
    used(&store, (issuer, tenant), 35, "inv_1", NOW).await;
    let asked = store.request_top_ups(NOW).await.unwrap().remove(0);
    assert_eq!((asked.amount, asked.status), (usd(85), TopUpStatus::Open));
    assert_eq!(store.request_top_ups(NOW).await.unwrap(), [], "one is open");
    for _ in 0..2 {
        let grant = store.confirm_top_up(tenant, asked.id, NOW).await.unwrap();
        assert_eq!((grant.amount, grant.reference), (usd(85), asked.id.to_string()));
        assert_eq!(balance(&store, tenant).await, 100);
    }
    assert_conflict(store.cancel_top_up(tenant, asked.id, NOW).await, "paid");
    used(&store, (issuer, tenant), 90, "inv_2", NOW).await;
    let second = store.request_top_ups(NOW).await.unwrap().remove(0);
    for _ in 0..2 {
        let cancelled = store.cancel_top_up(tenant, second.id, NOW).await.unwrap();
        assert_eq!(cancelled.status, TopUpStatus::Cancelled);
    }
    assert_conflict(store.confirm_top_up(tenant, second.id, NOW).await, "cancelled");
    let all = store.wallet_top_ups(tenant, PAGE).await.unwrap().items;
    let told: Vec<_> = all.iter().map(|one| one.status).collect();
    assert_eq!(told, [TopUpStatus::Paid, TopUpStatus::Cancelled]);
}

async fn runaway_top_ups_end_at_daily_guard(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    store.set_wallet_policy((None, tenant, Currency::USD), &auto(20, 100, 3), NOW).await.unwrap();
    let mut asked = 0;
    // Somebody uses up every top-up at once.
    for step in 0..10_i64 {
        let at = NOW.plus_seconds(step * 60);
        for top_up in store.request_top_ups(at).await.unwrap() {
            asked += 1;
            store.confirm_top_up(tenant, top_up.id, at).await.unwrap();
            used(&store, (issuer, tenant), 100, &format!("inv_{step}"), at).await;
        }
    }
    assert_eq!(asked, 3);
    assert_eq!(store.request_top_ups(NOW.plus_seconds(86_400)).await.unwrap().len(), 1, "a day later");
}

async fn invalid_grant_is_refused(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let good = || new_grant(tenant, 5, "one");
    let sibling = customer(&store, issuer).await;
    for (bad, part) in [
        (NewWalletGrant { amount: usd(0), ..good() }, "amount"),
        (NewWalletGrant { amount: usd(-5), ..good() }, "amount"),
        (NewWalletGrant { amount: usd(i64::MAX), ..good() }, "amount"),
        (NewWalletGrant { amount: Money::from_minor(5, Currency::XXX), ..good() }, "currency"),
        (NewWalletGrant { priority: 101, ..good() }, "priority"),
        (NewWalletGrant { expires_at: Some(NOW), ..good() }, "expires_at"),
        (NewWalletGrant { reference: " ".into(), ..good() }, "reference"),
        (NewWalletGrant { reason: Some("\u{0}".into()), ..good() }, "reason"),
        (NewWalletGrant { issuer: Some(sibling), ..good() }, "issuer"),
        (NewWalletGrant { issuer: Some(tenant), ..good() }, "issuer"),
    ] {
        assert_refused(store.grant_money(&bad, NOW).await, part);
    }
    for bad in [auto(20, 20, 1), auto(-1, 5, 1), auto(1, 5, 0), auto(1, 5, 101)] {
        assert_refused(store.set_wallet_policy((None, tenant, Currency::USD), &bad, NOW).await, "top_up.");
    }
    let euro = WalletPolicy { overdraft: Money::from_minor(1, Currency::EUR), top_up: None };
    assert_refused(store.set_wallet_policy((None, tenant, Currency::USD), &euro, NOW).await, "overdraft");
    assert_eq!(store.wallets(tenant, NOW).await.unwrap(), []);
}

async fn wallet_of_others_is_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let reseller = below(&store, TenantKind::Reseller, top).await;
    let (shop, other) = (customer(&store, reseller).await, customer(&store, top).await);
    let grant = granted(&store, new_grant(shop, 10, "one")).await;
    assert_eq!(grant.issuer, reseller);
    let narrowed = store.acting_as(acting_person("zoe", Scope::Subtree(reseller)));
    assert_eq!(narrowed.money_grants(shop, PAGE).await.unwrap().items, std::slice::from_ref(&grant));
    // A reseller issues no invoices of the tenant above it.
    let of_root = NewWalletGrant { issuer: Some(top), ..new_grant(shop, 10, "two") };
    assert_refused(narrowed.grant_money(&of_root, NOW).await, "issuer");
    for error in [
        narrowed.wallets(other, NOW).await.unwrap_err(),
        narrowed.grant_money(&new_grant(other, 1, "x"), NOW).await.unwrap_err(),
        narrowed.money_grants(other, PAGE).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
    let of_root = granted(&store, NewWalletGrant { issuer: Some(top), ..new_grant(shop, 10, "three") }).await;
    let error = narrowed.void_money(shop, of_root.id, "not mine", NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

async fn concurrent_invoices_use_no_money_twice(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    granted(&store, new_grant(tenant, 100, "one")).await;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let invoice = format!("inv_{}", number % 4);
                used(&store, (issuer, tenant), 40, &invoice, NOW).await.iter().sum::<i64>()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((balance(&store, tenant).await, ledger(&store, tenant, Account::Receivable).await), (0, -100));
}

async fn wallet_that_is_not_the_ledger_is_found(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    granted(&store, new_grant(tenant, 100, "one")).await;
    used(&store, (issuer, tenant), 40, "inv_1", NOW).await;
    assert_eq!(store.wallet_faults().await.unwrap(), []);
    let slip = "INSERT INTO wallet_movements (issuer_id, tenant_id, currency, kind, amount, at) \
                SELECT issuer_id, tenant_id, currency, 'repay', 5, 0 FROM wallets";
    fixture.execute(slip).await.unwrap();
    let found = store.wallet_faults().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].wallet, found[0].ledger), (usd(65), usd(60)));
}

async fn movements_never_change(fixture: Fixture) {
    let store = fixture.store().await;
    let (_, tenant) = two(&store).await;
    granted(&store, new_grant(tenant, 100, "one")).await;
    for statement in ["UPDATE wallet_movements SET amount = 1", "DELETE FROM wallet_movements"] {
        let changed = fixture.execute(statement).await.unwrap_err();
        assert!(changed.to_string().contains("append-only"), "{changed}");
    }
}
