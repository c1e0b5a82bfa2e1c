//! Usage and refusals of a period, given to their payers.
//!
//! The database sums usage over keys, routes and hours, a slice of a day at a time, and two slices
//! are on their way while one is added: memory grows with tenants and meters, not with the rows of a
//! month. A sum may only hold usage that is alike in all that decides about bills. So two kinds of
//! tenants are read in more detail: one whose payers, plan or period change within a slice, by
//! instant; one below a hard quota, row by row in the order of time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use common::{
    id::TenantId,
    plan::price::Measured,
    store::{Store, StoreError},
    tenant::TenantAccount,
    time::{Micros, Window},
    usage::{
        PaidBy,
        rollup::{RefusalRollup, UsageFilter, UsageRollup},
        sum::UsageSum,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    InvoiceError, UnbilledUsage,
    caps::{Caps, HeldBack, UnknownCap},
    payers::{Payer, PeriodBill},
    period::BillingPeriod,
    progress::{Progress, Watch},
};
use crate::rating::{RatingError, Totals, Used};

/// Longest part of the period that one query sums.
const SLICE_MICROS: i64 = 86_400 * Micros::PER_SECOND;

/// Tenants about which something changes at the same instant: from so many on, a slice is cut there,
/// so that they need not be read in more detail. Months of one time zone begin together.
const TURNING_TOGETHER: usize = 8;

/// Slices that are read at the same time.
const SLICES_AT_ONCE: usize = 2;

/// Length of the hour by which refusals are summed.
const HOUR_SECONDS: i64 = 3_600;

/// Usage and refusals of the period.
#[derive(Default)]
pub(super) struct Recorded {
    /// Billed usage.
    pub(super) billed: Totals<PeriodBill>,
    /// Usage without a payer, and usage of unknown tenants.
    pub(super) unpaid: Totals,
    /// By the bill of the nearest payer.
    pub(super) refused: HashMap<PeriodBill, u64>,
    pub(super) failed: BTreeMap<TenantId, InvoiceError>,
}

/// The tenants whose usage is read, and in which detail.
struct Scan {
    /// The only tenant; all of them if none.
    asked: Option<TenantId>,
    /// Tenants below a hard quota.
    capped: Vec<TenantId>,
    is_capped: HashSet<TenantId>,
    /// Instants at which something about a tenant changes, in order.
    turns: Vec<(Micros, TenantId)>,
    /// The periods of all payers.
    hull: Window,
}

/// Usage and refusals that were read of a slice.
struct Slice {
    window: Window,
    sums: Vec<UsageSum>,
    /// Of tenants below a hard quota.
    rollups: Vec<UsageRollup>,
    refusals: Vec<RefusalRollup>,
}

impl Scan {
    fn new(period: &BillingPeriod, caps: &Caps) -> Self {
        // A tenant that never had tenants below it pays for itself alone, and shares no quota
        // unless a tenant above has one.
        let is_alone = |only: &TenantId| !period.payers.has_others_below(*only) && !caps.reach(&period.payers, *only);
        let asked = period.only.filter(is_alone);
        let accounts = || period.accounts.iter().map(|account| account.id);
        let concerned = || accounts().filter(|tenant| asked.is_none_or(|asked| asked == *tenant));
        let capped: Vec<TenantId> = concerned().filter(|tenant| caps.bear_on(&period.payers, *tenant)).collect();
        let hull = period.hull();
        let mut turns = Vec::new();
        for tenant in concerned() {
            let within = period.turns(tenant).filter(|at| hull.contains(*at));
            turns.extend(within.map(|at| (at, tenant)));
        }
        turns.sort_unstable();
        turns.dedup();
        Self { asked, is_capped: capped.iter().copied().collect(), capped, turns, hull }
    }

    /// Instants at which something changes about many tenants, in order.
    fn cuts(&self) -> Vec<Micros> {
        let together = self.turns.chunk_by(|(one, _), (other, _)| one == other);
        together.filter(|turns| turns.len() >= TURNING_TOGETHER).filter_map(|turns| Some(turns.first()?.0)).collect()
    }

    /// Tenants about which something changes within a window, after its start.
    fn turning(&self, window: Window) -> BTreeSet<TenantId> {
        let first = self.turns.partition_point(|(at, _)| *at <= window.start);
        let last = self.turns.partition_point(|(at, _)| *at < window.end);
        let turning = self.turns.get(first..last).unwrap_or_default();
        turning.iter().map(|(_, tenant)| *tenant).filter(|tenant| !self.is_capped.contains(tenant)).collect()
    }

