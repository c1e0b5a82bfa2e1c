//! Random mixes of every limit there is, against a plain reading of the rules: what is admitted,
//! and what that leaves.

use common::plan::RateLimits;

use super::{
    super::{
        bank::Shortage,
        cells::Owner,
        permits::{Permit, PermitSource},
        rate::Rate,
        token_source::TokenSource,
    },
    *,
};
use crate::route::{Route, RouteSettings};

/// Callers: two keys of a customer, and one of the reseller above it.
const CALLERS: usize = 3;

/// A whole fixture: a root and a reseller with pools, a customer, and a route that all of them
/// share.
struct Fixture {
    _catalog: Catalog,
    callers: [Caller; CALLERS],
    route: Route,
    clock: Clock,
    limiter: Limiter,
}

/// Limits of the plans and of the route.
#[derive(Debug, Clone)]
struct Terms {
    root_pool: RateLimits,
    reseller_pool: RateLimits,
    customer_pool: RateLimits,
    tenant: RateLimits,
    key: RateLimits,
    route: RateLimits,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pause { millis: u64 },
    Ask { who: usize },
    End { which: prop::sample::Index },
}

/// A limit as the test keeps count of it.
struct Ledger {
    policy: String,
    rate: Rate,
    admitted: Vec<u64>,
}

/// A route in force whose callers share these limits.
pub(super) fn route(limits: &RateLimits, limiter: &Limiter) -> Route {
    Route::new(RouteSettings { limits: limits.clone(), ..RouteSettings::named("shared") }, limiter)
}

impl Fixture {
    fn new(terms: &Terms) -> Self {
        let with = |id: &str, pool: &RateLimits, tenant: &RateLimits, key: &RateLimits| {
            let mut plan = plan(id, "");
            plan.limits = common::plan::PlanLimits {
                tenant: tenant.clone(),
                key: key.clone(),
                pool: pool.clone(),
                ..Default::default()
            };
            plan.validate().unwrap();
            plan
        };
        let none = RateLimits::default();
        let customer = with("customer", &terms.customer_pool, &terms.tenant, &terms.key);
        let mut rows = Rows::three_levels(NOW).with_plan(customer);
        rows.subscribe(0, with("root", &terms.root_pool, &none, &none));
        rows.subscribe(1, with("reseller", &terms.reseller_pool, &none, &terms.key));
        let hashes: [KeyHash; CALLERS] = std::array::from_fn(|_| hash());
        for (hash, level) in hashes.into_iter().zip([2, 2, 1]) {
            rows.add_key(level, hash, Mode::Live);
        }
        let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
        let callers = hashes.map(|hash| {
            let key = catalog.key(&hash).unwrap();
            let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
            Caller { key, tenant }
        });
        let clock = Clock::manual();
        let limiter = Limiter::with_clock(clock.clone());
        let route = route(&terms.route, &limiter);
        Self { _catalog: catalog, callers, route, clock, limiter }
    }

    /// Every limit that applies to a caller: its name in this fixture, its terms and its cells.
    fn limits_of(&self, who: usize) -> Vec<(Owner<'_>, &Rates, &RateCells)> {
        let Caller { key, tenant } = &self.callers[who];
        let mut limits = vec![
            (Owner::Key(key.id), &tenant.limits.rates.key, &key.cells),
            (Owner::Tenant(tenant.id), &tenant.limits.rates.tenant, &*tenant.limits.cells),
        ];
        limits.extend(self.route.limits.iter().map(|route| (Owner::Route(&route.name), &route.rates, &*route.cells)));
        let pools = tenant.limits.pools.iter();
        limits.extend(pools.map(|pool| (Owner::Pool(pool.owner), &pool.rates.pool, &*pool.cells)));
        limits
    }

    /// The content of every cell of every limit.
    fn cells(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for who in 0..CALLERS {
            for (owner, rates, cells) in self.limits_of(who) {
                found.extend(
                    rates
                        .with(cells)
                        .map(|(rate, cell)| (format!("{owner} {}", rate.state(0, 0).policy), cell.bucket().full_at())),
                );
                found.push((format!("{owner} in progress"), cells.accounts().permits.in_use()));
            }
        }
        found
    }

