//! The start of a rollup within its hour.
//!
//! Invariant: all usage of one sum belongs to one tree, to one plan and to one month of everybody
//! who may pay for it. So a sum begins at the start of its hour, or at the last instant in it at
//! which the place or the plan of the tenant, or of anybody above it, changed, or at which a month
//! began on one of their clocks.
//!
//! A change that has no bearing on the tenant may cut an hour too; the sums then stay right and are
//! one more.

use std::collections::{BTreeSet, HashMap};

use super::{Fresh, ledger::Ledger};
use crate::{
    id::TenantId,
    store::{StoreError, row::corrupt},
    time::{Micros, Period, Zone},
};

/// Clocks differ from UTC by less than this.
const OFFSET_MAX_SECONDS: i64 = 15 * 3_600;

/// An hour starts at most this long before what is in it.
const HOUR_SECONDS: i64 = 3_600;

/// Rounds in which past parents are followed up; a tree is at most five levels deep, each of which
/// may have moved.
const ROUNDS_MAX: usize = 32;

/// A tenant's clock and its place in the tree of today.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// UTC, if the store names a zone that is not in this program's database.
    pub(super) zone: Zone,
    pub(super) is_foreign: bool,
    /// From the root down to the tenant itself.
    pub(super) way: Vec<TenantId>,
}

/// A change that the store knows of.
#[derive(Debug)]
pub(super) enum Turn {
    /// The plan or the parent of the tenant changed at this instant.
    At(TenantId, Micros),
    /// The tenant was under this one once.
    PastParent(TenantId, TenantId),
}

/// The zone called so, or UTC and that it is not in this program's database.
pub(super) fn zone_named(name: &str) -> (Zone, bool) {
    name.parse().map_or_else(|_| (Zone::utc(), true), |zone| (zone, false))
}

/// A path of the tree, `/ten_root/../ten_tenant/`, as the tenants on it.
pub(super) fn way(path: &str) -> Result<Vec<TenantId>, StoreError> {
    path.split('/').filter(|id| !id.is_empty()).map(id).collect()
}

/// A row of the turns: whose, and an instant or a parent.
pub(super) fn turn(tenant: &str, at: Option<i64>, parent: Option<&str>) -> Result<Turn, StoreError> {
    match (at, parent) {
        (Some(at), _) => Ok(Turn::At(id(tenant)?, Micros(at))),
        (None, Some(parent)) => Ok(Turn::PastParent(id(tenant)?, id(parent)?)),
        (None, None) => Err(corrupt("turn", format!("{tenant} has neither an instant nor a parent"))),
    }
}

fn id(text: &str) -> Result<TenantId, StoreError> {
    text.parse().map_err(|error| corrupt("id", error))
}

/// Borders of sums that lie within an hour.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// By tenant; most have none.
    cuts: HashMap<TenantId, Cuts>,
    /// Everybody who was ever on a way up, if somebody there has moved.
    moved: BTreeSet<TenantId>,
}

#[derive(Debug, Default)]
struct Cuts {
    /// In order.
    turns: Vec<Micros>,
    /// Clocks of those above that may begin a month within an hour of the tenant.
    zones: Vec<Zone>,
}

/// Range of time of the usage that is booked.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Before every hour that is booked into.
    before: Micros,
    last: Micros,
    /// True if a month begins about then in any time zone.
    month_begins: bool,
}

