//! Budgets: each threshold is told once in a period, and gateways hear of what is refused.

use common::{
    budget::{BudgetScope, BudgetStanding, NewBudget},
    change::ChangeMark,
    id::{KeyId, TenantId},
    money::{Currency, Money},
    store::{AuditAction, AuditFilter, Changed, Store, StoreError},
    tenant::TenantKind,
    time::{Micros, Window},
};

use crate::fixture::{Fixture, NOW, PAGE, below, changes, customer, key, on_both_engines, person_at, root};

on_both_engines!(
    thresholds_are_told_once_in_a_period,
    hard_budget_refuses_until_its_period_ends,
    budget_taken_away_refuses_nobody,
    budget_of_others_is_not_there,
);

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD)
}

fn budget(tenant: TenantId, scope: BudgetScope, hard: bool) -> NewBudget {
    NewBudget { tenant, scope, amount: usd(1_000), hard, thresholds: vec![50, 100] }
}

/// Money that was spent in the month that begins so many months after now.
fn spent(minor: i64, months: i64) -> BudgetStanding {
    let start = NOW.plus_seconds(months * 30 * 86_400);
    BudgetStanding { period: Window { start, end: start.plus_seconds(30 * 86_400) }, spent: usd(minor) }
}

/// Tells what gateways know of a refusal: of the tenant's own keys, of its subtree, of the key.
async fn refused(store: &Store, tenant: TenantId, key: KeyId) -> [Option<Micros>; 3] {
    let mut feed = store.change_feed();
    let changes = feed.changes_after(&ChangeMark::NONE, 1_000, &|_, _, _| true).await.unwrap().unwrap();
    let tenant = changes.tenants.iter().find(|one| one.id == tenant).unwrap();
    let key = changes.keys.iter().find(|one| one.id == key).unwrap();
    [tenant.own_spent_until, tenant.subtree_spent_until, key.spent_until]
}

async fn audited(store: &Store, action: AuditAction) -> usize {
    let filter = AuditFilter { action: Some(action), ..AuditFilter::default() };
    store.audit_log(&filter, PAGE).await.unwrap().items.len()
}

async fn thresholds_are_told_once_in_a_period(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let new = budget(tenant, BudgetScope::Subtree, false);
    store.set_budget(&new, NOW).await.unwrap();
    let mut reached = Vec::new();
    for (minor, month) in [(499, 0), (500, 0), (700, 0), (1_200, 0), (400, 0), (1_200, 0), (1_200, 1), (1_300, 1)] {
        let noted = store.note_spending(tenant, new.scope, Some(spent(minor, month)), NOW).await.unwrap().unwrap();
        assert!(!noted.refuses_now && !noted.budget.is_refusing(), "a soft budget refuses nobody");
        assert_eq!(noted.budget.standing, Some(spent(minor, month)));
        reached.push(noted.reached);
    }
    let nothing = Vec::new;
    assert_eq!(reached, [nothing(), vec![50], nothing(), vec![100], nothing(), nothing(), vec![50, 100], nothing()]);
    let events = "SELECT COUNT(*) FROM events WHERE type = 'budget.reached'";
    assert_eq!(fixture.number(events).await, 4);
    // Set anew, it is another budget: it is told again.
    store.set_budget(&NewBudget { amount: usd(2_400), ..new.clone() }, NOW).await.unwrap();
    let noted = store.note_spending(tenant, new.scope, Some(spent(1_300, 1)), NOW).await.unwrap().unwrap();
    assert_eq!(noted.reached, [50]);
    assert_eq!(store.budgets(tenant).await.unwrap(), std::slice::from_ref(&noted.budget));
    assert_eq!(store.all_budgets().await.unwrap(), [noted.budget]);
    // Of another currency, nothing can be noted.
    let foreign = BudgetStanding { spent: Money::from_minor(1, Currency::EUR), ..spent(1, 1) };
    assert_eq!(store.note_spending(tenant, new.scope, Some(foreign), NOW).await.unwrap(), None);
}

