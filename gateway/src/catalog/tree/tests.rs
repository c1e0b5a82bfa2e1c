//! Whatever changes, and in whichever order: what the tree says is what a tree says that is made
//! anew of the same rows.

use common::{plan::Plan, time::Zone};
use proptest::prelude::*;

use super::*;
use crate::catalog::fixture::plan;

const NOW: Micros = Micros(1_800_000_000_000_000);

const TENANTS: usize = 9;

/// Plans that differ in what they limit.
fn plans() -> Vec<Plan> {
    vec![
        plan("plain", ""),
        plan("pooled", "limits: { pool: { per_second: 50 }, key: { per_second: 9 } }"),
        plan("capped", "quotas: [{ meter: requests, per_month: 10 }]\nlimits: { tenant: { per_second: 20 } }"),
    ]
}

fn id(number: usize) -> TenantId {
    TenantId::from_u128(number as u128 + 1)
}

/// The rows of one tenant in a store.
#[derive(Debug, Clone)]
struct Row {
    parent: Option<usize>,
    status: TenantStatus,
    plan: Option<usize>,
    /// A plan that ends, and another that begins, around now.
    ends: Option<i64>,
    begins: i64,
}

fn row(number: usize) -> impl Strategy<Value = Row> {
    let status = prop_oneof![
        5 => Just(TenantStatus::Active), 1 => Just(TenantStatus::Suspended), 1 => Just(TenantStatus::Deleted)
    ];
    // Above a tenant are only those with a smaller number: no rings.
    let parent = prop::option::of(0..number.max(1)).prop_map(move |parent| parent.filter(|above| *above < number));
    let ends = prop::option::weighted(0.3, 1_i64..20);
    (parent, status, prop::option::of(0..3_usize), ends, -10_i64..10)
        .prop_map(|(parent, status, plan, ends, begins)| Row { parent, status, plan, ends, begins })
}

fn put(tree: &mut Tree, number: usize, row: &Row) {
    let (parent, status) = (row.parent.map(id), row.status);
    tree.put_tenant(ServedTenant {
        id: id(number),
        parent,
        status,
        zone: Zone::utc(),
        unpaid: None,
        own_spent_until: None,
        subtree_spent_until: None,
    });
    if let Some(plan) = row.plan {
        tree.add_subscription(&Subscription {
            tenant: id(number),
            plan_owner: id(0),
            plan: plans()[plan].id.clone(),
            version: 1,
            starts_at: NOW.plus_seconds(row.begins),
            ends_at: row.ends.map(|after| NOW.plus_seconds(row.begins + after)),
        });
    }
}

fn empty() -> Tree {
    let mut tree = Tree::default();
    for plan in plans() {
        tree.add_plan(PlanVersion { owner: Some(id(0)), version: 1, created_at: NOW, plan });
    }
    tree
}

/// The standing of every tenant, as text.
fn shown(tree: &mut Tree) -> Vec<String> {
    let show = |standing: Standing| match standing {
        Standing::Served(entry) => {
            let pools: Vec<TenantId> = entry.limits.pools.iter().map(|pool| pool.owner).collect();
            let limits: Vec<_> = entry.limits.pools.iter().map(|pool| format!("{:?}", pool.rates.pool)).collect();
            let quotas: Vec<String> = entry.quotas.iter().map(ToString::to_string).collect();
            let terms = &entry.terms;
            let rates = &terms.rates;
            format!("{} {:?} {:?} {quotas:?} {pools:?} {limits:?}", terms.plan, rates.key, rates.tenant)
        }
        Standing::Suspended => "suspended".to_owned(),
        Standing::Unpaid(unpaid) => format!("unpaid {}", unpaid.invoice),
        Standing::NoPlan => "no plan".to_owned(),
        Standing::Deleted => "deleted".to_owned(),
    };
    (0..TENANTS).map(|number| show(tree.slot(id(number)).standing())).collect()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    (0..TENANTS).map(row).collect::<Vec<_>>()
}

fn change() -> impl Strategy<Value = (usize, Row)> {
    (0..TENANTS).prop_flat_map(|number| (Just(number), row(number)))
}

proptest! {
    #[test]
    fn changes_one_by_one_come_to_the_same_as_all_at_once(
        rows in rows(),
        changes in prop::collection::vec(change(), 1..20),
        together in 1_usize..4,
        seconds in 0_i64..30,
    ) {
        let (quotas, mut rows, mut now) = (QuotaBook::default(), rows, NOW);
        let mut tree = empty();
        rows.iter().enumerate().for_each(|(number, row)| put(&mut tree, number, row));
        tree.resolve_all(&quotas, now);
        for changes in changes.chunks(together) {
            for (number, row) in changes {
                rows[*number] = row.clone();
                put(&mut tree, *number, row);
            }
            let changed: Vec<TenantId> = changes.iter().map(|(number, _)| id(*number)).collect();
            tree.resolve_subtree(&changed, &quotas, now);
            now = now.plus_seconds(seconds);
            tree.resolve_due(&quotas, now);
            let mut anew = empty();
            // In another order: those below before those above.
            rows.iter().enumerate().rev().for_each(|(number, row)| put(&mut anew, number, row));
            anew.resolve_all(&quotas, now);
            prop_assert_eq!(shown(&mut tree), shown(&mut anew));
        }
    }
}

#[test]
fn tenants_under_the_same_plans_share_what_follows() {
    let quotas = QuotaBook::default();
    let mut tree = empty();
    let row = |parent, plan| Row { parent, status: TenantStatus::Active, plan, ends: None, begins: 0 };
    put(&mut tree, 0, &row(None, Some(1)));
    for number in 1..TENANTS {
        put(&mut tree, number, &row(Some(0), None));
    }
    tree.resolve_all(&quotas, NOW);
    let terms: Vec<_> = (1..TENANTS)
        .map(|number| match tree.slot(id(number)).standing() {
            Standing::Served(entry) => Arc::clone(&entry.terms),
            _ => panic!("not served"),
        })
        .collect();
    assert!(terms.iter().all(|one| Arc::ptr_eq(one, &terms[0])));
    assert_eq!(terms[0].plan.as_str(), "pooled");
}
