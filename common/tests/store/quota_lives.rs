//! What lives of gateways held of a quota when they ended: it goes back as their last usage is booked, once, and never
//! while any of that is missing.

use common::{
    id::TenantId,
    quota::{QuotaDraw, QuotaSource},
    store::Store,
    time::Micros,
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use proptest::prelude::*;

use crate::{
    fixture::{Fixture, NOW, new_tenant, on_both_engines, request, root},
    quota::{draw, month, november, of_requests, refund},
};

on_both_engines!(
    a_life_is_settled_when_its_last_stream_has_ended,
    streams_that_end_at_the_same_time_settle_their_life_once,
    a_life_with_lost_usage_is_held_back_until_it_turns_up,
    only_billed_units_of_the_lease_are_used,
    usage_counts_in_the_month_of_its_record,
    usage_beyond_what_was_drawn_is_granted_after_the_fact,
    usage_beyond_a_limit_is_owed_by_the_same_rule_whether_a_life_tells_of_it_or_not,
    usage_counts_against_the_leases_of_every_tenant_above,
);

fn lane(boot: u128, lane: u16) -> StreamId {
    StreamId::new("edge-1", boot, lane).unwrap()
}

async fn book(store: &Store, stream: &StreamId, first_seq: u64, entries: Vec<UsageEntry>) {
    let batch = UsageBatch { stream: stream.clone(), first_seq, entries };
    store.book_usage(&batch, NOW).await.unwrap();
}

fn requests(tenant: TenantId, count: usize) -> Vec<UsageEntry> {
    vec![UsageEntry::Request(request(tenant)); count]
}

async fn granted(store: &Store, tenant: TenantId) -> u64 {
    store.quota_granted(tenant, "requests", november()).await.unwrap()
}

async fn a_life_is_settled_when_its_last_stream_has_ended(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    draw(&store, 2, of_requests(tenant, 100, 30)).await;
    refund(&store, 1, tenant, 10).await.unwrap();
    book(&store, &lane(1, 0), 0, requests(tenant, 7)).await;
    book(&store, &lane(1, 0), 7, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 80, "the other stream may have used the rest");
    let mut last = requests(tenant, 3);
    last.extend([UsageEntry::Void, UsageEntry::End]);
    book(&store, &lane(1, 1), 0, last.clone()).await;
    assert_eq!(granted(&store, tenant).await, 40);
    let left: Vec<_> = store.quota_leases().await.unwrap().into_iter().map(|lease| lease.drawn).collect();
    assert_eq!(left, [30], "the other life goes on");

    book(&store, &lane(1, 1), 0, last).await;
    book(&store, &lane(1, 0), 7, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 40, "a repetition changes nothing");
    assert!(store.audit(None).await.unwrap().is_clean());
}

async fn streams_that_end_at_the_same_time_settle_their_life_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for boot in 0..12 {
        draw(&store, boot, of_requests(tenant, 1_000, 50)).await;
        let ends = [0, 1].map(|number| {
            let (store, stream) = (store.clone(), lane(boot, number));
            tokio::spawn(async move { book(&store, &stream, 0, vec![UsageEntry::End]).await })
        });
        for end in ends {
            end.await.unwrap();
        }
        assert_eq!(granted(&store, tenant).await, 0, "life {boot}");
    }
}

async fn a_life_with_lost_usage_is_held_back_until_it_turns_up(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    book(&store, &lane(1, 0), 1, vec![UsageEntry::Lost, UsageEntry::End]).await;
    book(&store, &lane(1, 1), 0, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 60, "one entry is lost, and one was skipped");
    book(&store, &lane(1, 0), 0, requests(tenant, 1)).await;
    assert_eq!(granted(&store, tenant).await, 60, "one is still lost");
    book(&store, &lane(1, 0), 1, requests(tenant, 1)).await;
    assert_eq!(granted(&store, tenant).await, 2);
}

async fn only_billed_units_of_the_lease_are_used(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let other = store.create_tenant(&new_tenant(common::tenant::TenantKind::Root, None), NOW).await.unwrap().id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    let base = request(tenant);
    let entries = [
        UsageRecord { units: 5, ..base.clone() },
        UsageRecord { units: 6, billable: false, status: 502, ..base.clone() },
        UsageRecord { units: 7, mode: common::key::Mode::Test, ..base.clone() },
        UsageRecord { units: 8, meter: "tokens".into(), ..base.clone() },
        UsageRecord { units: 9, tenant: other, ..base },
    ];
    book(&store, &lane(1, 0), 0, entries.into_iter().map(UsageEntry::Request).collect()).await;
    let leases = store.quota_leases().await.unwrap();
    assert_eq!(leases.iter().map(|lease| (lease.drawn, lease.used)).collect::<Vec<_>>(), [(60, 5)]);
}