async fn hard_budget_refuses_until_its_period_ends(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let key = key(&store, tenant).await.id;
    let end = spent(0, 0).period.end;
    for (place, scope) in [BudgetScope::Own, BudgetScope::Subtree, BudgetScope::Key(key)].into_iter().enumerate() {
        store.set_budget(&budget(tenant, scope, true), NOW).await.unwrap();
        let noted = store.note_spending(tenant, scope, Some(spent(999, 0)), NOW).await.unwrap().unwrap();
        assert!(!noted.refuses_now);
        assert_eq!(refused(&store, tenant, key).await, [None; 3]);
        let told = changes(&store).await.len();
        let noted = store.note_spending(tenant, scope, Some(spent(1_000, 0)), NOW).await.unwrap().unwrap();
        assert!(noted.refuses_now);
        let mut expected = [None; 3];
        expected[place] = Some(end);
        assert_eq!(refused(&store, tenant, key).await, expected);
        let changed = if place == 2 { Changed::Key(key) } else { Changed::Tenant(tenant) };
        assert_eq!(changes(&store).await[told..], [changed]);
        let again = store.note_spending(tenant, scope, Some(spent(1_500, 0)), NOW).await.unwrap().unwrap();
        assert!(!again.refuses_now && again.budget.is_refusing());
        assert_eq!(changes(&store).await.len(), told + 1, "gateways know it already");
        // Usage was taken back, then a period without usage began.
        store.note_spending(tenant, scope, Some(spent(10, 0)), NOW).await.unwrap();
        assert_eq!(refused(&store, tenant, key).await, [None; 3]);
        assert!(store.note_spending(tenant, scope, Some(spent(1_000, 1)), NOW).await.unwrap().unwrap().refuses_now);
        store.note_spending(tenant, scope, None, NOW).await.unwrap();
        assert_eq!(refused(&store, tenant, key).await, [None; 3]);
    }
    let counts = [AuditAction::BudgetSet, AuditAction::BudgetStop, AuditAction::BudgetResume];
    let mut found = Vec::new();
    for action in counts {
        found.push(audited(&store, action).await);
    }
    assert_eq!(found, [3, 6, 6]);
}

async fn budget_taken_away_refuses_nobody(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let key = key(&store, tenant).await.id;
    let scope = BudgetScope::Key(key);
    assert!(!store.delete_budget(tenant, scope, NOW).await.unwrap());
    store.set_budget(&budget(tenant, scope, true), NOW).await.unwrap();
    store.note_spending(tenant, scope, Some(spent(1_000, 0)), NOW).await.unwrap();
    assert!(refused(&store, tenant, key).await[2].is_some());
    assert!(store.delete_budget(tenant, scope, NOW).await.unwrap());
    assert_eq!(refused(&store, tenant, key).await, [None; 3]);
    assert_eq!(store.budgets(tenant).await.unwrap(), []);
    assert_eq!(store.note_spending(tenant, scope, Some(spent(1_000, 0)), NOW).await.unwrap(), None);
    assert_eq!(audited(&store, AuditAction::BudgetDelete).await, 1);
}

async fn budget_of_others_is_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let (reseller, other) = (below(&store, TenantKind::Reseller, top).await, customer(&store, top).await);
    let foreign = key(&store, other).await.id;
    let of_key = budget(reseller, BudgetScope::Key(foreign), true);
    assert!(store.set_budget(&of_key, NOW).await.unwrap_err().to_string().contains(&foreign.to_string()));
    let person = person_at(&store, "Ann", reseller);
    let theirs = budget(other, BudgetScope::Own, true);
    assert!(matches!(person.set_budget(&theirs, NOW).await, Err(StoreError::NotFound { .. })));
    store.set_budget(&theirs, NOW).await.unwrap();
    assert!(person.budgets(other).await.is_err());
    assert!(person.delete_budget(other, BudgetScope::Own, NOW).await.is_err());
    assert_eq!(store.budgets(other).await.unwrap().len(), 1);
    store.delete_tenant(other, None, NOW).await.unwrap();
    assert_eq!(store.all_budgets().await.unwrap(), [], "nobody counts what a deleted tenant spends");
}
