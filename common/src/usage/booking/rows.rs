//! All rows that a booking writes. Sums are put together here, so that an hour's row is touched
//! once per booking.

use std::collections::{BTreeMap, HashMap};

use super::{
    Fresh,
    above::{Above, Zones},
    borders::Borders,
    quarantine::{Quarantined, Reason},
    stored,
    stream::StreamBook,
};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    quota::QuotaSource,
    store::StoreError,
    time::{Micros, Period, Zone},
    usage::{ABORTED_STATUS, PaidBy, RefusalCount, UsageEntry, UsageRecord},
};

/// A record to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordRow<'b> {
    pub(super) stream: &'b str,
    pub(super) seq: i64,
    pub(super) hour: Micros,
    /// Start of its rollup; none if that is the start of the hour.
    pub(super) since: Option<Micros>,
    pub(super) units: i64,
    pub(super) paid: PaidBy,
    pub(super) record: &'b UsageRecord,
}

/// Key of a rollup. Its order is the order in which all bookings lock rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UsageKey<'b> {
    pub(super) tenant: TenantId,
    pub(super) hour: Micros,
    pub(super) since: Micros,
    pub(super) key: KeyId,
    pub(super) route: &'b str,
    pub(super) meter: &'b str,
    pub(super) mode: Mode,
    pub(super) paid: PaidBy,
}

/// Amounts added to a rollup.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UsageTotal {
    pub(super) requests: i64,
    /// Requests whose client left before the answer.
    pub(super) aborted: i64,
    pub(super) units: i64,
    /// Requests whose records are not kept.
    pub(super) dropped_requests: i64,
    pub(super) dropped_aborted: i64,
    pub(super) dropped_units: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RefusalKey<'b> {
    pub(super) tenant: TenantId,
    pub(super) hour: Micros,
    pub(super) key: KeyId,
    pub(super) reason: &'b str,
}

/// Key of a quota lease of a life. Its order is the order in which all transactions lock leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LeaseKey<'b> {
    pub(super) life: &'b str,
    pub(super) tenant: TenantId,
    pub(super) meter: &'b str,
    pub(super) source: QuotaSource,
}

/// All rows of a booking, sums in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct BookingRows<'b> {
    pub(super) records: Vec<RecordRow<'b>>,
    pub(super) usage: Vec<(UsageKey<'b>, UsageTotal)>,
    pub(super) refusals: Vec<(RefusalKey<'b>, i64)>,
    /// Billed units, of quotas or not.
    pub(super) charges: Vec<(LeaseKey<'b>, i64)>,
    pub(super) quarantined: Vec<QuarantineRow<'b>>,
}

/// An entry that is set aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuarantineRow<'b> {
    pub(super) stream: &'b str,
    pub(super) seq: i64,
    /// `request` or `refusals`.
    pub(super) kind: &'static str,
    pub(super) at: Micros,
    pub(super) tenant: TenantId,
    pub(super) key: KeyId,
    /// The route; of refusals, why they were refused.
    pub(super) route: &'b str,
    pub(super) meter: &'b str,
    /// Units; of refusals, how many they are.
    pub(super) units: i64,
    pub(super) status: i64,
    pub(super) mode: Mode,
    pub(super) billable: bool,
    pub(super) prepaid: bool,
    pub(super) reason: Reason,
}

impl<'b> BookingRows<'b> {
    pub(super) fn of(
        books: &'b [StreamBook],
        fresh: &[Fresh<'b>],
        quarantined: &[Quarantined<'b>],
        (zones, above, borders): (&Zones, &Above, &Borders),
        keep_records: bool,
    ) -> Result<Self, StoreError> {
        use crate::usage::UsageEntry::{End, Lost, Refusals, Request, Void};
        let utc = Zone::utc();
        let mut draft = Draft::default();
        let mut set_aside = quarantined.iter().peekable();
        for (index, batch) in fresh.iter().enumerate() {
            let stream = books[batch.book].name();
            draft.charges.push(Charges { life: life_of(stream), by_quarter: HashMap::new() });
            for (seq, entry) in &batch.entries {
                let zone = entry.tenant().and_then(|tenant| zones.get(&tenant)?.zone()).unwrap_or(&utc);
                match entry {
                    Request(record) => {
                        let hour = zone.hour_start(record.at);
                        let since = borders.since(record.tenant, hour, record.at);
                        draft.add_record(stream, *seq, record, (hour, since), keep_records)?;
                    }
                    Refusals(refusals) => draft.add_refusals(refusals, zone)?,
                    Void | Lost | End => {}
                }
            }
            while let Some(one) = set_aside.next_if(|one| one.batch == index) {
                draft.set_aside(stream, one)?;
            }
        }
        let mut usage: Vec<_> = draft.usage.into_iter().collect();
        usage.sort_unstable_by_key(|(key, _)| *key);
        let charges = per_lease(draft.charges, zones, above)?;
        let Draft { records, refusals, quarantined, .. } = draft;
        Ok(Self { records, usage, refusals: refusals.into_iter().collect(), charges, quarantined })
    }
}

/// The life that writes a stream: its name up to the lane.
pub(super) fn life_of(stream: &str) -> &str {
    stream.rsplit_once('/').map_or(stream, |(life, _)| life)
}

/// Sums of quarters of an hour to sums of months, of the tenant and of each above it then: whatever
/// pays for a unit, it counts against every hard quota on the way up of its time, each in the month
/// of the tenant whose it is.
fn per_lease<'b>(
    charges: Vec<Charges<'b>>,
    zones: &Zones,
    above: &Above,
) -> Result<Vec<(LeaseKey<'b>, i64)>, StoreError> {
    let mut leases = BTreeMap::new();
    for Charges { life, by_quarter } in charges {
        for (Charge { tenant, meter, since, prepaid }, units) in by_quarter {
            // Who is not known has no quota, and no quota has a month beyond the calendar.
            let month = |owner: TenantId| {
                let period = Period::containing(since, zones.get(&owner)?.zone()?).ok()?;
                Some((owner, QuotaSource::Month(period)))
            };
            let own = if prepaid { Some((tenant, QuotaSource::Credit)) } else { month(tenant) };
            let others = above.at(tenant, since).into_iter().filter_map(month);
            for (tenant, source) in own.into_iter().chain(others) {
                let total = leases.entry(LeaseKey { life, tenant, meter, source }).or_default();
                *total = added(*total, units)?;
            }
        }
    }
    Ok(leases.into_iter().collect())
}

#[derive(Default)]
struct Draft<'b> {
    records: Vec<RecordRow<'b>>,
    usage: HashMap<UsageKey<'b>, UsageTotal>,
    refusals: BTreeMap<RefusalKey<'b>, i64>,
    /// One for each batch so far.
    charges: Vec<Charges<'b>>,
    quarantined: Vec<QuarantineRow<'b>>,
}

/// Billed units of one batch.
struct Charges<'b> {
    life: &'b str,
    by_quarter: HashMap<Charge<'b>, i64>,
}