async fn usage_counts_in_the_month_of_its_record(fixture: Fixture) {
    let store = fixture.store().await;
    let zone: common::time::Zone = "Asia/Kathmandu".parse().unwrap();
    let new = common::tenant::lifecycle::NewTenant {
        zone: zone.clone(),
        ..new_tenant(common::tenant::TenantKind::Root, None)
    };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    let end = month().window(&zone).unwrap().end;
    for period in [month(), month().next()] {
        draw(
            &store,
            1,
            common::quota::QuotaDraw { source: QuotaSource::Month(period), ..of_requests(tenant, 100, 10) },
        )
        .await;
    }
    let at = |at: i64, units| UsageEntry::Request(UsageRecord { at: Micros(at), units, ..request(tenant) });
    book(&store, &lane(1, 0), 0, vec![at(end.0 - 1, 3), at(end.0, 4)]).await;
    let used: Vec<_> =
        store.quota_leases().await.unwrap().into_iter().map(|lease| (lease.source, lease.used)).collect();
    assert_eq!(used, [(november(), 3), (QuotaSource::Month(month().next()), 4)]);
}

async fn usage_beyond_what_was_drawn_is_granted_after_the_fact(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for (boot, drawn, used, granted_then) in [(1, 10, 40, 40), (2, 10, 500, 100)] {
        draw(&store, boot, of_requests(tenant, 100, drawn)).await;
        let record = UsageRecord { units: used, ..request(tenant) };
        book(&store, &lane(boot, 0), 0, vec![UsageEntry::Request(record), UsageEntry::End]).await;
        book(&store, &lane(boot, 1), 0, vec![UsageEntry::End]).await;
        assert_eq!(granted(&store, tenant).await, granted_then);
    }
}

async fn usage_beyond_a_limit_is_owed_by_the_same_rule_whether_a_life_tells_of_it_or_not(fixture: Fixture) {
    let store = fixture.store().await;
    for tells in [false, true] {
        let tenant = root(&store).await.id;
        let (first, next) = if tells { (11, 12) } else { (21, 22) };
        assert_eq!(draw(&store, first, of_requests(tenant, 20, 20)).await, 20);
        let record = UsageRecord { units: 30, ..request(tenant) };
        if tells {
            let beyond = QuotaDraw { beyond: 10, ..of_requests(tenant, 20, 1) };
            assert_eq!(draw(&store, first, beyond).await, 0);
        }
        book(&store, &lane(first, 0), 0, vec![UsageEntry::Request(record)]).await;
        let stands = async || {
            let quota = store.quotas(tenant).await.unwrap().remove(0);
            (quota.limit, quota.drawn, quota.owed, quota.left)
        };
        assert_eq!(stands().await, (20, 20, 10, 0), "before the life has ended; it tells: {tells}");
        book(&store, &lane(first, 0), 1, vec![UsageEntry::End]).await;
        book(&store, &lane(first, 1), 0, vec![UsageEntry::End]).await;
        assert_eq!(stands().await, (20, 20, 10, 0), "it tells: {tells}");
        // A raised limit pays the debt first.
        assert_eq!(draw(&store, next, of_requests(tenant, 25, 5)).await, 0);
        assert_eq!(stands().await, (25, 25, 5, 0));
        assert_eq!(draw(&store, next, of_requests(tenant, 40, 50)).await, 10);
        assert_eq!(stands().await, (40, 40, 0, 0));
    }
}

