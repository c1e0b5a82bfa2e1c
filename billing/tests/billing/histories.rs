//! Random histories against a plain model: tenants move and change plans, clocks differ, records
//! come late and in any order. Every unit is on one bill, that of its own time, and no change today
//! alters a month that has ended.

use std::collections::BTreeMap;

use billing::invoice::{PeriodChoice, draft, to_json};
use common::{
    id::TenantId,
    plan::{PlanFile, subscription::PlanStart},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Period, Zone},
    usage::{UsageEntry, UsageRecord},
};
use proptest::prelude::*;

use crate::{
    deployment::{Deployment, batch, instant, request},
    topic::deployment_on_postgres,
};

/// Clocks of the tenants, by number: whole, half and quarter hours, and the ends of the day.
const ZONES: [&str; 7] = [
    "UTC",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
];

/// Whom each tenant is under at first: a root, two resellers, a reseller below the first, three
/// customers.
const PARENTS: [usize; 7] = [0, 0, 0, 1, 1, 3, 2];

/// Tenants that may have others below them.
const RESELLERS: usize = 4;

const PERIODS: [&str; 6] = ["2026-08", "2026-09", "2026-10", "2026-11", "2026-12", "2027-01"];

const PLANS: &str = "
plans:
  - id: one
    name: One
    currency: USD
    flat_fee: '1.00'
    charges: [{ meter: requests, included: 10, tiers: [{ price: { amount: '0.10', per: 1 } }] }]
  - id: two
    name: Two
    currency: USD
    flat_fee: '2.00'
    charges: [{ meter: requests, included: 20, tiers: [{ price: { amount: '0.07', per: 1 } }] }]
  - { id: credit, name: Credit, currency: USD, flat_fee: '0.00', prepaid: [requests] }
  - id: capped
    name: Capped
    currency: USD
    flat_fee: '0.00'
    charges: [{ meter: requests, tiers: [{ price: { amount: '0.10', per: 1 } }] }]
    quotas: [{ meter: requests, per_month: 60 }]
";

/// One step of a history.
#[derive(Debug, Clone)]
enum Event {
    Move {
        tenant: usize,
        to: usize,
    },
    Assign {
        tenant: usize,
        plan: usize,
    },
    End {
        tenant: usize,
    },
    /// So many seconds ago, which may be long.
    Use {
        tenant: usize,
        units: u64,
        late: i64,
        prepaid: bool,
    },
}

/// A record as the model remembers it.
struct Used {
    tenant: usize,
    at: Micros,
    units: u64,
}

/// The history, told plainly: every change with its instant, in order.
#[derive(Default)]
struct Model {
    parents: Vec<(Micros, usize, usize)>,
    plans: Vec<(Micros, usize, bool)>,
    used: Vec<Used>,
}

impl Model {
    fn parent(&self, tenant: usize, at: Micros) -> usize {
        let mut moves = self.parents.iter().filter(|(from, moved, _)| *moved == tenant && *from <= at);
        moves.next_back().map_or(PARENTS[tenant], |(.., to)| *to)
    }

    fn has_plan(&self, tenant: usize, at: Micros) -> bool {
        let mut changes = self.plans.iter().filter(|(from, changed, _)| *changed == tenant && *from <= at);
        changes.next_back().is_some_and(|(.., has)| *has)
    }

    /// The paying tenant, if any.
    fn payer(&self, tenant: usize, at: Micros) -> Option<usize> {
        let mut level = tenant;
        while !self.has_plan(level, at) {
            if level == 0 {
                return None;
            }
            level = self.parent(level, at);
        }
        Some(level)
    }

    fn is_under(&self, tenant: usize, above: usize, at: Micros) -> bool {
        let mut level = tenant;
        while level != above {
            if level == 0 {
                return false;
            }
            level = self.parent(level, at);
        }
        true
    }

