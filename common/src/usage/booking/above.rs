//! The surroundings of tenants whose usage is booked: their clocks, and who is above them in the
//! tree of the time of use, as the gateway that drew the units knew it.

use std::collections::{BTreeSet, HashMap};

use super::{
    borders::{Borders, Place},
    ledger::Ledger,
};
use crate::{
    id::TenantId,
    store::{StoreError, row::corrupt},
    time::{Micros, Window, Zone},
};

/// More levels than a tree has; it ends a circle that only a damaged store can hold.
const LEVELS_MAX: usize = 16;

/// The tenants above each tenant, over time.
#[derive(Debug, Default)]
pub(super) struct Above {
    /// In the tree of today, nearest first; none for those that the store does not know.
    today: HashMap<TenantId, Vec<TenantId>>,
    /// Of everybody on the way up, if anybody of them ever moved.
    parents: HashMap<TenantId, Vec<ParentSpan>>,
}

/// A parent over a range of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentSpan {
    pub(super) tenant: TenantId,
    parent: TenantId,
    window: Window,
}

/// The zones of tenants.
pub(super) type Zones = HashMap<TenantId, TenantZone>;

/// The zone in which a tenant's months begin.
#[derive(Debug, Clone)]
pub(super) enum TenantZone {
    /// The store does not know the tenant: its hours are those of UTC.
    NoTenant,
    /// This one.
    Known(Zone),
    /// The store names one that is not in this program's database.
    Foreign,
}

impl ParentSpan {
    /// A row of the parents.
    pub(super) fn read(tenant: &str, parent: &str, from: i64, to: Option<i64>) -> Result<Self, StoreError> {
        let id = |text: &str| text.parse().map_err(|error| corrupt("id", error));
        let window = Window { start: Micros(from), end: Micros(to.unwrap_or(i64::MAX)) };
        Ok(Self { tenant: id(tenant)?, parent: id(parent)?, window })
    }
}

impl Above {
    /// Ancestors in the tree of today.
    pub(super) fn of_today(places: &HashMap<TenantId, Place>) -> Self {
        let above = |(tenant, place): (&TenantId, &Place)| {
            (*tenant, place.way.iter().rev().filter(|id| *id != tenant).copied().collect())
        };
        Self { today: places.iter().map(above).collect(), parents: HashMap::new() }
    }

    /// Everybody who is above somebody today.
    pub(super) fn everybody(&self) -> impl Iterator<Item = TenantId> {
        self.today.values().flatten().copied()
    }

    /// Reads the parents over time of `moved`: everybody who was ever on a way up on which somebody
    /// has moved.
    pub(super) async fn read_parents<L: Ledger>(
        &mut self,
        ledger: &mut L,
        moved: &BTreeSet<TenantId>,
    ) -> Result<(), StoreError> {
        if !moved.is_empty() {
            for span in ledger.parents(moved).await? {
                self.parents.entry(span.tenant).or_default().push(span);
            }
        }
        Ok(())
    }

    /// Returns the ancestors of `tenant` at `at`, nearest first.
    pub(super) fn at(&self, tenant: TenantId, at: Micros) -> Vec<TenantId> {
        if !self.parents.contains_key(&tenant) {
            return self.today.get(&tenant).cloned().unwrap_or_default();
        }
        let parent = |tenant: &TenantId| {
            let spans = self.parents.get(tenant)?;
            spans.iter().find(|span| span.window.contains(at)).map(|span| span.parent)
        };
        std::iter::successors(parent(&tenant), parent).take(LEVELS_MAX).collect()
    }
}

impl TenantZone {
    pub(super) fn of(place: &Place) -> Self {
        if place.is_foreign { Self::Foreign } else { Self::Known(place.zone.clone()) }
    }

    pub(super) const fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Known(zone) => Some(zone),
            Self::NoTenant | Self::Foreign => None,
        }
    }
}

/// The places of tenants, the zones of those and of everybody above them, and who those are.
pub(super) async fn surroundings<L: Ledger>(
    ledger: &mut L,
    tenants: &BTreeSet<TenantId>,
) -> Result<(HashMap<TenantId, Place>, Zones, Above), StoreError> {
    let places = ledger.places(tenants).await?;
    let above = Above::of_today(&places);
    let others: BTreeSet<_> = above.everybody().filter(|above| !tenants.contains(above)).collect();
    let more = if others.is_empty() { HashMap::new() } else { ledger.places(&others).await? };
    let mut zones: Zones = tenants.iter().map(|tenant| (*tenant, TenantZone::NoTenant)).collect();
    zones.extend(places.iter().chain(&more).map(|(tenant, place)| (*tenant, TenantZone::of(place))));
    Ok((places, zones, above))
}

/// Reads the ancestors before any move, and their zones.
pub(super) async fn read_past<L: Ledger>(
    ledger: &mut L,
    borders: &Borders,
    zones: &mut Zones,
    above: &mut Above,
) -> Result<(), StoreError> {
    above.read_parents(ledger, borders.moved()).await?;
    let missing: BTreeSet<_> = borders.moved().iter().filter(|id| !zones.contains_key(id)).copied().collect();
    if !missing.is_empty() {
        let places = ledger.places(&missing).await?;
        zones.extend(places.iter().map(|(tenant, place)| (*tenant, TenantZone::of(place))));
    }
    Ok(())
}