    async fn slice(&self, store: &Store, window: Window) -> Result<Slice, StoreError> {
        let sums = match self.asked {
            _ if !self.hull.contains(window.start) => Vec::new(),
            Some(tenant) if self.is_capped.contains(&tenant) => Vec::new(),
            Some(tenant) => store.usage_sums_by_instant(&[tenant], window).await?,
            None => self.sums(store, window).await?,
        };
        let rollups = if self.capped.is_empty() { Vec::new() } else { store.usage_of(&self.capped, window).await? };
        let refusals = store.refusals(&UsageFilter { tenant: self.asked, window: Some(window) }).await?;
        Ok(Slice { window, sums, rollups, refusals })
    }

    /// Sums of all tenants that are not below a hard quota.
    async fn sums(&self, store: &Store, window: Window) -> Result<Vec<UsageSum>, StoreError> {
        let turning = self.turning(window);
        let mut sums = store.usage_sums(window).await?;
        sums.retain(|sum| !self.is_capped.contains(&sum.tenant) && !turning.contains(&sum.tenant));
        let turning: Vec<TenantId> = turning.into_iter().collect();
        sums.extend(store.usage_sums_by_instant(&turning, window).await?);
        Ok(sums)
    }
}

impl Recorded {
    /// Reads the usage and refusals of all payers, or of the only one asked for.
    pub(super) async fn read(
        store: &Store,
        period: &BillingPeriod,
        mut caps: Caps,
        watch: Watch<'_>,
    ) -> Result<Self, InvoiceError> {
        let scan = Scan::new(period, &caps);
        let windows: Vec<Window> = slices(period.window(&caps), scan.hull, &scan.cuts()).collect();
        let (mut done, of) = (0, windows.len());
        let mut slices = stream::iter(windows).map(|window| scan.slice(store, window)).buffered(SLICES_AT_ONCE);
        let mut recorded = Self::default();
        // Rollups that begin after the slice of their hour.
        let mut later = Vec::new();
        while let Some(slice) = slices.try_next().await? {
            for sum in &slice.sums {
                recorded.add_usage(period, (sum.since, Used::from(sum)), |_| Ok(HeldBack::default()));
            }
            let mut rollups = std::mem::take(&mut later);
            rollups.extend(slice.rollups);
            rollups.sort_by_key(|rollup: &UsageRollup| rollup.since);
            later = rollups.split_off(rollups.partition_point(|rollup| rollup.since < slice.window.end));
            recorded.add_rollups(period, &mut caps, &rollups);
            for sum in &slice.refusals {
                recorded.add_refusals(period, sum);
            }
            done += 1;
            watch(Progress::Read { done, of });
        }
        recorded.add_rollups(period, &mut caps, &later);
        for (payer, at, meter, beyond) in caps.beyond() {
            recorded.hold_back(period, (payer, at), &meter, beyond);
        }
        Ok(recorded)
    }

    /// Takes usage beyond hard quotas off the bill of a payer.
    fn hold_back(&mut self, period: &BillingPeriod, (payer, at): (Payer, Micros), meter: &str, beyond: Measured) {
        if let Some(bill) = period.of_bill_at(payer.bill, at) {
            self.billed.hold_back(bill, period.place(payer, at), meter, beyond);
        }
    }

    fn add_rollups(&mut self, period: &BillingPeriod, caps: &mut Caps, rollups: &[UsageRollup]) {
        for rollup in rollups {
            let count = |billed: &[Payer]| caps.count(&period.payers, rollup, billed);
            self.add_usage(period, (rollup.since, Used::from(rollup)), count);
        }
    }