    /// Units of a month, by payer or, where nobody pays, by whoever used them.
    fn bills(&self, period: Period) -> (BTreeMap<usize, u64>, BTreeMap<usize, u64>) {
        let (mut billed, mut unpaid) = (BTreeMap::new(), BTreeMap::new());
        for used in &self.used {
            let payer = self.payer(used.tenant, used.at);
            let clock: Zone = ZONES[payer.unwrap_or(used.tenant)].parse().unwrap();
            if Period::containing(used.at, &clock).unwrap() == period {
                let bills = if payer.is_some() { &mut billed } else { &mut unpaid };
                *bills.entry(payer.unwrap_or(used.tenant)).or_default() += used.units;
            }
        }
        (billed, unpaid)
    }
}

fn event() -> impl Strategy<Value = Event> {
    let tenant = || 1..PARENTS.len();
    prop_oneof![
        2 => (tenant(), 0..RESELLERS).prop_map(|(tenant, to)| Event::Move { tenant, to }),
        2 => (0..PARENTS.len(), 0..4_usize).prop_map(|(tenant, plan)| Event::Assign { tenant, plan }),
        1 => (0..PARENTS.len()).prop_map(|tenant| Event::End { tenant }),
        8 => (tenant(), 1_u64..50, prop_oneof![4 => 0_i64..3, 2 => 0_i64..7_200, 1 => 0_i64..3_000_000], any::<bool>())
            .prop_map(|(tenant, units, late, prepaid)| Event::Use { tenant, units, late, prepaid }),
    ]
}

/// Events, each so many seconds after the one before: some in one hour, some across the ends of
/// months.
fn history() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![5 => 0_i64..900, 2 => 0_i64..90_000, 1 => 0_i64..1_200_000];
    prop::collection::vec((pause, event()), 20..60)
}

/// A store in which a history happens.
struct Scenario {
    store: Store,
    tenants: Vec<TenantId>,
    model: Model,
    now: Micros,
    next_seq: u64,
}

impl Scenario {
    async fn at(deployment: &Deployment) -> Self {
        let (store, root) = deployment.store().await;
        let start = instant("2026-10-05T11:59:00Z");
        store.apply_plans(&PlanFile::parse(PLANS, "plans").unwrap().plans, start).await.unwrap();
        let mut tenants = vec![root];
        for number in 1..PARENTS.len() {
            let new = NewTenant {
                parent: Some(tenants[PARENTS[number]]),
                kind: if number < RESELLERS { TenantKind::Reseller } else { TenantKind::Customer },
                name: format!("tenant {number}"),
                zone: ZONES[number].parse().unwrap(),
                plan: None,
            };
            tenants.push(store.create_tenant(&new, start).await.unwrap().id);
        }
        Self { store, tenants, model: Model::default(), now: start, next_seq: 0 }
    }

    async fn live(&mut self, pause: i64, event: &Event) {
        // A long history stays within the periods: it then goes on second by second.
        let end = instant("2027-01-20T00:00:00Z");
        self.now = if self.now.plus_seconds(pause) < end {
            self.now.plus_seconds(pause + 1)
        } else {
            self.now.plus_seconds(1)
        };
        let now = self.now;
        match *event {
            Event::Move { tenant, to } => {
                if !self.model.is_under(to, tenant, now) && self.model.parent(tenant, now) != to {
                    let (moved, parent) = (self.tenants[tenant], self.tenants[to]);
                    // Refused: a tree that would be too deep.
                    if self.store.move_tenant(moved, parent, None, now).await.is_ok() {
                        self.model.parents.push((now, tenant, to));
                    }
                }
            }
            Event::Assign { tenant, plan } => {
                let plan = ["one", "two", "credit", "capped"][plan].parse().unwrap();
                self.store.assign_plan(self.tenants[tenant], &plan, None, PlanStart::Now, now).await.unwrap();
                self.model.plans.push((now, tenant, true));
            }
            Event::End { tenant } => {
                self.store.end_subscription(self.tenants[tenant], PlanStart::Now, now).await.unwrap();
                self.model.plans.push((now, tenant, false));
            }
            Event::Use { tenant, units, late, prepaid } => {
                let at = now.plus_seconds(-late);
                let record =
                    UsageRecord { at, prepaid, ..request(self.tenants[tenant], "2026-11-10T12:00:00Z", units) };
                let batch = batch(self.next_seq, [UsageEntry::Request(record)]);
                self.next_seq = batch.end_seq();
                self.store.book_usage(&batch, now).await.unwrap();
                self.model.used.push(Used { tenant, at, units });
            }
        }
    }

