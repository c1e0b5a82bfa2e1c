//! Requests that are refused because a budget is spent, and served again once it is not.

use common::{
    budget::{BudgetScope, BudgetStanding, NewBudget},
    id::TenantId,
    key::{Mode, Secret},
    money::{Currency, Money},
    time::{Micros, Window},
};

use crate::support::{Fixture, eventually, now, process::Gateway};

/// Sets a hard budget of 10.00 and notes that more was spent, in a period that ends then.
async fn spend(fixture: &Fixture, tenant: TenantId, scope: BudgetScope, end: Micros) {
    let money = |minor| Money::from_minor(minor, Currency::USD);
    let new = NewBudget { tenant, scope, amount: money(1_000), hard: true, thresholds: vec![100] };
    fixture.store.set_budget(&new, now()).await.unwrap();
    let period = Window { start: now().plus_seconds(-60), end };
    let standing = BudgetStanding { period, spent: money(1_001) };
    let noted = fixture.store.note_spending(tenant, scope, Some(standing), now()).await.unwrap().unwrap();
    assert!(noted.refuses_now);
}

async fn becomes(gateway: &Gateway, secret: &Secret, status: u16) {
    eventually("the answer", || async { (gateway.status("/", secret).await == status).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_budget_is_told_with_429_and_the_end_of_its_period() {
    let fixture = Fixture::new().await;
    let (customer, other) = (fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await);
    let (_, test_key) = fixture.key(customer.tenant, Mode::Test).await;
    let (_, sister) = fixture.key(customer.tenant, Mode::Live).await;
    let gateway = fixture.gateway().await;
    let later = now().plus_seconds(3_600);
    spend(&fixture, customer.tenant, BudgetScope::Key(customer.key), later).await;
    becomes(&gateway, &customer.secret, 429).await;
    assert_eq!(gateway.status("/", &sister).await, 200, "another key has not spent it");
    let answer = gateway.get("/", &customer.secret).await;
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    let problem: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!((&problem["code"], &problem["retry_after_seconds"]), (&"budget_spent".into(), &seconds.into()));
    assert!(problem["detail"].as_str().unwrap().ends_with(&later.to_string()), "{problem}");

    spend(&fixture, customer.tenant, BudgetScope::Own, later).await;
    becomes(&gateway, &sister, 429).await;
    assert_eq!(gateway.status("/", &test_key).await, 200, "test keys cost nothing");
    assert_eq!(gateway.status("/", &other.secret).await, 200, "others are served");
    spend(&fixture, fixture.root, BudgetScope::Own, later).await;
    assert_eq!(gateway.status("/", &other.secret).await, 200, "the budget of the root's own keys");
    spend(&fixture, fixture.root, BudgetScope::Subtree, later).await;
    becomes(&gateway, &other.secret, 429).await;

    // It is known from the snapshot as well.
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    std::fs::rename(fixture.path("store.db"), fixture.path("elsewhere.db")).unwrap();
    let second = Gateway::start(&fixture.config_file()).await;
    second.wait_until_ready().await;
    for secret in [&customer.secret, &sister, &other.secret] {
        assert_eq!(second.status("/", secret).await, 429);
    }
    std::fs::rename(fixture.path("elsewhere.db"), fixture.path("store.db")).unwrap();

    for (tenant, scope, served) in [
        (fixture.root, BudgetScope::Subtree, &other.secret),
        (customer.tenant, BudgetScope::Own, &sister),
        (customer.tenant, BudgetScope::Key(customer.key), &customer.secret),
    ] {
        assert_eq!(second.status("/", &customer.secret).await, 429, "one of its budgets is still spent");
        assert!(fixture.store.delete_budget(tenant, scope, now()).await.unwrap());
        becomes(&second, served, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_served_again_as_the_period_ends() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    spend(&fixture, customer.tenant, BudgetScope::Subtree, now().plus_seconds(4)).await;
    becomes(&gateway, &customer.secret, 429).await;
    becomes(&gateway, &customer.secret, 200).await;
}