    /// Adds usage to the bills of its payers. `count` counts it against hard quotas.
    fn add_usage(
        &mut self,
        period: &BillingPeriod,
        (since, used): (Micros, Used<'_>),
        count: impl FnOnce(&[Payer]) -> Result<HeldBack, UnknownCap>,
    ) {
        let payers = period.payers.payers(used.tenant, since);
        let of_bill = |payer: &Payer| Some((*payer, period.of_bill_at(payer.bill, since)?));
        let (billed, bills): (Vec<Payer>, Vec<PeriodBill>) = payers.iter().filter_map(of_bill).unzip();
        let (held, capped) = match count(&billed) {
            Ok(held) => (held, Ok(())),
            Err(error) => (HeldBack::default(), Err(error)),
        };
        if payers.is_empty() && period.counts_unpaid(used.tenant, since) {
            self.keep(used.tenant, &capped, |recorded| recorded.unpaid.add(used));
        }
        for (payer, bill) in billed.into_iter().zip(bills) {
            // Credit frees its own tenant, and nobody who pays for a subtree.
            let is_owed = payer.wholesale && payer.bill.tenant != used.tenant && used.paid == PaidBy::Credit;
            let owed = if is_owed { Used { paid: PaidBy::Charge, ..used } } else { used };
            let place = period.place(payer, since);
            self.keep(payer.bill.tenant, &capped, |recorded| recorded.billed.add_for(bill, place, &owed));
        }
        for payer in held.payers {
            self.hold_back(period, (payer, since), used.meter, held.beyond);
        }
    }

    /// Adds a sum to a tenant's bill, and keeps the first failure.
    fn keep(
        &mut self,
        tenant: TenantId,
        capped: &Result<(), UnknownCap>,
        add: impl FnOnce(&mut Self) -> Result<(), RatingError>,
    ) {
        let added = add(self).map_err(InvoiceError::Sum);
        if let Err(error) = added.and_then(|()| Ok(capped.clone()?)) {
            self.failed.entry(tenant).or_insert(error);
        }
    }

    /// Adds refusals, which are summed by hour. In the hour in which a plan begins, the payer at
    /// the end of the hour counts.
    fn add_refusals(&mut self, period: &BillingPeriod, sum: &RefusalRollup) {
        let end = Micros(sum.hour.plus_seconds(HOUR_SECONDS).0.saturating_sub(1));
        let nearest = |at| period.payers.payers(sum.tenant, at).first().map(|payer| payer.bill);
        let bill = [sum.hour, end].into_iter().find_map(nearest);
        let Some(bill) = bill.and_then(|bill| period.of_bill_at(bill, sum.hour)) else { return };
        let refused = self.refused.entry(bill).or_default();
        if let Some(total) = refused.checked_add(sum.count) {
            *refused = total;
        } else {
            let tenant = bill.into();
            self.failed.entry(tenant).or_insert(InvoiceError::Refusals(tenant));
        }
    }

    pub(super) fn of_unknown_tenants(&self, accounts: &[TenantAccount]) -> Vec<UnbilledUsage> {
        let known: HashSet<_> = accounts.iter().map(|account| account.id).collect();
        let mut unknown: Vec<_> = self
            .unpaid
            .iter()
            .filter(|(tenant, _)| !known.contains(tenant))
            .map(|(tenant, totals)| UnbilledUsage { tenant, units: totals.units })
            .collect();
        unknown.sort_by_key(|usage| usage.tenant);
        unknown
    }
}

/// The window cut at every midnight in UTC, at the ends of `hull` and at `cuts`, which come in order; every
/// instant of it lies in exactly one slice.
fn slices(window: Window, hull: Window, cuts: &[Micros]) -> impl Iterator<Item = Window> {
    let mut start = window.start;
    std::iter::from_fn(move || {
        let midnight = Micros((start.0.div_euclid(SLICE_MICROS) + 1).saturating_mul(SLICE_MICROS));
        let cut = cuts.get(cuts.partition_point(|cut| *cut <= start)).copied();
        let ends = [midnight, window.end, hull.start, hull.end].into_iter().chain(cut).filter(|end| *end > start);
        let slice = Window { start, end: ends.min()? };
        start = slice.end;
        (slice.start < window.end).then_some(slice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(start: i64, end: i64) -> Window {
        Window { start: Micros(0).plus_seconds(start * 3_600), end: Micros(0).plus_seconds(end * 3_600) }
    }

    #[test]
    fn slices_cover_a_window_without_overlap() {
        let found: Vec<_> = slices(hours(5, 60), hours(30, 50), &[]).collect();
        assert_eq!(found, [hours(5, 24), hours(24, 30), hours(30, 48), hours(48, 50), hours(50, 60)]);
        assert_eq!(slices(hours(24, 24), hours(0, 9), &[]).count(), 0);
        assert_eq!(slices(hours(-5, 3), hours(-5, 3), &[]).collect::<Vec<_>>(), [hours(-5, 0), hours(0, 3)]);
        let cuts = [3, 5, 23, 40].map(|hour| hours(hour, hour).start);
        let found: Vec<_> = slices(hours(5, 30), hours(5, 30), &cuts).collect();
        assert_eq!(found, [hours(5, 23), hours(23, 24), hours(24, 30)]);
    }

    #[test]
    fn tenant_turns_within_a_slice_and_not_at_its_start() {
        let tenants = [1, 2, 3].map(TenantId::from_u128);
        let at = |hour: i64| Micros(0).plus_seconds(hour * 3_600);
        let turns = vec![(at(24), tenants[0]), (at(30), tenants[1]), (at(30), tenants[2]), (at(48), tenants[0])];
        let capped = vec![tenants[2]];
        let scan = Scan { asked: None, is_capped: HashSet::from([tenants[2]]), capped, turns, hull: hours(0, 90) };
        assert_eq!(scan.turning(hours(24, 48)), BTreeSet::from([tenants[1]]));
        assert_eq!(scan.turning(hours(47, 72)), BTreeSet::from([tenants[0]]));
        assert_eq!(scan.turning(hours(48, 72)), BTreeSet::new());
        assert_eq!(scan.cuts(), [], "few turn at the same instant");
    }
}