    async fn bill(&self, period: &str) -> String {
        let choice = PeriodChoice::Named(period.parse().unwrap());
        to_json(&draft(&self.store, choice, None).await.unwrap()).unwrap()
    }

    /// Holds the bills of a period against the model, and gives the units on them.
    async fn check(&self, period: &str) -> u64 {
        let choice = PeriodChoice::Named(period.parse().unwrap());
        let drafts = draft(&self.store, choice, None).await.unwrap();
        assert!(drafts.failed.is_empty(), "{:?}", drafts.failed);
        let number = |id: TenantId| self.tenants.iter().position(|known| *known == id).unwrap();
        let mut billed = BTreeMap::new();
        for invoice in &drafts.invoices {
            let units = invoice.counts.billable_units;
            let on_lines: i128 = invoice.lines.iter().skip(1).map(|line| line.quantity).sum();
            assert_eq!(on_lines, i128::from(units), "every unit stands on one line");
            assert_eq!(invoice.window, period.parse::<Period>().unwrap().window(&invoice.zone).unwrap());
            billed.extend((units > 0).then_some((number(invoice.tenant), units)));
        }
        let unpaid: BTreeMap<_, _> =
            drafts.unsubscribed_tenants.iter().map(|usage| (number(usage.tenant), usage.units)).collect();
        assert_eq!((billed, unpaid), self.model.bills(period.parse().unwrap()), "{period}");
        assert_eq!(to_json(&drafts).unwrap(), self.bill(period).await, "rerunning gives the same bytes");
        let on_bills: u64 = drafts.invoices.iter().map(|invoice| invoice.counts.billable_units).sum();
        on_bills + drafts.unsubscribed_tenants.iter().map(|usage| usage.units).sum::<u64>()
    }
}

async fn run(deployment: Deployment, history: &[(i64, Event)]) {
    let mut scenario = Scenario::at(&deployment).await;
    for (pause, event) in history {
        scenario.live(*pause, event).await;
    }
    let mut units = 0;
    let mut bills = Vec::new();
    for period in PERIODS {
        units += scenario.check(period).await;
        bills.push(scenario.bill(period).await);
    }
    assert!(scenario.now < instant("2027-01-31T00:00:00Z"), "the periods hold the history: {}", scenario.now);
    let all: u64 = scenario.model.used.iter().map(|used| used.units).sum();
    assert_eq!(units, all, "all usage is on the bills, each unit once");
    let audit = scenario.store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);

    // Everything changes once more, after all months.
    scenario.now = scenario.now.max(instant("2027-02-15T00:00:00Z"));
    for tenant in 1..PARENTS.len() {
        scenario.live(60, &Event::Move { tenant, to: 0 }).await;
        scenario.live(60, &Event::End { tenant }).await;
        scenario.live(60, &Event::Assign { tenant, plan: 1 }).await;
    }
    for (period, bill) in PERIODS.into_iter().zip(bills) {
        assert_eq!(scenario.bill(period).await, bill, "{period} is as it was");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invoices_of_any_history_equal_the_model_on_sqlite(history in history()) {
        runtime().block_on(run(Deployment::new(), &history));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invoices_of_any_history_equal_the_model_on_postgres(history in history()) {
        runtime().block_on(run(deployment_on_postgres(), &history));
    }
}
