//! One million rows of hourly usage become the lines of a thousand bills.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

use std::hint::black_box;

use billing::rating::{self, Totals};
use common::{
    id::{KeyId, TenantId},
    key::Mode,
    plan::{Plan, PlanFile},
    time::Micros,
    usage::{PaidBy, rollup::UsageRollup},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: u32 = 1_000_000;
const TENANTS: u32 = 1_000;
const ROUTES: [&str; 5] = ["search", "upload", "download", "status", "report"];
const FIRST_HOUR: Micros = Micros(1_793_491_200_000_000);

/// As many rows for each tenant: two keys, one of them for tests, on five routes in every hour that
/// it takes.
fn month() -> Vec<UsageRollup> {
    (0..ROWS)
        .map(|number| {
            let of_tenant = number / TENANTS;
            let mode = if of_tenant.is_multiple_of(2) { Mode::Live } else { Mode::Test };
            let route = of_tenant as usize / 2 % ROUTES.len();
            let tenant = u128::from(number % TENANTS);
            let hour = FIRST_HOUR.plus_seconds(3_600 * i64::from(of_tenant / 10));
            UsageRollup {
                hour,
                since: hour,
                tenant: TenantId::from_u128(tenant),
                key: KeyId::from_u128(2 * tenant + u128::from(mode == Mode::Test)),
                route: ROUTES[route].into(),
                meter: "requests".into(),
                mode,
                billable: mode == Mode::Live,
                paid: if mode == Mode::Live { PaidBy::Charge } else { PaidBy::Nothing },
                requests: 5_000,
                aborted: 0,
                units: 5_000 + u64::from(number % 7),
            }
        })
        .collect()
}

fn growth() -> Plan {
    let file = PlanFile::parse(include_str!("../../config/plans.yaml"), "config/plans.yaml").expect("shipped plans");
    file.plans.into_iter().find(|plan| plan.id.as_str() == "growth").expect("plan growth")
}

fn bills(rows: &[UsageRollup], plan: &Plan) -> i64 {
    let mut totals = Totals::default();
    for row in rows {
        totals.add(row).expect("small numbers");
    }
    let total = |usage| {
        let lines = rating::rate(plan, usage).expect("small numbers");
        rating::total(&lines, plan.currency).expect("small numbers").minor()
    };
    totals.iter().map(|(_, usage)| total(usage)).sum()
}

fn rating(criterion: &mut Criterion) {
    let rows = month();
    let plan = growth();
    let mut group = criterion.benchmark_group("rating");
    group.throughput(Throughput::Elements(rows.len() as u64)).sample_size(10);
    group.bench_function("one_million_rows", |bencher| bencher.iter(|| bills(black_box(&rows), &plan)));
    group.finish();
}

criterion_group!(benches, rating);
criterion_main!(benches);
