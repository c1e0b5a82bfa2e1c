//! Leases of gateways that crash, drain late and lose entries, beside a model of them: no unit is
//! granted twice, and none is lost.

use common::{
    id::TenantId,
    store::Store,
    usage::{UsageEntry, UsageRecord},
};
use proptest::prelude::*;

use crate::{
    fixture::{Fixture, request, root},
    lease_close::{book, granted, lane},
    quota::{draw, of_requests, refund},
};

/// A step of a run. Gateways and lanes are numbers, taken modulo how many there are.
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
    /// Entries of any life, dead or not, reach the books; of a dead one that are all, its end with
    /// them.
    Drain { life: usize, lane: usize, entries: usize },
    /// The entries of a lane arrive once more.
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

struct Gateways {
    store: Store,
    tenant: TenantId,
    limit: u64,
    lives: Vec<TrueLife>,
    /// Index of the life of each gateway.
    current_lives: [usize; 3],
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

impl Gateways {
    async fn new(store: Store, limit: u64) -> Self {
        let tenant = root(&store).await.id;
        let lives = (0..3).map(|_| TrueLife::default()).collect();
        Self { store, tenant, limit, lives, current_lives: [0, 1, 2] }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Draw { gateway, wanted } => {
                let life = self.current_lives[gateway];
                let of_requests = of_requests(self.tenant, self.limit, wanted);
                let granted = draw(&self.store, life as u128, of_requests).await;
                self.lives[life].in_hand += granted;
                self.lives[life].drawn += granted;
            }
            Step::Answer { gateway, lane, units } => {
                let life = &mut self.lives[self.current_lives[gateway]];
                if life.in_hand >= units {
                    life.in_hand -= units;
                    life.used += units;
                    life.lanes[lane].entries.push(Some(units));
                }
            }
            Step::Refund { gateway, units } => {
                let number = self.current_lives[gateway];
                let life = &mut self.lives[number];
                let units = units.min(life.in_hand);
                if units > 0 {
                    life.in_hand -= units;
                    life.drawn -= units;
                    refund(&self.store, number as u128, self.tenant, units).await.unwrap();
                }
            }
            Step::Crash { gateway } => {
                self.lives[self.current_lives[gateway]].is_dead = true;
                self.current_lives[gateway] = self.lives.len();
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

    /// What open lives have drawn and closed lives have used is what the store says is granted, and
    /// never above the limit.
    async fn check(&self) -> Result<(), TestCaseError> {
        let granted = granted(&self.store, self.tenant).await;
        let expected: u64 = self.lives.iter().map(|life| if life.is_closed() { life.used } else { life.drawn }).sum();
        prop_assert_eq!(granted, expected);
        prop_assert!(granted <= self.limit);
        prop_assert!(self.lives.iter().map(|life| life.used).sum::<u64>() <= self.limit);
        Ok(())
    }
}

impl TrueLife {
    fn is_closed(&self) -> bool {
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
        let mut all = Gateways::new(fixture.store().await, limit).await;
        for step in steps {
            all.step(step).await;
            all.check().await?;
        }
        for gateway in 0..3 {
            all.step(&Step::Crash { gateway }).await;
        }
        for life in 0..all.lives.len() {
            for lane in 0..2 {
                all.lives[life].is_dead = true;
                all.drain(life, lane, usize::MAX).await;
                all.repeat(life, lane).await;
            }
        }
        all.check().await?;
        let held = all.store.quota_leases().await.unwrap();
        let held_back = all.lives.iter().filter(|life| life.has_lost && life.drawn > 0).count();
        prop_assert!(held.iter().filter(|lease| lease.drawn > 0).count() == held_back);
        prop_assert!(all.store.reconcile(None).await.unwrap().is_clean());
        all.store.close().await;
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sqlite_grants_no_unit_twice_and_loses_none(limit in 1..300_u64, steps in steps()) {
        no_unit_is_granted_twice_and_none_is_lost(&Fixture::sqlite(), limit, &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn postgres_grants_no_unit_twice_and_loses_none(limit in 1..300_u64, steps in steps()) {
        no_unit_is_granted_twice_and_none_is_lost(&Fixture::postgres(), limit, &steps)?;
    }
}
