//! Whether the bill would be right: what the client received, what was booked, what the upstream accepted.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use common::store::UsageFilter;
use serde::Serialize;
use tokio::time::sleep;

use super::{CompareError, site::Site};
use crate::{
    fleet,
    upstream::{ACCEPTED_PATH, Accepted},
};

/// How long booking may stand still before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Time between two looks into the store.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The gateway's traffic over the whole run, as three parties counted it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UsageCheck {
    /// Keys that were used.
    pub keys: usize,
    /// Answers from the upstream that the client received in full.
    pub received: u64,
    /// Requests booked in the store.
    pub recorded: u64,
    /// Requests under these keys that the upstream accepted.
    pub accepted: u64,
    /// Requests that were not answered.
    pub unanswered: u64,
    /// Keys for which the counts do not fit.
    pub differing: Vec<String>,
    /// Whether received <= recorded <= accepted for every key, and received = recorded if all were answered.
    pub holds: bool,
}

/// Waits until everything received is booked, or until booking stands still.
pub(super) async fn wait_until_booked(site: &Site) -> Result<(), CompareError> {
    let received: u64 = site.received.values().sum();
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let booked = recorded(site).await?.values().sum();
        if booked >= received || moved.elapsed() >= STUCK_AFTER {
            return Ok(());
        }
        if booked > last {
            (last, moved) = (booked, Instant::now());
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Holds the three counts against each other.
pub(super) async fn check(site: &Site) -> Result<UsageCheck, CompareError> {
    let accepted = accepted(site).await?.by_key;
    Ok(UsageCheck::of(&site.received, &recorded(site).await?, &accepted, site.unanswered))
}

async fn recorded(site: &Site) -> Result<BTreeMap<String, u64>, CompareError> {
    let mut by_key = BTreeMap::new();
    for sum in site.store.usage(&UsageFilter::default()).await? {
        *by_key.entry(sum.key.to_string()).or_default() += sum.requests;
    }
    Ok(by_key)
}

async fn accepted(site: &Site) -> Result<Accepted, CompareError> {
    let failed = |source| CompareError::System { what: "cannot read the upstream's counters".into(), source };
    let answer = fleet::get(site.upstream_address, ACCEPTED_PATH).await.map_err(failed)?;
    serde_json::from_str(&answer.body).map_err(|error| failed(io::Error::other(error)))
}

impl UsageCheck {
    fn of(
        received: &BTreeMap<String, u64>,
        recorded: &BTreeMap<String, u64>,
        accepted: &BTreeMap<String, u64>,
        unanswered: u64,
    ) -> Self {
        let mut check = Self { unanswered, ..Self::default() };
        let mut keys: Vec<_> = received.keys().chain(recorded.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        check.keys = keys.len();
        for key in keys {
            let count = |counts: &BTreeMap<String, u64>| counts.get(key).copied().unwrap_or(0);
            let (received, recorded, accepted) = (count(received), count(recorded), count(accepted));
            let fits = received <= recorded && recorded <= accepted && (unanswered > 0 || received == recorded);
            if !fits {
                check.differing.push(format!("{key}: received {received}, recorded {recorded}, accepted {accepted}"));
            }
            check.received += received;
            check.recorded += recorded;
            check.accepted += accepted;
        }
        check.holds = check.differing.is_empty() && check.received > 0;
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received: u64, recorded: u64, accepted: u64, unanswered: u64) -> bool {
        let counts = |count| BTreeMap::from([("key_1".to_owned(), 5), ("key_2".to_owned(), count)]);
        UsageCheck::of(&counts(received), &counts(recorded), &counts(accepted), unanswered).holds
    }

    #[test]
    fn usage_must_equal_what_was_received() {
        assert!(check(7, 7, 7, 0));
        assert!(check(7, 7, 8, 0));
        assert!(!check(7, 6, 7, 0), "lost");
        assert!(!check(7, 8, 8, 0), "billed for nothing");
        assert!(!check(7, 8, 7, 1), "billed for what the upstream never saw");
    }

    #[test]
    fn unanswered_requests_leave_room_between_the_bounds() {
        assert!(check(7, 8, 9, 2));
        assert!(!check(7, 6, 9, 2), "lost");
    }

    #[test]
    fn usage_of_a_key_that_received_nothing_is_seen() {
        let none = BTreeMap::new();
        let some = BTreeMap::from([("key_1".to_owned(), 3)]);
        let check = UsageCheck::of(&none, &some, &some, 0);
        assert!(!check.holds);
        assert_eq!(check.differing, ["key_1: received 0, recorded 3, accepted 3"]);
        assert!(!UsageCheck::of(&none, &none, &none, 0).holds, "nothing was measured");
    }
}
