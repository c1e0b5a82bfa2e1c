//! Hard quotas on bills: what was used beyond one is owed to nobody's bill.
//!
//! Each hard quota has one row per month of its holder, for the holder and everybody below it, as
//! the store has ([`Store::quotas`]). The rule is that of the store, applied to what is booked:
//! units count against every row on the way up of their time, in the order of their time. A row
//! lets pass as many as the limit in force leaves; what is beyond is owed, and is let pass, first
//! things first, when a later plan of the same month raises the limit.
//!
//! Invariant: units on bills never exceed the highest limit of a row's month, and a unit is on the
//! bill of its own time or on none: the row of a month takes nothing from another month's.

use std::collections::{HashMap, VecDeque};

use common::{
    id::TenantId,
    key::Mode,
    plan::price::Measured,
    store::Store,
    time::{Micros, Period, TimeError, Window, Zone},
    usage::{PaidBy, rollup::UsageRollup},
};

use super::{
    InvoiceError,
    payers::{Payer, Payers},
    plans::Plans,
};

/// Hard quotas of all plans that may have a bearing on a period, and what is used of them.
#[derive(Default)]
pub(super) struct Caps {
    /// By holder, for each of its subscriptions by place.
    holders: HashMap<TenantId, Holder>,
    rows: HashMap<(TenantId, Period), Vec<(String, Row)>>,
    sums: Vec<Beyond>,
}

/// A tenant whose own plans state hard quotas.
struct Holder {
    zone: Result<Zone, TimeError>,
    /// By the place of the subscription.
    plans: Vec<Stated>,
}

/// The hard quotas of a plan.
enum Stated {
    /// By meter: none of most.
    Limits(Vec<(String, u64)>),
    /// The plan could not be read.
    Unreadable,
}

/// One quota in one month.
struct Row {
    /// Limits that come into force within the month, in order.
    steps: VecDeque<(Micros, u64)>,
    limit: u64,
    passed: u64,
    /// Units that are owed, in the order of their use: index of the sum, index of its part.
    owed: VecDeque<(usize, usize)>,
}

/// A sum that some row did not let pass whole, and of which a later limit may let pass more.
struct Beyond {
    /// The payers whose bills have it.
    payers: Vec<Payer>,
    /// The time of its first usage.
    at: Micros,
    meter: String,
    /// All that the sum counts.
    measured: Measured,
    /// Its last units, as many as each of those rows did not let pass.
    parts: Vec<u64>,
}

/// Usage of one sum that no bill may hold, whatever comes later.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    /// The payers whose bills have it.
    pub(super) payers: Vec<Payer>,
    pub(super) beyond: Measured,
}

/// A quota that bears on a bill is not known.
#[derive(Debug, Clone)]
pub(super) enum UnknownCap {
    /// The time zone of a holder is unknown.
    Clock { tenant: TenantId, source: TimeError },
    /// The plan of a holder was not read.
    Plan(TenantId),
}

impl From<UnknownCap> for InvoiceError {
    fn from(unknown: UnknownCap) -> Self {
        match unknown {
            UnknownCap::Clock { tenant, source } => Self::Clock { tenant, source },
            UnknownCap::Plan(tenant) => Self::Plan(tenant),
        }
    }
}

impl Caps {
    /// The hard quotas of plans in force at any instant of `window`. `zones` are those of all
    /// tenants.
    pub(super) async fn read(
        store: &Store,
        payers: &Payers,
        zones: impl Iterator<Item = (TenantId, Result<Zone, TimeError>)>,
        window: Window,
        plans: &mut Plans,
    ) -> Result<Self, InvoiceError> {
        let mut caps = Self::default();
        for (tenant, zone) in zones {
            let (first, subscriptions) = payers.within(tenant, window);
            let mut stated: Vec<Stated> = (0..first).map(|_| Stated::Limits(Vec::new())).collect();
            for subscription in subscriptions {
                let read = plans.read(store, subscription).await.map_err(InvoiceError::from);
                stated.push(match read {
                    Ok(()) => Stated::Limits(plans.known(subscription).map(hard_quotas).unwrap_or_default()),
                    Err(error) if error.is_of_one_tenant() => Stated::Unreadable,
                    Err(error) => return Err(error),
                });
            }
            if stated.iter().any(Stated::may_cap) {
                caps.holders.insert(tenant, Holder { zone, plans: stated });
            }
        }
        Ok(caps)
    }