impl Borders {
    /// The borders that the entries of a booking may meet.
    pub(super) async fn read<L: Ledger>(
        ledger: &mut L,
        places: &HashMap<TenantId, Place>,
        fresh: &[Fresh<'_>],
    ) -> Result<Self, StoreError> {
        let Some(span) = Span::of(fresh) else { return Ok(Self::default()) };
        let mut history = History::default();
        history.read(ledger, places, span).await?;
        if history.is_plain() && !span.month_begins {
            return Ok(Self::default());
        }
        let zones = if span.month_begins { history.zones(ledger, places).await? } else { HashMap::new() };
        let mut borders = HashMap::new();
        for (tenant, place) in places {
            let above = history.ever_above(&place.way);
            let mut turns: Vec<_> =
                above.iter().flat_map(|id| history.turns.get(id).into_iter().flatten()).copied().collect();
            turns.sort_unstable();
            turns.dedup();
            let mut others: Vec<Zone> = above.iter().filter_map(|id| zones.get(id)).cloned().collect();
            others.sort_unstable_by(|one, other| one.name().cmp(other.name()));
            others.dedup();
            others.retain(|zone| *zone != place.zone);
            if !turns.is_empty() || !others.is_empty() {
                borders.insert(*tenant, Cuts { turns, zones: others });
            }
        }
        let moved = if history.past_parents.is_empty() { BTreeSet::new() } else { history.known };
        Ok(Self { cuts: borders, moved })
    }

    /// Everybody who was ever on a way up of a tenant, if somebody there has moved; else nobody.
    pub(super) const fn moved(&self) -> &BTreeSet<TenantId> {
        &self.moved
    }

    /// Returns the start of the rollup that holds usage of `tenant` at `at`, in the hour that
    /// starts at `hour`.
    pub(super) fn since(&self, tenant: TenantId, hour: Micros, at: Micros) -> Micros {
        if self.cuts.is_empty() {
            return hour;
        }
        let Some(cuts) = self.cuts.get(&tenant) else { return hour };
        let turn = cuts.turns[..cuts.turns.partition_point(|turn| *turn <= at)].last().copied();
        let month = |zone: &Zone| Some(Period::containing(at, zone).ok()?.window(zone).ok()?.start);
        turn.into_iter().chain(cuts.zones.iter().filter_map(month)).fold(hour, Micros::max)
    }
}

impl Span {
    /// None, if nothing of anybody is booked.
    fn of(fresh: &[Fresh<'_>]) -> Option<Self> {
        let mut span: Option<Self> = None;
        let mut hour_seen = None;
        for at in fresh.iter().flat_map(|fresh| &fresh.entries).filter_map(|(_, entry)| entry.at()) {
            let known = span.get_or_insert(Self { before: at, last: at, month_begins: false });
            known.before = known.before.min(at);
            known.last = known.last.max(at);
            let hour = at.0.div_euclid(HOUR_SECONDS * Micros::PER_SECOND);
            if hour_seen != Some(hour) {
                hour_seen = Some(hour);
                known.month_begins = known.month_begins || month_begins_about(at);
            }
        }
        span.map(|span| Self { before: span.before.plus_seconds(-HOUR_SECONDS), ..span })
    }
}

/// Returns true if on some clock a month begins within an hour or so of `at`.
fn month_begins_about(at: Micros) -> bool {
    let utc = Zone::utc();
    let month = |seconds| Period::containing(at.plus_seconds(seconds), &utc).ok();
    let reach = OFFSET_MAX_SECONDS + 2 * HOUR_SECONDS;
    month(-reach) != month(reach)
}

/// History of the tenants of a booking and of all their ancestors, past and present.
#[derive(Debug, Default)]
struct History {
    turns: HashMap<TenantId, Vec<Micros>>,
    past_parents: HashMap<TenantId, Vec<TenantId>>,
    /// Places of past parents.
    places: HashMap<TenantId, Place>,
    /// Everybody whose turns were read.
    known: BTreeSet<TenantId>,
}

impl History {
    async fn read<L: Ledger>(
        &mut self,
        ledger: &mut L,
        places: &HashMap<TenantId, Place>,
        span: Span,
    ) -> Result<(), StoreError> {
        let mut next: BTreeSet<_> = places.values().flat_map(|place| &place.way).copied().collect();
        for _ in 0..ROUNDS_MAX {
            if next.is_empty() {
                break;
            }
            let mut parents = BTreeSet::new();
            for turn in ledger.turns(&next, span.before, span.last).await? {
                match turn {
                    Turn::At(tenant, at) => self.turns.entry(tenant).or_default().push(at),
                    Turn::PastParent(tenant, parent) => {
                        self.past_parents.entry(tenant).or_default().push(parent);
                        parents.insert(parent);
                    }
                }
            }
            self.known.append(&mut next);
            parents.retain(|parent| !self.places.contains_key(parent));
            if parents.is_empty() {
                break;
            }
            for (tenant, place) in ledger.places(&parents).await? {
                next.extend(place.way.iter().filter(|id| !self.known.contains(id)));
                self.places.insert(tenant, place);
            }
        }
        Ok(())
    }

    /// Returns true if nothing changed meanwhile, and nobody ever moved.
    fn is_plain(&self) -> bool {
        self.turns.is_empty() && self.past_parents.is_empty()
    }

    /// The clocks of everybody who is known.
    async fn zones<L: Ledger>(
        &self,
        ledger: &mut L,
        places: &HashMap<TenantId, Place>,
    ) -> Result<HashMap<TenantId, Zone>, StoreError> {
        let read = |id: &TenantId| places.get(id).or_else(|| self.places.get(id));
        let missing: BTreeSet<_> = self.known.iter().filter(|id| read(id).is_none()).copied().collect();
        let above = if missing.is_empty() { HashMap::new() } else { ledger.places(&missing).await? };
        let zone = |id: &TenantId| Some((*id, read(id).or_else(|| above.get(id))?.zone.clone()));
        Ok(self.known.iter().filter_map(zone).collect())
    }

    /// Everybody on a way of today, and everybody who was ever above one of them.
    fn ever_above(&self, way: &[TenantId]) -> BTreeSet<TenantId> {
        let mut found = BTreeSet::new();
        let mut open = way.to_vec();
        while let Some(id) = open.pop() {
            if found.insert(id) {
                let parents = self.past_parents.get(&id).into_iter().flatten();
                open.extend(parents.filter_map(|parent| self.places.get(parent)).flat_map(|place| &place.way));
            }
        }
        found
    }
}
