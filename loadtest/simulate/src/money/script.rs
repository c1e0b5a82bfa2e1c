//! The steps of a history: all of them follow from the seed.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    model::{Agreed, ROOT},
    price::{Coupon, Plan, Tax},
};

/// Resellers are the tenants from 1 on.
pub(super) const RESELLERS: usize = 2;

/// All tenants, with the root.
pub(super) const TENANTS: usize = 9;

/// Clocks: of whole, half and quarter hours, with and without daylight saving, at both ends of the
/// day.
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Asia/Kathmandu",
    "America/St_Johns",
];

const TAXES: [Tax; 5] = [Tax::Nothing, Tax::OnTop(190), Tax::OnTop(81), Tax::Within(70), Tax::Within(190)];

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// 1 January 2026 in UTC, in microseconds.
const BEGIN: i64 = 1_767_225_600_000_000;

/// A history before it happens.
pub(super) struct Script {
    pub(super) zones: Vec<&'static str>,
    pub(super) taxes: Vec<Tax>,
    pub(super) months: u32,
    /// By time.
    pub(super) steps: Vec<Step>,
    pub(super) batches: Vec<Batch>,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: i64,
    /// Writes after which the program dies while it does so.
    pub(super) crash: Option<u32>,
    /// True if the answer is lost, so that it is asked for again.
    pub(super) is_repeated: bool,
    pub(super) act: Act,
}

/// Things that happen. A `pick` chooses among what there is then.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Assign { tenant: usize, plan: Plan, agreed: Agreed, at_period_end: bool },
    Redeem { tenant: usize, coupon: Coupon },
    Cancel { tenant: usize, at_period_end: bool },
    Move { tenant: usize, to: usize },
    Tax { tenant: usize, tax: Tax },
    Deliver { batch: usize },
    Run { month: u32 },
    Pay { pick: usize, percent: i128 },
    CreditNote { pick: usize, line: usize, percent: i128 },
    Refund { pick: usize, percent: i128 },
    Grant { tenant: usize, cents: i64, is_given: bool, days: Option<i64> },
    Expire,
    Void { pick: usize },
    WriteOff { pick: usize },
}

/// Records that a gateway hands in together.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) first_seq: u64,
    pub(super) records: Vec<Record>,
}

/// A record of usage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) tenant: usize,
    pub(super) at: i64,
    pub(super) units: u64,
    pub(super) prepaid: bool,
}