    /// Returns true if every limit has room for one more, by itself.
    fn has_room(&self, who: usize) -> bool {
        let now = self.clock.nanos();
        self.limits_of(who).iter().all(|(_, rates, cells)| {
            let is_open = |(rate, cell): (&Rate, super::super::cells::WindowCell<'_>)| {
                !matches!(TokenSource::Own(cell.bucket()).check(rate, now), Err(Shortage::Wait(_) | Shortage::AskBank))
            };
            rates.with(cells).all(is_open)
                && rates.concurrency().is_none_or(|limit| PermitSource::Own(cells.accounts()).check(limit, 0).is_ok())
        })
    }
}

fn ledger<'a>(ledgers: &'a mut Vec<Ledger>, policy: &str, rate: &Rate) -> &'a mut Ledger {
    let known = ledgers.iter().position(|ledger| ledger.policy == policy).unwrap_or_else(|| {
        ledgers.push(Ledger { policy: policy.into(), rate: *rate, admitted: Vec::new() });
        ledgers.len() - 1
    });
    &mut ledgers[known]
}

fn limits() -> impl Strategy<Value = RateLimits> {
    let rate = |most: u64| {
        let stated = (1..=most, 1_u64..8).prop_map(|(limit, burst)| common::plan::RateLimit { limit, burst });
        prop::option::weighted(0.4, stated)
    };
    (rate(20), rate(400), rate(9_000), rate(100_000), prop::option::weighted(0.3, 1_u64..5)).prop_map(
        |(per_second, per_minute, per_hour, per_day, concurrent)| RateLimits {
            per_second,
            per_minute,
            per_hour,
            per_day,
            concurrent,
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    (limits(), limits(), limits(), limits(), limits(), limits()).prop_map(
        |(root_pool, reseller_pool, customer_pool, tenant, key, route)| Terms {
            root_pool,
            reseller_pool,
            customer_pool,
            tenant,
            key,
            route,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_u64..400).prop_map(|millis| Step::Pause { millis }),
        4 => (0..CALLERS).prop_map(|who| Step::Ask { who }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::End { which }),
    ]
}

proptest! {
    #[test]
    fn a_mix_of_limits_admits_what_each_allows_and_a_denial_consumes_nothing(
        terms in terms(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let fixture = Fixture::new(&terms);
        let (mut under_way, mut ledgers) = (Vec::<Permit>::new(), Vec::new());
        for step in steps {
            match step {
                Step::Pause { millis } => fixture.clock.advance(Duration::from_millis(millis)),
                Step::End { which } if !under_way.is_empty() => drop(under_way.swap_remove(which.index(under_way.len()))),
                Step::End { .. } => {}
                Step::Ask { who } => {
                    let (before, has_room) = (fixture.cells(), fixture.has_room(who));
                    match fixture.limiter.try_admit(fixture.callers[who].request(&fixture.route, 1, NOW)) {
                        Ok(admission) => {
                            prop_assert!(has_room);
                            for (owner, rates, cells) in fixture.limits_of(who) {
                                for (rate, _) in rates.with(cells) {
                                    let policy = format!("{owner} {}", rate.state(0, 0).policy);
                                    ledger(&mut ledgers, &policy, rate).admitted.push(fixture.clock.nanos());
                                }
                            }
                            under_way.push(admission.settle(1));
                        }
                        Err(denial) => {
                            prop_assert!(!has_room);
                            prop_assert_eq!(fixture.cells(), before, "a denial changed something");
                            prop_assert_eq!(denial.violated.remaining, 0);
                            prop_assert!(denial.limits.iter().any(|limit| limit.policy == denial.violated.policy));
                        }
                    }
                }
            }
        }
        for Ledger { policy, rate, admitted } in &ledgers {
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let most = u128::from(rate.burst()) + u128::from(end - start) / u128::from(rate.interval());
                    prop_assert!((last - first + 1) as u128 <= most, "{policy}: more than burst + rate x time");
                }
            }
        }
        under_way.clear();
        let busy: Vec<_> = fixture.cells().into_iter().filter(|(cell, count)| cell.ends_with("in progress") && *count > 0).collect();
        prop_assert_eq!(busy, [], "slots were not given back");
    }
}
