//! The plain model of who pays for what: the whole history told as lists, and asked anew each time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil::date, tz::TimeZone};

use super::price::{Coupon, Line, Plan, Tax, rounded, split};

/// The root, which sells.
pub(super) const ROOT: usize = 0;

/// The first month.
const YEAR: i16 = 2026;

/// Microseconds of a day of a trial.
const DAY: i64 = 86_400_000_000;

/// A tenant that pays, and the one that it pays to.
pub(super) type Bill = (usize, usize);

/// A right to use a plan, from an instant on, perhaps up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) plan: Plan,
    pub(super) issuer: usize,
    pub(super) start: i64,
    pub(super) end: Option<i64>,
    pub(super) terms: Terms,
}

/// Terms of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// True while nothing is charged.
    pub(super) is_trial: bool,
    /// Percent off every line.
    pub(super) percent_off: i128,
}

/// Terms that are agreed on with a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) trial_days: u32,
    pub(super) percent_off: i128,
}

/// A tenant over time.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    zone: TimeZone,
    subscriptions: Vec<Subscription>,
    /// Since when under whom.
    parents: Vec<(i64, usize)>,
    /// Coupons of the root, by the time at which they were redeemed.
    coupons: Vec<(i64, Coupon)>,
    pub(super) tax: Tax,
}

/// Something that was used and is booked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) tenant: usize,
    pub(super) at: i64,
    pub(super) units: u64,
    /// True if credit of the tenant paid for it.
    pub(super) prepaid: bool,
}

/// Usage of a bill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Units {
    /// Units that a plan charges or includes.
    pub(super) owed: i128,
    /// Records, whether anything is owed for them or not.
    pub(super) records: i128,
}

/// All tenants, and all that they have used.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tenants: Vec<Tenant>,
    pub(super) used: Vec<Use>,
}

impl Tenant {
    pub(super) fn new(zone: &str, parent: usize, tax: Tax) -> Result<Self, jiff::Error> {
        let zone = TimeZone::get(zone)?;
        Ok(Self { zone, subscriptions: Vec::new(), parents: vec![(i64::MIN, parent)], coupons: Vec::new(), tax })
    }

    /// The first instant of a month on its clock, and that of the next, in microseconds.
    pub(super) fn window(&self, month: u32) -> Result<(i64, i64), jiff::Error> {
        let start = |month: i16| {
            let (year, month) = (YEAR + month.div_euclid(12), month.rem_euclid(12) + 1);
            let first = date(year, i8::try_from(month).unwrap_or(1), 1).to_zoned(self.zone.clone())?;
            Ok::<_, jiff::Error>(first.timestamp().as_microsecond())
        };
        let month = i16::try_from(month).unwrap_or(i16::MAX - 1);
        Ok((start(month)?, start(month + 1)?))
    }

    fn in_force(&self, at: i64) -> Option<&Subscription> {
        let holds = |one: &&Subscription| one.start <= at && one.end.is_none_or(|end| at < end);
        self.subscriptions.iter().rev().find(holds)
    }

    pub(super) fn parent(&self, at: i64) -> usize {
        self.parents.iter().rev().find(|(from, _)| *from <= at).map_or(ROOT, |(_, parent)| *parent)
    }

    /// Gives a plan from an instant on, perhaps after a trial of some days; what was ahead is
    /// dropped.
    pub(super) fn assign(&mut self, (plan, issuer): (Plan, usize), agreed: Agreed, start: i64, now: i64) {
        let terms = Terms { is_trial: false, percent_off: agreed.percent_off };
        let same = |last: &Subscription| {
            (last.plan, last.issuer, last.end, last.terms) == (plan, issuer, None, terms) && last.start <= start
        };
        if agreed.trial_days == 0 && self.subscriptions.last().is_some_and(same) {
            return;
        }
        self.end(start, now);
        let end = start + i64::from(agreed.trial_days) * DAY;
        if end > start {
            let terms = Terms { is_trial: true, ..terms };
            self.subscriptions.push(Subscription { plan, issuer, start, end: Some(end), terms });
        }
        self.subscriptions.push(Subscription { plan, issuer, start: end, end: None, terms });
    }

    /// Redeems a coupon of the root, once.
    pub(super) fn redeem(&mut self, coupon: Coupon, now: i64) {
        if self.coupons.iter().all(|(_, known)| *known != coupon) {
            self.coupons.push((now, coupon));
        }
    }

    /// Coupons that count for a month, in the order in which they were redeemed.
    fn coupons(&self, (start, end): (i64, i64)) -> impl Iterator<Item = Coupon> {
        let counts = move |(at, coupon): &&(i64, Coupon)| match coupon {
            Coupon::Seven => start <= *at && *at < end,
            Coupon::Tenth | Coupon::ThirdOfUnits => *at < end,
        };
        self.coupons.iter().filter(counts).map(|(_, coupon)| *coupon)
    }

    /// Ends its plan at an instant.
    pub(super) fn cancel(&mut self, end: i64, now: i64) {
        let last = self.subscriptions.last();
        if last.is_some_and(|last| last.end.is_none_or(|ends| ends > end)) {
            self.end(end, now);
        }
    }