    /// Returns true if anybody who was ever above the tenant holds a quota that it shares.
    pub(super) fn reach(&self, payers: &Payers, tenant: TenantId) -> bool {
        !self.holders.is_empty()
            && payers.ever_above(tenant).iter().any(|above| *above != tenant && self.holders.contains_key(above))
    }

    /// Returns true if the tenant, or anybody who was ever above it, holds a quota.
    pub(super) fn bear_on(&self, payers: &Payers, tenant: TenantId) -> bool {
        !self.holders.is_empty() && payers.ever_above(tenant).iter().any(|holder| self.holders.contains_key(holder))
    }

    /// The smallest window that holds `hull` and every month, on its holder's clock, of a quota
    /// that units of `windows` count against.
    pub(super) fn widen(
        &self,
        payers: &Payers,
        windows: impl Iterator<Item = (TenantId, Window)>,
        mut hull: Window,
    ) -> Window {
        if self.holders.is_empty() {
            return hull;
        }
        for (payer, window) in windows {
            for above in payers.ever_above(payer) {
                let Some(Ok(zone)) = self.holders.get(&above).map(|holder| &holder.zone) else { continue };
                for at in [window.start, Micros(window.end.0.saturating_sub(1))] {
                    if let Some(month) = month(at, zone) {
                        hull = Window { start: hull.start.min(month.start), end: hull.end.max(month.end) };
                    }
                }
            }
        }
        hull
    }

    /// Counts a sum against every row on its way up; sums come in the order of their time. `billed`
    /// are those who have it on the bill of the period. Returns what is beyond for good; what a
    /// later limit may let pass is told by [`Self::beyond`]. An error: what bears on their bills is
    /// not known.
    pub(super) fn count(
        &mut self,
        payers: &Payers,
        sum: &UsageRollup,
        billed: &[Payer],
    ) -> Result<HeldBack, UnknownCap> {
        let mut held = HeldBack::default();
        if self.holders.is_empty() || !sum.billable || sum.mode == Mode::Test {
            return Ok(held);
        }
        let (mut parts, mut may_pass, mut result) = (Vec::new(), false, Ok(()));
        for (tenant, subscription) in payers.plans_above(sum.tenant, sum.since) {
            // What its own credit pays for is not of the month.
            if tenant == sum.tenant && sum.paid == PaidBy::Credit {
                continue;
            }
            let Some(holder) = self.holders.get(&tenant) else { continue };
            match holder.caps(tenant, subscription, &sum.meter) {
                Ok(true) => {
                    if let Some((part, may_pass_later)) = self.beyond_row(payers, tenant, sum, parts.len()) {
                        parts.push(part);
                        may_pass |= may_pass_later;
                    }
                }
                Ok(false) => {}
                // A payer that holds it cannot be billed by that plan, and says so itself.
                Err(_) if billed.iter().any(|payer| payer.bill.tenant == tenant) => {}
                Err(error) => result = Err(error),
            }
        }
        if !parts.is_empty() {
            let owes = |payer: &&Payer| sum.paid == PaidBy::Charge || payer.wholesale;
            let payers = billed.iter().filter(owes).copied().collect();
            let measured = Measured { units: sum.units, requests: sum.requests };
            let sum = Beyond { payers, at: sum.since, meter: sum.meter.clone(), measured, parts };
            // Most months have one limit. What is beyond it is not kept: there may be millions.
            if may_pass {
                self.sums.push(sum);
            } else {
                held = HeldBack { beyond: sum.beyond(), payers: sum.payers };
            }
        }
        result.map(|()| held)
    }

    /// Units of a sum that the row of a holder does not let pass, if there are any, and true if a
    /// later limit may let them pass. Then they will be the part of this number of the next one of
    /// `sums`.
    fn beyond_row(&mut self, payers: &Payers, tenant: TenantId, sum: &UsageRollup, part: usize) -> Option<(u64, bool)> {
        let place = self.sums.len();
        let (row, sums) = self.row(payers, tenant, sum)?;
        row.advance(sum.since, sums);
        let beyond = row.pass(sum.units);
        let may_pass = !row.steps.is_empty();
        if may_pass && beyond > 0 {
            row.owed.push_back((place, part));
        }
        (beyond > 0).then_some((beyond, may_pass))
    }

    /// Usage that no bill may hold, by payer, time and meter, once all sums are counted: of sums
    /// that a later limit might have let pass.
    pub(super) fn beyond(mut self) -> impl Iterator<Item = (Payer, Micros, String, Measured)> {
        for (_, row) in self.rows.values_mut().flatten() {
            row.advance(Micros(i64::MAX), &mut self.sums);
        }
        self.sums.into_iter().flat_map(|sum| {
            let beyond = sum.beyond();
            let held = if beyond.units > 0 { sum.payers } else { Vec::new() };
            held.into_iter().map(move |payer| (payer, sum.at, sum.meter.clone(), beyond))
        })
    }