impl Script {
    pub(super) fn new(seed: u64, months: u32) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let zones = (0..TENANTS).map(|_| ZONES[random.random_range(0..ZONES.len())]).collect();
        let taxes = (0..TENANTS).map(|_| TAXES[random.random_range(0..TAXES.len())]).collect();
        let mut script = Self { zones, taxes, months, steps: Vec::new(), batches: Vec::new() };
        script.begin(&mut random);
        for month in 0..months {
            script.changes(month, &mut random);
            script.usage(month, &mut random);
            script.money(month, &mut random);
        }
        script.steps.sort_by_key(|step| step.at);
        // Nothing happens at the same instant as something else.
        let mut last = i64::MIN;
        for step in &mut script.steps {
            step.at = step.at.max(last + 1_000_000);
            last = step.at;
        }
        script
    }

    fn add(&mut self, random: &mut StdRng, at: i64, act: Act) {
        let crash = random.random_bool(0.2).then(|| random.random_range(0..12));
        self.steps.push(Step { at, crash, is_repeated: random.random_bool(0.15), act });
    }

    /// Resellers and most customers have a plan from the first month on.
    fn begin(&mut self, random: &mut StdRng) {
        for tenant in 1..TENANTS {
            if tenant <= RESELLERS || random.random_bool(0.8) {
                let at = start_of(0) + random.random_range(0..30 * DAY);
                let plan = some_plan(tenant, random);
                let agreed = some_terms(random);
                self.add(random, at, Act::Assign { tenant, plan, agreed, at_period_end: false });
            }
        }
    }

    /// Changes of plan and place.
    fn changes(&mut self, month: u32, random: &mut StdRng) {
        for _ in 0..random.random_range(0..4) {
            let at = moment(month, random);
            let (tenant, at_period_end) = (random.random_range(1..TENANTS), random.random_bool(0.3));
            let act = match random.random_range(0..12) {
                0..5 => {
                    let (plan, agreed) = (some_plan(tenant, random), some_terms(random));
                    Act::Assign { tenant, plan, agreed, at_period_end }
                }
                5 => Act::Cancel { tenant, at_period_end },
                6..9 => Act::Move { tenant, to: random.random_range(0..=RESELLERS) },
                9 => Act::Tax { tenant, tax: TAXES[random.random_range(0..TAXES.len())] },
                _ => Act::Redeem { tenant, coupon: Coupon::ALL[random.random_range(0..Coupon::ALL.len())] },
            };
            self.add(random, at, act);
        }
    }

    /// Usage that arrives soon or late, in any order, and now and then twice.
    fn usage(&mut self, month: u32, random: &mut StdRng) {
        for _ in 0..random.random_range(3..8) {
            let sent = moment(month, random);
            let first_seq = self.batches.last().map_or(0, |last| last.first_seq + last.records.len() as u64);
            let record = |random: &mut StdRng| {
                let ago = if random.random_bool(0.85) { DAY } else { 40 * DAY };
                Record {
                    tenant: random.random_range(1..TENANTS),
                    at: (sent - random.random_range(0..ago)).max(BEGIN),
                    units: random.random_range(1..150),
                    prepaid: random.random_bool(0.1),
                }
            };
            let records = (0..random.random_range(1..7)).map(|_| record(random)).collect();
            self.batches.push(Batch { first_seq, records });
            let batch = self.batches.len() - 1;
            let way = if random.random_bool(0.9) { HOUR } else { 20 * DAY };
            let arrives = sent + random.random_range(0..way);
            self.add(random, arrives, Act::Deliver { batch });
            if random.random_bool(0.2) {
                let again = arrives + random.random_range(0..10 * DAY);
                self.add(random, again, Act::Deliver { batch });
            }
        }
    }

    /// The run of the month, and what follows from invoices.
    fn money(&mut self, month: u32, random: &mut StdRng) {
        let after = start_of(month + 1) + 60 * HOUR;
        let at = after + random.random_range(0..DAY);
        self.add(random, at, Act::Run { month });
        if random.random_bool(0.4) {
            let at = after + random.random_range(DAY..40 * DAY);
            self.add(random, at, Act::Run { month });
        }
        let pick = |random: &mut StdRng| random.random_range(0..1_000_000);
        let percent = |random: &mut StdRng| if random.random_bool(0.6) { 100 } else { random.random_range(1..130) };
        for _ in 0..random.random_range(3..9) {
            let at = moment(month, random);
            let act = match random.random_range(0..20) {
                0..9 => Act::Pay { pick: pick(random), percent: percent(random) },
                9..12 => {
                    Act::CreditNote { pick: pick(random), line: random.random_range(0..6), percent: percent(random) }
                }
                12..14 => Act::Refund { pick: pick(random), percent: percent(random) },
                14..17 => Act::Grant {
                    tenant: random.random_range(1..TENANTS),
                    cents: random.random_range(1..9_000),
                    is_given: random.random_bool(0.5),
                    days: random.random_bool(0.5).then(|| random.random_range(1..90)),
                },
                17 => Act::Expire,
                18 => Act::Void { pick: pick(random) },
                _ => Act::WriteOff { pick: pick(random) },
            };
            self.add(random, at, act);
        }
    }
}

fn start_of(month: u32) -> i64 {
    BEGIN + i64::from(month) * 30 * DAY + i64::from(month) * 10 * HOUR
}

fn moment(month: u32, random: &mut StdRng) -> i64 {
    start_of(month) + random.random_range(0..30 * DAY)
}

/// Now and then a trial, a discount, or both.
fn some_terms(random: &mut StdRng) -> Agreed {
    let trial_days = if random.random_bool(0.2) { random.random_range(1..40) } else { 0 };
    let percent_off = if random.random_bool(0.25) { random.random_range(1..60) } else { 0 };
    Agreed { trial_days, percent_off }
}

fn some_plan(tenant: usize, random: &mut StdRng) -> Plan {
    if (ROOT + 1..=RESELLERS).contains(&tenant) && random.random_bool(0.7) {
        return Plan::Bulk;
    }
    [Plan::Flat, Plan::Tiered, Plan::Pack, Plan::Bare, Plan::Retail][random.random_range(0..5)]
}