/// Key of the billed units of one batch.
#[derive(PartialEq, Eq, Hash)]
struct Charge<'b> {
    tenant: TenantId,
    meter: &'b str,
    /// Start of the quarter of an hour in which they were used, or when the tree last changed in
    /// it. In no zone a month begins within a quarter.
    since: Micros,
    prepaid: bool,
}

const QUARTER: i64 = 15 * 60 * Micros::PER_SECOND;

impl<'b> Draft<'b> {
    fn add_record(
        &mut self,
        stream: &'b str,
        seq: i64,
        record: &'b UsageRecord,
        (hour, since): (Micros, Micros),
        keep: bool,
    ) -> Result<(), StoreError> {
        let units = stored(record.units)?;
        let paid = PaidBy::of(record);
        let key = UsageKey {
            tenant: record.tenant,
            hour,
            since,
            key: record.key,
            route: &record.route,
            meter: &record.meter,
            mode: record.mode,
            paid,
        };
        self.charge(record, since, units)?;
        let total = self.usage.entry(key).or_default();
        total.requests += 1;
        total.aborted += i64::from(record.status == ABORTED_STATUS);
        total.units = added(total.units, units)?;
        if keep {
            self.records.push(RecordRow {
                stream,
                seq,
                hour,
                since: (since != hour).then_some(since),
                units,
                paid,
                record,
            });
        } else {
            total.dropped_requests = total.requests;
            total.dropped_aborted = total.aborted;
            total.dropped_units = total.units;
        }
        Ok(())
    }

    /// Counts the units of a record against what its life has drawn, if they are billed. The tree
    /// is the same from `since` on.
    fn charge(&mut self, record: &'b UsageRecord, since: Micros, units: i64) -> Result<(), StoreError> {
        if record.billable
            && record.mode == Mode::Live
            && let Some(charges) = self.charges.last_mut()
        {
            let quarter = Micros(record.at.0.saturating_sub(record.at.0.rem_euclid(QUARTER)));
            let since = quarter.max(since);
            let charge = Charge { tenant: record.tenant, meter: &record.meter, since, prepaid: record.prepaid };
            let charged = charges.by_quarter.entry(charge).or_default();
            *charged = added(*charged, units)?;
        }
        Ok(())
    }

    /// Keeps an entry out of the books. What a gateway has drawn for its units is used all the
    /// same.
    fn set_aside(&mut self, stream: &'b str, one: &Quarantined<'b>) -> Result<(), StoreError> {
        let row = match one.entry {
            UsageEntry::Request(record) => {
                let units = stored(record.units)?;
                self.charge(record, Micros(i64::MIN), units)?;
                QuarantineRow {
                    stream,
                    seq: one.seq,
                    kind: "request",
                    at: record.at,
                    tenant: record.tenant,
                    key: record.key,
                    route: &record.route,
                    meter: &record.meter,
                    units,
                    status: i64::from(record.status),
                    mode: record.mode,
                    billable: record.billable,
                    prepaid: record.prepaid,
                    reason: one.reason,
                }
            }
            UsageEntry::Refusals(refusals) => QuarantineRow {
                stream,
                seq: one.seq,
                kind: "refusals",
                at: refusals.at,
                tenant: refusals.tenant,
                key: refusals.key,
                route: &refusals.reason,
                meter: "",
                units: stored(refusals.count)?,
                status: 0,
                mode: Mode::Live,
                billable: false,
                prepaid: false,
                reason: one.reason,
            },
            UsageEntry::Void | UsageEntry::Lost | UsageEntry::End => return Ok(()),
        };
        self.quarantined.push(row);
        Ok(())
    }

    fn add_refusals(&mut self, refusals: &'b RefusalCount, zone: &Zone) -> Result<(), StoreError> {
        let key = RefusalKey {
            tenant: refusals.tenant,
            hour: zone.hour_start(refusals.at),
            key: refusals.key,
            reason: &refusals.reason,
        };
        let total = self.refusals.entry(key).or_default();
        *total = added(*total, stored(refusals.count)?)?;
        Ok(())
    }
}

fn added(sum: i64, units: i64) -> Result<i64, StoreError> {
    sum.checked_add(units).ok_or_else(|| StoreError::refused("a sum would exceed what the store can hold"))
}