    /// The row of the quota of `holder` that a sum counts against, and all sums.
    fn row(&mut self, payers: &Payers, tenant: TenantId, sum: &UsageRollup) -> Option<(&mut Row, &mut Vec<Beyond>)> {
        let holder = self.holders.get(&tenant)?;
        let zone = holder.zone.as_ref().ok()?;
        let period = Period::containing(sum.since, zone).ok()?;
        let rows = self.rows.entry((tenant, period)).or_default();
        let known = rows.iter().position(|(meter, _)| *meter == sum.meter);
        if known.is_none() {
            let steps = holder.steps(payers, tenant, period.window(zone).ok()?, &sum.meter);
            rows.push((sum.meter.clone(), Row::new(steps)));
        }
        let place = known.unwrap_or(rows.len() - 1);
        Some((&mut rows.get_mut(place)?.1, &mut self.sums))
    }
}

impl Beyond {
    /// Its usage that no row lets pass. A request counts among it if all its units do; of several in
    /// one sum, as many as units, rounded down.
    fn beyond(&self) -> Measured {
        let units = self.parts.iter().copied().max().unwrap_or(0);
        Measured { units, requests: self.measured.requests_of(units) }
    }
}

impl Holder {
    /// Returns true if the plan of a subscription caps the meter in a known month.
    fn caps(&self, tenant: TenantId, subscription: usize, meter: &str) -> Result<bool, UnknownCap> {
        match self.plans.get(subscription) {
            Some(Stated::Limits(limits)) if limits.iter().any(|(of, _)| of == meter) => {
                let known = self.zone.as_ref().map(|_| true);
                known.map_err(|source| UnknownCap::Clock { tenant, source: source.clone() })
            }
            Some(Stated::Limits(_)) | None => Ok(false),
            Some(Stated::Unreadable) => Err(UnknownCap::Plan(tenant)),
        }
    }

    /// Limits of a meter within a month, by when they come into force.
    fn steps(&self, payers: &Payers, tenant: TenantId, month: Window, meter: &str) -> VecDeque<(Micros, u64)> {
        let (first, subscriptions) = payers.within(tenant, month);
        let stated = self.plans.iter().skip(first);
        let steps = subscriptions.iter().zip(stated).filter_map(|(subscription, stated)| {
            let Stated::Limits(limits) = stated else { return None };
            let (_, limit) = limits.iter().find(|(of, _)| of == meter)?;
            Some((subscription.starts_at, *limit))
        });
        steps.collect()
    }
}

impl Stated {
    const fn may_cap(&self) -> bool {
        match self {
            Self::Limits(limits) => !limits.is_empty(),
            Self::Unreadable => true,
        }
    }
}

impl Row {
    const fn new(steps: VecDeque<(Micros, u64)>) -> Self {
        Self { steps, limit: 0, passed: 0, owed: VecDeque::new() }
    }

    /// Brings the limit in force at `at` into force. Every limit on the way lets pass what is owed,
    /// as far as it goes.
    fn advance(&mut self, at: Micros, sums: &mut [Beyond]) {
        while let Some((_, limit)) = self.steps.pop_front_if(|(start, _)| *start <= at) {
            self.limit = limit;
            while let Some((sum, part)) = self.owed.front() {
                let Some(owed) = sums.get_mut(*sum).and_then(|sum| sum.parts.get_mut(*part)) else { break };
                let paid = self.limit.saturating_sub(self.passed).min(*owed);
                *owed -= paid;
                self.passed += paid;
                if *owed > 0 {
                    break;
                }
                self.owed.pop_front();
            }
        }
    }

    /// Lets units pass as far as the limit goes, and says how many are beyond it.
    fn pass(&mut self, units: u64) -> u64 {
        let passed = self.limit.saturating_sub(self.passed).min(units);
        self.passed += passed;
        units - passed
    }
}

fn hard_quotas(version: &common::plan::PlanVersion) -> Vec<(String, u64)> {
    let hard = version.plan.quotas.iter().filter(|quota| quota.kind.is_hard());
    hard.map(|quota| (quota.meter.clone(), quota.per_month)).collect()
}

fn month(at: Micros, zone: &Zone) -> Option<Window> {
    Period::containing(at, zone).ok()?.window(zone).ok()
}

#[cfg(test)]
mod tests;
