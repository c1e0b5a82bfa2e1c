//! Each stream for itself: what its mark acknowledges, what its counters say, and which records
//! there are.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row as _};

use super::{Breach, BreachPlace, Reading, StreamReconciliation, Tally, compare, sum_of_units};
use crate::{
    store::{StoreError, row::corrupt},
    usage::{StreamId, modular::modular_sum},
};

/// Sums of all streams.
pub(super) struct Streams {
    pub(super) rows: Vec<StreamReconciliation>,
    /// Refusals that they sum up.
    pub(super) refused: i64,
    /// Of those, what is in quarantine, or was discarded from there.
    pub(super) refused_quarantined: i64,
}

const COUNTERS: &str = "SELECT usage_streams.stream, next_seq, COALESCE(missing, 0), requests, units, refusal_entries, \
    refused, dropped_requests, dropped_units, void_entries, lost_entries, COALESCE(lost, 0), end_entries \
    FROM usage_streams LEFT JOIN \
    (SELECT stream, CAST(SUM((to_seq - from_seq) * (1 - lost)) AS BIGINT) AS missing, \
    CAST(SUM((to_seq - from_seq) * lost) AS BIGINT) AS lost FROM usage_gaps GROUP BY stream) gaps \
    ON gaps.stream = usage_streams.stream ORDER BY usage_streams.stream";

const RECORDED: &str =
    concat!("SELECT stream, COUNT(*), ", modular_sum!("units"), " FROM usage_records GROUP BY stream");

/// Entries let in from quarantine are recorded; discarded ones stay counted here.
const QUARANTINED: &str = concat!(
    "SELECT stream, kind, COUNT(*), ",
    modular_sum!("units"),
    " FROM usage_quarantine WHERE resolution IS NULL OR resolution <> 'accepted' GROUP BY stream, kind"
);

/// Reads all streams and checks them; their records too, if `with_records`.
pub(super) async fn check(
    connection: &mut AnyConnection,
    with_records: bool,
    breaches: &mut Vec<Breach>,
) -> Result<Streams, StoreError> {
    let mut recorded = if with_records { Some(recorded(&mut *connection).await?) } else { None };
    let mut quarantined = BTreeMap::new();
    let mut streams = Streams { rows: Vec::new(), refused: 0, refused_quarantined: 0 };
    for row in sqlx::query(QUARANTINED).fetch_all(&mut *connection).await? {
        let (name, kind, tally): (String, String, _) = (row.try_get(0)?, row.try_get(1)?, Tally::read(&row, 2)?);
        if kind == "request" {
            quarantined.insert(name, tally);
        } else {
            streams.refused_quarantined = sum_of_units(streams.refused_quarantined, tally.units);
        }
    }
    for row in sqlx::query(COUNTERS).fetch_all(connection).await? {
        let name: String = row.try_get(0)?;
        let (mark, missing): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let stream = StreamReconciliation {
            stream: stream_id(&name)?,
            acknowledged: mark.saturating_sub(missing),
            missing,
            booked: Tally::read(&row, 3)?,
            refusal_entries: row.try_get(5)?,
            void_entries: row.try_get(9)?,
            lost_entries: row.try_get(10)?,
            end_entries: row.try_get(12)?,
            recorded: recorded.as_mut().map(|recorded| recorded.remove(&name).unwrap_or_default()),
            dropped: Tally::read(&row, 7)?,
            quarantined: quarantined.remove(&name).unwrap_or_default(),
        };
        streams.refused = sum_of_units(streams.refused, row.try_get(6)?);
        check_stream(&stream, row.try_get(11)?, breaches);
        streams.rows.push(stream);
    }
    for (name, tally) in recorded.into_iter().flatten() {
        let place = BreachPlace::Stream { stream: stream_id(&name)? };
        let (left, right) = (Reading::new("requests recorded", tally.requests), Reading::new("booked", 0));
        breaches.push(Breach { place, left, right });
    }
    Ok(streams)
}

async fn recorded(connection: &mut AnyConnection) -> Result<BTreeMap<String, Tally>, StoreError> {
    let rows = sqlx::query(RECORDED).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, Tally::read(row, 1)?))).collect()
}

/// `lost_in_gaps` is how many numbers its gaps of lost entries hold.
fn check_stream(audit: &StreamReconciliation, lost_in_gaps: i64, breaches: &mut Vec<Breach>) {
    let mut check =
        |left, right| compare(breaches, || BreachPlace::Stream { stream: audit.stream.clone() }, left, right);
    let counters = [audit.refusal_entries, audit.void_entries, audit.lost_entries, audit.end_entries];
    let entries = counters.into_iter().fold(audit.booked.requests, i64::saturating_add);
    check(Reading::new("entries acknowledged", audit.acknowledged), Reading::new("entries booked", entries));
    check(Reading::new("entries lost", audit.lost_entries), Reading::new("lost in open gaps", lost_in_gaps));
    let Some(mut accounted) = audit.recorded else { return };
    accounted.add(audit.dropped);
    accounted.add(audit.quarantined);
    let accounted_for = |number| Reading::new("recorded, dropped or quarantined", number);
    check(Reading::new("requests booked", audit.booked.requests), accounted_for(accounted.requests));
    check(Reading::new("units booked", audit.booked.units), accounted_for(accounted.units));
}

fn stream_id(name: &str) -> Result<StreamId, StoreError> {
    name.parse().map_err(|error| corrupt("stream", error))
}