    /// Drops what is ahead, but for what follows a trial that is over before.
    fn end(&mut self, end: i64, now: i64) {
        let trial = self.in_force(now).filter(|one| one.terms.is_trial).and_then(|one| one.end);
        let follows = trial.filter(|ends| *ends < end && self.subscriptions.iter().any(|one| one.start == *ends));
        let now = follows.unwrap_or(now);
        self.subscriptions.retain(|one| one.start <= now && one.start < end);
        for one in self.subscriptions.iter_mut().filter(|one| one.end.is_none_or(|ends| ends > now)) {
            one.end = Some(end);
        }
    }

    pub(super) fn move_to(&mut self, parent: usize, now: i64) {
        self.parents.push((now, parent));
    }

    /// Its plans of an issuer in a month, by start.
    fn plans_of(&self, issuer: usize, (start, end): (i64, i64)) -> Vec<Subscription> {
        let overlaps = |one: &&Subscription| one.start < end && one.end.is_none_or(|ends| ends > start);
        self.subscriptions.iter().filter(overlaps).filter(|one| one.issuer == issuer).copied().collect()
    }

    /// Issuers of its plans of a month.
    pub(super) fn issuers(&self, month: u32) -> Result<BTreeSet<usize>, jiff::Error> {
        let (start, end) = self.window(month)?;
        let overlaps = |one: &&Subscription| one.start < end && one.end.is_none_or(|ends| ends > start);
        Ok(self.subscriptions.iter().filter(overlaps).map(|one| one.issuer).collect())
    }
}

impl Units {
    /// The part of it that is beyond what was billed.
    pub(super) const fn less(self, billed: Self) -> Self {
        Self { owed: self.owed - billed.owed, records: self.records - billed.records }
    }
}

impl Model {
    /// Usage of a month by bill.
    pub(super) fn usage(&self, month: u32) -> Result<BTreeMap<Bill, Units>, jiff::Error> {
        let windows: Result<Vec<_>, _> = self.tenants.iter().map(|tenant| tenant.window(month)).collect();
        let (windows, mut usage) = (windows?, BTreeMap::<Bill, Units>::new());
        for one in &self.used {
            for (bill, payer) in self.payers(one.tenant, one.at) {
                let ((start, end), plan) = (windows[bill.0], payer.plan);
                // Credit frees its own tenant, and nobody who pays for a subtree.
                let is_paid = one.prepaid && !(plan.is_wholesale() && bill.0 != one.tenant);
                if start <= one.at && one.at < end {
                    let units = usage.entry(bill).or_default();
                    units.records += 1;
                    let is_owed = plan.prices_units() && !payer.terms.is_trial && !is_paid;
                    units.owed += if is_owed { i128::from(one.units) } else { 0 };
                }
            }
        }
        Ok(usage)
    }

    /// The payers of a tenant's usage: for each issuer the nearest on the way up that has a plan
    /// of it, and above that whoever has a wholesale plan.
    fn payers(&self, tenant: usize, at: i64) -> Vec<(Bill, Subscription)> {
        let (mut payers, mut level): (Vec<(Bill, Subscription)>, _) = (Vec::new(), tenant);
        while level != ROOT {
            if let Some(one) = self.tenants[level].in_force(at) {
                let is_new = payers.iter().all(|((_, issuer), _)| *issuer != one.issuer);
                if is_new || one.plan.is_wholesale() {
                    payers.push(((level, one.issuer), *one));
                }
            }
            level = self.tenants[level].parent(at);
        }
        payers
    }

    /// The sum of a bill's lines if so many units are owed, in cents.
    pub(super) fn due(&self, (tenant, issuer): Bill, month: u32, units: i128) -> Result<i128, jiff::Error> {
        let tenant = &self.tenants[tenant];
        let window = tenant.window(month)?;
        let plans = tenant.plans_of(issuer, window);
        let Some(last) = plans.last() else { return Ok(0) };
        let mut lines = fees(&plans, window);
        let pricing = plans.iter().rev().find(|one| one.plan.prices_units() && !one.terms.is_trial);
        lines.extend(pricing.map(|one| one.plan.lines(units)).unwrap_or_default());
        let off = |line: &Line| rounded(line.amount * last.terms.percent_off, 100);
        let sum = |is_metered: bool| -> i128 {
            let alike = lines.iter().filter(|line| line.is_metered == is_metered);
            alike.map(|line| line.amount - off(line)).sum()
        };
        let mut left = [sum(false), sum(true)];
        if issuer == ROOT {
            for coupon in tenant.coupons(window) {
                left = coupon.take_off(left);
            }
        }
        Ok(left[0] + left[1])
    }
}

/// The flat fees of a month: in full of the last plan, or of each plan for its time. Fees that are
/// alike are rounded together.
fn fees(plans: &[Subscription], window: (i64, i64)) -> Vec<Line> {
    let fee = |amount| Line { is_metered: false, amount };
    let mut lines = Vec::new();
    if let Some(last) = plans.last().filter(|last| !last.plan.is_by_time() && !last.terms.is_trial) {
        lines.push(fee(last.plan.fee()));
    }
    let length = i128::from(window.1) - i128::from(window.0);
    let mut shares: BTreeMap<i128, Vec<i128>> = BTreeMap::new();
    for one in plans.iter().filter(|one| one.plan.is_by_time() && !one.terms.is_trial) {
        let end = one.end.unwrap_or(i64::MAX).min(window.1);
        shares.entry(one.plan.fee()).or_default().push(i128::from(end) - i128::from(one.start.max(window.0)));
    }
    for (amount, shares) in shares {
        let all = rounded(amount * shares.iter().sum::<i128>(), length);
        lines.extend(split(all, &shares).into_iter().map(fee));
    }
    lines
}
