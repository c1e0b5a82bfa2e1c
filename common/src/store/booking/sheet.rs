//! All rows that a booking writes. Sums are put together here, so that an hour's row is touched once per booking.

use std::collections::{BTreeMap, HashMap};

use super::{Borders, Fresh, StoreError, StreamBook, Zones, stored};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    store::QuotaSource,
    time::{Micros, Period, Zone},
    usage::{PaidBy, RefusalCount, UsageRecord},
};

/// A record to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordRow<'b> {
    pub(super) stream: &'b str,
    pub(super) seq: i64,
    pub(super) hour: Micros,
    /// Where its sum begins; none if that is the start of the hour.
    pub(super) since: Option<Micros>,
    pub(super) units: i64,
    pub(super) paid: PaidBy,
    pub(super) record: &'b UsageRecord,
}

/// What is unlike between hourly sums. Its order is the order in which all bookings lock them.
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

/// What an hourly sum grows by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UsageTotal {
    pub(super) requests: i64,
    pub(super) units: i64,
    /// Those whose records are not kept.
    pub(super) dropped_requests: i64,
    pub(super) dropped_units: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RefusalKey<'b> {
    pub(super) tenant: TenantId,
    pub(super) hour: Micros,
    pub(super) key: KeyId,
    pub(super) reason: &'b str,
}

/// What a life of a gateway has drawn units of a quota for. Its order is the order in which all lock leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LeaseKey<'b> {
    pub(super) life: &'b str,
    pub(super) tenant: TenantId,
    pub(super) meter: &'b str,
    pub(super) source: QuotaSource,
}

/// All rows of a booking, sums in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Sheet<'b> {
    pub(super) records: Vec<RecordRow<'b>>,
    pub(super) usage: Vec<(UsageKey<'b>, UsageTotal)>,
    pub(super) refusals: Vec<(RefusalKey<'b>, i64)>,
    /// Billed units, of quotas or not.
    pub(super) charges: Vec<(LeaseKey<'b>, i64)>,
}

impl<'b> Sheet<'b> {
    pub(super) fn of(
        books: &'b [StreamBook],
        fresh: &[Fresh<'b>],
        zones: &Zones,
        borders: &Borders,
        keep_records: bool,
    ) -> Result<Self, StoreError> {
        use crate::usage::UsageEntry::{End, Lost, Refusals, Request, Void};
        let utc = Zone::utc();
        let mut draft = Draft::default();
        for batch in fresh {
            let stream = books[batch.book].name();
            draft.charges.push(Charges { life: life_of(stream), by_hour: HashMap::new() });
            for (seq, entry) in &batch.entries {
                let zone = entry.tenant().and_then(|tenant| zones.get(&tenant)?.as_ref()).unwrap_or(&utc);
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
        }
        let mut usage: Vec<_> = draft.usage.into_iter().collect();
        usage.sort_unstable_by_key(|(key, _)| *key);
        let charges = per_lease(draft.charges, zones)?;
        Ok(Self { records: draft.records, usage, refusals: draft.refusals.into_iter().collect(), charges })
    }
}

/// The life that writes a stream: its name up to the lane.
pub(super) fn life_of(stream: &str) -> &str {
    stream.rsplit_once('/').map_or(stream, |(life, _)| life)
}

/// Sums of hours to sums of months: no hour of a zone straddles two of them.
fn per_lease<'b>(charges: Vec<Charges<'b>>, zones: &Zones) -> Result<Vec<(LeaseKey<'b>, i64)>, StoreError> {
    let mut leases = BTreeMap::new();
    for Charges { life, by_hour } in charges {
        for ((tenant, meter, hour), units) in by_hour {
            // Who is not known has no quota, and no quota has a month beyond the calendar.
            let Some(Some(zone)) = zones.get(&tenant) else { continue };
            let source = match hour.map(|hour| Period::containing(hour, zone)) {
                Some(Ok(period)) => QuotaSource::Month(period),
                Some(Err(_)) => continue,
                None => QuotaSource::Credit,
            };
            let total = leases.entry(LeaseKey { life, tenant, meter, source }).or_default();
            *total = added(*total, units)?;
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
}

/// Billed units of one batch.
struct Charges<'b> {
    life: &'b str,
    /// By tenant, meter and hour; credit has none.
    by_hour: HashMap<(TenantId, &'b str, Option<Micros>), i64>,
}

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
        let total = self.usage.entry(key).or_default();
        total.requests += 1;
        total.units = added(total.units, units)?;
        if paid.is_billable()
            && let Some(charges) = self.charges.last_mut()
        {
            let charged = charges
                .by_hour
                .entry((record.tenant, &record.meter, (paid != PaidBy::Credit).then_some(hour)))
                .or_default();
            *charged = added(*charged, units)?;
        }
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
            total.dropped_units = total.units;
        }
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
