//! Finds the tenants of a catalog file in the store.

use std::collections::{HashMap, HashSet};

use common::{id::TenantId, tenant::TenantKind};

use super::{
    file::{CatalogFile, EntryFault, TenantEntry},
    present::Present,
};

/// The tenants of a file, found or to be created.
pub(super) struct Found {
    /// Places in the file, parents before their children.
    pub(super) order: Vec<usize>,
    /// Place of each entry's parent in the file.
    pub(super) parents: Vec<Option<usize>>,
    /// The tenant that each entry is; none if it is to be created.
    pub(super) ids: Vec<Option<TenantId>>,
}

impl Found {
    /// Finds the tenants of a file that has no faults by itself.
    pub(super) fn new(file: &CatalogFile, present: &Present) -> Result<Self, Vec<EntryFault>> {
        let places: HashMap<_, _> =
            file.tenants.iter().enumerate().map(|(index, tenant)| (tenant.reference.as_str(), index)).collect();
        let parent =
            |tenant: &TenantEntry| tenant.parent.as_ref().and_then(|parent| places.get(parent.as_str())).copied();
        let parents: Vec<_> = file.tenants.iter().map(parent).collect();
        let mut found = Self { order: order(&parents), parents, ids: vec![None; file.tenants.len()] };
        let mut faults = Vec::new();
        let named: HashSet<_> = file.tenants.iter().filter_map(|tenant| tenant.id).collect();
        for index in found.order.clone() {
            match found.find(index, &file.tenants[index], present, &named) {
                Ok(id) => found.ids[index] = id,
                Err(fault) => faults.push(fault),
            }
        }
        for index in 0..file.tenants.len() {
            let entry = &file.tenants[index];
            match found.ids[index] {
                Some(id) => faults.extend(found.unchangeable(index, entry, id, present)),
                None if faults.is_empty() => faults.extend(found.creation_fault(index, entry, present)),
                None => {}
            }
        }
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }

    fn find(
        &self,
        index: usize,
        entry: &TenantEntry,
        present: &Present,
        named: &HashSet<TenantId>,
    ) -> Result<Option<TenantId>, EntryFault> {
        if let Some(id) = entry.id {
            let reason = || {
                format!("no tenant {id} is here: without `id`, `{}` is found by its name, or created", entry.reference)
            };
            return present
                .tenant(id)
                .map(|tenant| Some(tenant.id))
                .ok_or_else(|| EntryFault::of_tenant(index, "id", reason()));
        }
        let parent = match self.parents[index] {
            None => None,
            Some(above) => match self.ids[above] {
                // Nobody is below a tenant that is not there.
                None => return Ok(None),
                above => above,
            },
        };
        let is_it = |id: TenantId, above: Option<TenantId>, name: &str| {
            name == entry.name && above == parent && !named.contains(&id) && !self.ids.contains(&Some(id))
        };
        let mut matching = present.tenants.iter().filter(|tenant| is_it(tenant.id, tenant.parent, &tenant.name));
        match (matching.next(), matching.next()) {
            (Some(one), Some(other)) => {
                let reason = format!("{} and {} are both named `{}`: state the id", one.id, other.id, entry.name);
                Err(EntryFault::of_tenant(index, "name", reason))
            }
            (one, _) => Ok(one.map(|one| one.id)),
        }
    }

    /// Faults of a tenant that is there: what never changes.
    fn unchangeable(&self, index: usize, entry: &TenantEntry, id: TenantId, present: &Present) -> Vec<EntryFault> {
        let Some(tenant) = present.tenant(id) else { return Vec::new() };
        let reference = &entry.reference;
        let mut faults = Vec::new();
        if let Some(kind) = entry.kind.filter(|kind| *kind != tenant.kind) {
            let reason = format!("`{reference}` is a {}, and never becomes a {kind}", tenant.kind);
            faults.push(EntryFault::of_tenant(index, "kind", reason));
        }
        if let Some(zone) = entry.zone.as_ref().filter(|zone| **zone != tenant.zone) {
            let reason = format!("`{reference}` is in the time zone {}, which never becomes {zone}", tenant.zone);
            faults.push(EntryFault::of_tenant(index, "zone", reason));
        }
        if self.parents[index].is_some() && tenant.kind == TenantKind::Root {
            faults.push(EntryFault::of_tenant(index, "parent", format!("`{reference}` is a root, and has no parent")));
        }
        faults
    }

    /// The fault of a tenant that is to be created: no place, or it is somewhere else.
    fn creation_fault(&self, index: usize, entry: &TenantEntry, present: &Present) -> Option<EntryFault> {
        let reference = &entry.reference;
        if entry.parent.is_none() && entry.place() != TenantKind::Root {
            return Some(EntryFault::of_tenant(
                index,
                "ref",
                format!("`{reference}` is to be created, and has no parent"),
            ));
        }
        let elsewhere = present.tenants.iter().find(|tenant| {
            tenant.name == entry.name && tenant.kind == entry.place() && !self.ids.contains(&Some(tenant.id))
        })?;
        let above = elsewhere.parent.map_or_else(|| "as a root".to_owned(), |parent| format!("under {parent}"));
        let reason = format!(
            "a tenant named `{}` is there {above}: state its id ({}) to move it here, or list that tenant too",
            entry.name, elsewhere.id
        );
        Some(EntryFault::of_tenant(index, "name", reason))
    }

    /// Places of an entry and of those above it in the file, from below.
    pub(super) fn chain(&self, index: usize) -> Vec<usize> {
        let mut chain = vec![index];
        while let Some(above) = chain.last().and_then(|last| self.parents[*last]) {
            chain.push(above);
        }
        chain
    }

    /// The tenant that is right above an entry now, if that is in the file and there.
    pub(super) fn parent_id(&self, index: usize) -> Option<TenantId> {
        self.parents[index].and_then(|above| self.ids[above])
    }
}

/// Places by depth: parents before children, else as in the file.
fn order(parents: &[Option<usize>]) -> Vec<usize> {
    let depth = |index: usize| std::iter::successors(parents[index], |above| parents[*above]).count();
    let mut order: Vec<_> = (0..parents.len()).collect();
    order.sort_by_key(|index| depth(*index));
    order
}