async fn usage_counts_against_the_leases_of_every_tenant_above(fixture: Fixture) {
    use common::tenant::TenantKind::{Customer, Reseller, Root};
    let store = fixture.store().await;
    let create = async |kind, parent, zone: &str| {
        let new = common::tenant::lifecycle::NewTenant { zone: zone.parse().unwrap(), ..new_tenant(kind, parent) };
        store.create_tenant(&new, NOW).await.unwrap().id
    };
    let root = create(Root, None, "UTC").await;
    let reseller = create(Reseller, Some(root), "Asia/Kathmandu").await;
    let customer = create(Customer, Some(reseller), "America/New_York").await;
    let sibling = create(Customer, Some(reseller), "UTC").await;
    for tenant in [root, reseller, customer] {
        draw(&store, 1, of_requests(tenant, 100, 40)).await;
    }
    // Still November in New York, December in Kathmandu.
    let end = month().window(&"Asia/Kathmandu".parse().unwrap()).unwrap().end;
    let record = |tenant, at, units, prepaid| {
        UsageEntry::Request(UsageRecord { at: Micros(at), units, prepaid, ..request(tenant) })
    };
    let entries = vec![
        record(customer, end.0 - 1, 3, false),
        record(customer, end.0, 5, false),
        record(customer, end.0 - 1, 7, true),
        record(sibling, end.0 - 1, 11, false),
    ];
    book(&store, &lane(1, 0), 0, entries).await;
    let used: std::collections::HashMap<_, _> =
        store.quota_leases().await.unwrap().into_iter().map(|lease| (lease.tenant, lease.used)).collect();
    // Credit pays for seven units: none of the customer's own month, and all of those above.
    assert_eq!((used[&customer], used[&reseller], used[&root]), (8, 21, 26));
    book(&store, &lane(1, 0), 4, vec![UsageEntry::End]).await;
    book(&store, &lane(1, 1), 0, vec![UsageEntry::End]).await;
    assert_eq!((granted(&store, customer).await, granted(&store, reseller).await), (8, 21));
    assert_eq!(granted(&store, root).await, 26);
}

/// What happens to a fleet; gateways and lanes are numbers modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    /// A gateway draws.
    Draw { gateway: usize, wanted: u64 },
    /// A gateway answers a request of so many units, and its record is in a lane of its journal.
    Answer { gateway: usize, lane: usize, units: u64 },
    /// A gateway gives back some of what it has in hand.
    Refund { gateway: usize, units: u64 },
    /// A gateway dies, and a new life of it begins.
    Crash { gateway: usize },
    /// Entries of any life, dead or not, reach the books; of a dead one that are all, its end with them.
    Drain { life: usize, lane: usize, entries: usize },
    /// What a lane has sent comes once more.
    Repeat { life: usize, lane: usize },
    /// An entry that waits in a lane is lost.
    Lose { life: usize, lane: usize },
}

/// One life of a gateway as it really was.
#[derive(Debug, Default)]
struct TrueLife {
    in_hand: u64,
    drawn: u64,
    used: u64,
    is_dead: bool,
    has_lost: bool,
    lanes: [TrueLane; 2],
}

#[derive(Debug, Default)]
struct TrueLane {
    /// Units of each entry; none of what is lost.
    entries: Vec<Option<u64>>,
    sent: usize,
    has_ended: bool,
}

struct Fleet {
    store: Store,
    tenant: TenantId,
    limit: u64,
    lives: Vec<TrueLife>,
    /// Index of the life of each gateway.
    gateways: [usize; 3],
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (gateway, lane, life) = (0..3_usize, 0..2_usize, 0..8_usize);
    let step = prop_oneof![
        3 => (gateway.clone(), 1..60_u64).prop_map(|(gateway, wanted)| Step::Draw { gateway, wanted }),
        5 => (gateway.clone(), lane.clone(), 1..12_u64)
            .prop_map(|(gateway, lane, units)| Step::Answer { gateway, lane, units }),
        1 => (gateway.clone(), 1..20_u64).prop_map(|(gateway, units)| Step::Refund { gateway, units }),
        1 => gateway.prop_map(|gateway| Step::Crash { gateway }),
        4 => (life.clone(), lane.clone(), 1..5_usize)
            .prop_map(|(life, lane, entries)| Step::Drain { life, lane, entries }),
        1 => (life.clone(), lane.clone()).prop_map(|(life, lane)| Step::Repeat { life, lane }),
        1 => (life, lane).prop_map(|(life, lane)| Step::Lose { life, lane }),
    ];
    prop::collection::vec(step, 1..70)
}

