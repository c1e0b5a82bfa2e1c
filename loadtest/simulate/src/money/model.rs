//! The plain model of who pays for what: the whole history told as lists, and asked anew each time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil::date, tz::TimeZone};

use super::price::{Plan, Tax, rounded};

/// The root, which sells.
pub(super) const ROOT: usize = 0;

/// The first month.
const YEAR: i16 = 2026;

/// A tenant that pays, and the one that it pays to.
pub(super) type Bill = (usize, usize);

/// A right to use a plan, from an instant on, perhaps up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) plan: Plan,
    pub(super) issuer: usize,
    pub(super) start: i64,
    pub(super) end: Option<i64>,
}

/// A tenant over time.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    zone: TimeZone,
    subscriptions: Vec<Subscription>,
    /// Since when under whom.
    parents: Vec<(i64, usize)>,
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
        Ok(Self { zone, subscriptions: Vec::new(), parents: vec![(i64::MIN, parent)], tax })
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

    /// Gives a plan from an instant on; what was ahead is dropped.
    pub(super) fn assign(&mut self, plan: Plan, issuer: usize, start: i64, now: i64) {
        let same =
            |last: &Subscription| (last.plan, last.issuer, last.end) == (plan, issuer, None) && last.start <= start;
        if !self.subscriptions.last().is_some_and(same) {
            self.end(start, now);
            self.subscriptions.push(Subscription { plan, issuer, start, end: None });
        }
    }

    /// Ends its plan at an instant.
    pub(super) fn cancel(&mut self, end: i64, now: i64) {
        let last = self.subscriptions.last();
        if last.is_some_and(|last| last.end.is_none_or(|ends| ends > end)) {
            self.end(end, now);
        }
    }

    fn end(&mut self, end: i64, now: i64) {
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
            for (bill, plan) in self.payers(one.tenant, one.at) {
                let (start, end) = windows[bill.0];
                // Credit frees its own tenant, and nobody who pays for a subtree.
                let is_paid = one.prepaid && !(plan.is_wholesale() && bill.0 != one.tenant);
                if start <= one.at && one.at < end {
                    let units = usage.entry(bill).or_default();
                    units.records += 1;
                    units.owed += if plan.prices_units() && !is_paid { i128::from(one.units) } else { 0 };
                }
            }
        }
        Ok(usage)
    }

    /// The payers of a tenant's usage: for each issuer the nearest on the way up that has a plan
    /// of it, and above that whoever has a wholesale plan.
    fn payers(&self, tenant: usize, at: i64) -> Vec<(Bill, Plan)> {
        let (mut payers, mut level): (Vec<(Bill, Plan)>, _) = (Vec::new(), tenant);
        while level != ROOT {
            if let Some(one) = self.tenants[level].in_force(at) {
                let is_new = payers.iter().all(|((_, issuer), _)| *issuer != one.issuer);
                if is_new || one.plan.is_wholesale() {
                    payers.push(((level, one.issuer), one.plan));
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
        let mut sum = if last.plan.is_by_time() { 0 } else { last.plan.fee() };
        let mut shares: BTreeMap<i128, i128> = BTreeMap::new();
        for one in plans.iter().filter(|one| one.plan.is_by_time()) {
            let end = one.end.unwrap_or(i64::MAX).min(window.1);
            *shares.entry(one.plan.fee()).or_default() += i128::from(end) - i128::from(one.start.max(window.0));
        }
        let length = i128::from(window.1) - i128::from(window.0);
        sum += shares.into_iter().map(|(fee, share)| rounded(fee * share, length)).sum::<i128>();
        let pricing = plans.iter().rev().find(|one| one.plan.prices_units());
        Ok(sum + pricing.map_or(0, |one| one.plan.price(units)))
    }
}
