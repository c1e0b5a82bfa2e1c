//! Usage that is not booked into any month before somebody has looked at it: of a time that cannot
//! be, or of a tenant whose clock this program does not know. Its numbers are booked, so that
//! nothing is taken twice, and its units count against what gateways have drawn for them.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::{
    Fresh, Terms,
    above::{TenantZone, Zones},
    rows::LeaseKey,
};
use crate::{
    id::TenantId,
    quota::{
        QuotaSource,
        rows::{lock_quotas, write_quotas},
    },
    store::StoreError,
    time::{Micros, Period, Zone},
    usage::UsageEntry,
};

/// Most time that a gateway's clock may be ahead of this program's.
const AHEAD: i64 = 3_600 * Micros::PER_SECOND;

/// An entry that is set aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quarantined<'b> {
    /// Index of the batch that it came with.
    pub(super) batch: usize,
    pub(super) seq: i64,
    pub(super) entry: &'b UsageEntry,
    pub(super) reason: Reason,
}

/// The reason why an entry is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is of before the open months.
    TooLate,
    /// It is of the future.
    TooEarly,
    /// The time zone of its tenant is not in this program's database.
    UnknownZone,
}

impl Reason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::TooEarly => "too_early",
            Self::UnknownZone => "unknown_zone",
        }
    }
}

/// Bounds of late usage, by zone.
struct Bounds {
    now: Micros,
    late_days: u32,
    /// Starts of the open months.
    starts: HashMap<String, Micros>,
}

/// Takes out of `fresh` what is to be set aside.
pub(super) fn separate<'b>(fresh: &mut [Fresh<'b>], zones: &Zones, terms: Terms) -> Vec<Quarantined<'b>> {
    let mut bounds = terms.late_days.map(|late_days| Bounds { now: terms.now, late_days, starts: HashMap::new() });
    let utc = Zone::utc();
    let mut quarantined = Vec::new();
    for (batch, fresh) in fresh.iter_mut().enumerate() {
        fresh.entries.retain(|&(seq, entry)| {
            let Some((tenant, at)) = tenant_and_time(entry) else { return true };
            let reason = match zones.get(&tenant) {
                Some(TenantZone::Foreign) => Some(Reason::UnknownZone),
                known => {
                    let zone = known.and_then(TenantZone::zone).unwrap_or(&utc);
                    bounds.as_mut().and_then(|bounds| bounds.reason(at, zone))
                }
            };
            quarantined.extend(reason.map(|reason| Quarantined { batch, seq, entry, reason }));
            reason.is_none()
        });
    }
    quarantined
}

/// Whose an entry is, and of which instant; none for entries that say neither.
fn tenant_and_time(entry: &UsageEntry) -> Option<(TenantId, Micros)> {
    match entry {
        UsageEntry::Request(record) => Some((record.tenant, record.at)),
        UsageEntry::Refusals(refusals) => Some((refusals.tenant, refusals.at)),
        UsageEntry::Void | UsageEntry::Lost | UsageEntry::End => None,
    }
}

impl Bounds {
    fn reason(&mut self, at: Micros, zone: &Zone) -> Option<Reason> {
        if at.0 > self.now.0.saturating_add(AHEAD) {
            return Some(Reason::TooEarly);
        }
        let (now, late_days) = (self.now, self.late_days);
        let known = self.starts.get(zone.name()).copied();
        let start = known.unwrap_or_else(|| open_since(now, late_days, zone));
        if known.is_none() {
            self.starts.insert(zone.name().to_owned(), start);
        }
        (at < start).then_some(Reason::TooLate)
    }
}

/// The earliest instant whose usage is booked without being asked for: so many days before the
/// current month.
fn open_since(now: Micros, late_days: u32, zone: &Zone) -> Micros {
    const DAY_SECONDS: i64 = 86_400;
    let month = Period::containing(now, zone).and_then(|period| period.window(zone));
    month.map_or(now, |window| window.start).plus_seconds(-DAY_SECONDS * i64::from(late_days))
}

/// Units of a month that nobody has drawn there are owed to its quotas, as far as there are such
/// quotas.
pub(super) async fn charge_month(
    connection: &mut AnyConnection,
    charges: &[(LeaseKey<'_>, i64)],
    now: Micros,
) -> Result<(), StoreError> {
    for (LeaseKey { tenant, meter, source, .. }, units) in charges {
        let known = sqlx::query("SELECT 1 FROM quota_grants WHERE tenant_id = $1 AND meter = $2 AND period = $3")
            .bind(tenant.to_string())
            .bind((*meter).to_owned())
            .bind(source.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        let is_month = matches!(source, QuotaSource::Month(_));
        if known.is_none() || !is_month {
            continue;
        }
        let key = (*tenant, *meter, *source);
        for mut stand in lock_quotas(&mut *connection, &[key], now).await? {
            stand.owe(*units);
            write_quotas(&mut *connection, &[(key, stand)], now).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_before_grace_is_late_and_an_hour_ahead_is_early() {
        let now: Micros = "2026-11-20T12:00:00Z".parse().unwrap();
        for (zone, late_days, open_since, too_late) in [
            ("UTC", 0, "2026-11-01T00:00:00Z", "2026-10-31T23:59:59.999999Z"),
            ("UTC", 40, "2026-09-22T00:00:00Z", "2026-09-21T23:59:59.999999Z"),
            ("Asia/Kathmandu", 0, "2026-10-31T18:15:00Z", "2026-10-31T18:14:59.999999Z"),
            ("Pacific/Kiritimati", 1, "2026-10-30T10:00:00Z", "2026-10-30T09:59:59.999999Z"),
        ] {
            let zone: Zone = zone.parse().unwrap();
            let mut bounds = Bounds { now, late_days, starts: HashMap::new() };
            let mut reason = |at: Micros| bounds.reason(at, &zone);
            assert_eq!(reason(open_since.parse().unwrap()), None, "{zone}");
            assert_eq!(reason(too_late.parse().unwrap()), Some(Reason::TooLate), "{zone}");
            assert_eq!(reason("2026-11-20T13:00:00Z".parse().unwrap()), None, "{zone}");
            assert_eq!(reason("2026-11-20T13:00:00.000001Z".parse().unwrap()), Some(Reason::TooEarly), "{zone}");
            for (at, expected) in [(i64::MIN, Reason::TooLate), (0, Reason::TooLate), (i64::MAX, Reason::TooEarly)] {
                assert_eq!(reason(Micros(at)), Some(expected), "{at}");
            }
        }
    }

    #[test]
    fn extreme_instants_are_quarantined_without_panic() {
        let utc = Zone::utc();
        for now in [i64::MIN, i64::MAX] {
            let mut bounds = Bounds { now: Micros(now), late_days: u32::MAX, starts: HashMap::new() };
            for at in [i64::MIN, 0, i64::MAX] {
                let _ = bounds.reason(Micros(at), &utc);
            }
        }
    }
}