impl Fleet {
    async fn new(store: Store, limit: u64) -> Self {
        let tenant = root(&store).await.id;
        let lives = (0..3).map(|_| TrueLife::default()).collect();
        Self { store, tenant, limit, lives, gateways: [0, 1, 2] }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Draw { gateway, wanted } => {
                let life = self.gateways[gateway];
                let of_requests = of_requests(self.tenant, self.limit, wanted);
                let granted = draw(&self.store, life as u128, of_requests).await;
                self.lives[life].in_hand += granted;
                self.lives[life].drawn += granted;
            }
            Step::Answer { gateway, lane, units } => {
                let life = &mut self.lives[self.gateways[gateway]];
                if life.in_hand >= units {
                    life.in_hand -= units;
                    life.used += units;
                    life.lanes[lane].entries.push(Some(units));
                }
            }
            Step::Refund { gateway, units } => {
                let number = self.gateways[gateway];
                let life = &mut self.lives[number];
                let units = units.min(life.in_hand);
                if units > 0 {
                    life.in_hand -= units;
                    life.drawn -= units;
                    refund(&self.store, number as u128, self.tenant, units).await.unwrap();
                }
            }
            Step::Crash { gateway } => {
                self.lives[self.gateways[gateway]].is_dead = true;
                self.gateways[gateway] = self.lives.len();
                self.lives.push(TrueLife::default());
            }
            Step::Drain { life, lane, entries } => self.drain(life % self.lives.len(), lane, entries).await,
            Step::Repeat { life, lane } => self.repeat(life % self.lives.len(), lane).await,
            Step::Lose { life, lane } => {
                let number = life % self.lives.len();
                let life = &mut self.lives[number];
                let lane = &mut life.lanes[lane];
                if lane.entries[lane.sent..].first_mut().and_then(Option::take).is_some() {
                    life.has_lost = true;
                }
            }
        }
    }

    async fn drain(&mut self, number: usize, lane: usize, most: usize) {
        let life = &mut self.lives[number];
        let of_lane = &mut life.lanes[lane];
        let end = of_lane.entries.len().min(of_lane.sent.saturating_add(most));
        let mut entries = entries(self.tenant, &of_lane.entries[of_lane.sent..end]);
        if life.is_dead && end == of_lane.entries.len() {
            entries.push(UsageEntry::End);
            of_lane.has_ended = true;
        }
        let first_seq = of_lane.sent as u64;
        of_lane.sent = end;
        if !entries.is_empty() {
            book(&self.store, &self::lane(number as u128, u16::try_from(lane).unwrap()), first_seq, entries).await;
        }
    }

    async fn repeat(&self, number: usize, lane: usize) {
        let of_lane = &self.lives[number].lanes[lane];
        let mut entries = entries(self.tenant, &of_lane.entries[..of_lane.sent]);
        entries.extend(of_lane.has_ended.then_some(UsageEntry::End));
        if !entries.is_empty() {
            book(&self.store, &self::lane(number as u128, u16::try_from(lane).unwrap()), 0, entries).await;
        }
    }

    /// Drawn less given back less settled is what the store says is granted, and never above the limit.
    async fn check(&self) -> Result<(), TestCaseError> {
        let granted = granted(&self.store, self.tenant).await;
        let expected: u64 = self.lives.iter().map(|life| if life.is_settled() { life.used } else { life.drawn }).sum();
        prop_assert_eq!(granted, expected);
        prop_assert!(granted <= self.limit);
        prop_assert!(self.lives.iter().map(|life| life.used).sum::<u64>() <= self.limit);
        Ok(())
    }
}

impl TrueLife {
    fn is_settled(&self) -> bool {
        !self.has_lost && self.lanes.iter().all(|lane| lane.has_ended)
    }
}

fn entries(tenant: TenantId, units: &[Option<u64>]) -> Vec<UsageEntry> {
    let entry = |units: &Option<u64>| match units {
        Some(units) => UsageEntry::Request(UsageRecord { units: *units, ..request(tenant) }),
        None => UsageEntry::Lost,
    };
    units.iter().map(entry).collect()
}

fn no_unit_is_granted_twice_and_none_is_lost(
    fixture: &Fixture,
    limit: u64,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut fleet = Fleet::new(fixture.store().await, limit).await;
        for step in steps {
            fleet.step(step).await;
            fleet.check().await?;
        }
        for gateway in 0..3 {
            fleet.step(&Step::Crash { gateway }).await;
        }
        for life in 0..fleet.lives.len() {
            for lane in 0..2 {
                fleet.lives[life].is_dead = true;
                fleet.drain(life, lane, usize::MAX).await;
                fleet.repeat(life, lane).await;
            }
        }
        fleet.check().await?;
        let held = fleet.store.quota_leases().await.unwrap();
        let held_back = fleet.lives.iter().filter(|life| life.has_lost && life.drawn > 0).count();
        prop_assert!(held.iter().filter(|lease| lease.drawn > 0).count() == held_back);
        prop_assert!(fleet.store.audit(None).await.unwrap().is_clean());
        fleet.store.close().await;
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn on_sqlite_no_unit_is_granted_twice_and_none_is_lost(limit in 1..300_u64, steps in steps()) {
        no_unit_is_granted_twice_and_none_is_lost(&Fixture::sqlite(), limit, &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn on_postgres_no_unit_is_granted_twice_and_none_is_lost(limit in 1..300_u64, steps in steps()) {
        no_unit_is_granted_twice_and_none_is_lost(&Fixture::postgres(), limit, &steps)?;
    }
}
