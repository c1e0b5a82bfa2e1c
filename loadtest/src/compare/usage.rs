//! The check that the bill would be right: received by the client, booked, accepted by the
//! upstream.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use common::usage::rollup::UsageFilter;
use serde::Serialize;
use tokio::time::sleep;

use super::{CompareError, fixture::Fixture, kind::Contest};
use crate::{
    processes,
    upstream::{ACCEPTED_PATH, Accepted},
};

/// Longest time without progress before booking counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Time between two looks into the store.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The gateway's traffic over the whole run, as three parties counted it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UsageCheck {
    /// Keys that were used.
    pub keys: usize,
    /// Answers that the client received in full.
    pub received: u64,
    /// Denials among them, which are not billed.
    pub denied: u64,
    /// Requests booked in the store.
    pub recorded: u64,
    /// Requests under these keys that the upstream accepted, if they were forwarded to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Requests that were not answered.
    pub unanswered: u64,
    /// Keys for which the counts do not fit.
    pub differing: Vec<String>,
    /// True if received <= recorded <= accepted for every key, and received = recorded if all were
    /// answered. Denials need not be recorded for a key, and must not be recorded in all.
    pub holds: bool,
}

/// Waits until everything received is booked, or until booking stands still.
pub(super) async fn wait_until_booked(fixture: &Fixture) -> Result<(), CompareError> {
    let received = fixture.received.values().sum::<u64>() - fixture.denied;
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let booked = recorded(fixture).await?.values().sum();
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
pub(super) async fn check(fixture: &Fixture, contest: Contest) -> Result<UsageCheck, CompareError> {
    let accepted = match contest {
        Contest::Proxies => Some(accepted(fixture).await?.by_key),
        Contest::Checks => None,
    };
    let check = UsageCheck { unanswered: fixture.unanswered, denied: fixture.denied, ..UsageCheck::default() };
    Ok(check.of(&fixture.received, &recorded(fixture).await?, accepted.as_ref()))
}

async fn recorded(fixture: &Fixture) -> Result<BTreeMap<String, u64>, CompareError> {
    let mut by_key = BTreeMap::new();
    for sum in fixture.store.usage(&UsageFilter::default()).await? {
        *by_key.entry(sum.key.to_string()).or_default() += sum.requests;
    }
    Ok(by_key)
}

async fn accepted(fixture: &Fixture) -> Result<Accepted, CompareError> {
    let failed = |source| CompareError::System { what: "cannot read the upstream's counters".into(), source };
    let answer = processes::get(fixture.upstream_address, ACCEPTED_PATH).await.map_err(failed)?;
    serde_json::from_str(&answer.body).map_err(|error| failed(io::Error::other(error)))
}

impl UsageCheck {
    /// Returns the check with the counts by key.
    fn of(
        self,
        received: &BTreeMap<String, u64>,
        recorded: &BTreeMap<String, u64>,
        accepted: Option<&BTreeMap<String, u64>>,
    ) -> Self {
        let (denied, unanswered) = (self.denied, self.unanswered);
        let mut check = Self { accepted: accepted.map(|_| 0), ..self };
        let mut keys: Vec<_> = received.keys().chain(recorded.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        check.keys = keys.len();
        for key in keys {
            let count = |counts: &BTreeMap<String, u64>| counts.get(key).copied().unwrap_or(0);
            let (received, recorded, accepted) = (count(received), count(recorded), accepted.map(count));
            let most = accepted.unwrap_or(u64::MAX).min(received + unanswered);
            if !(received.saturating_sub(denied)..=most).contains(&recorded) {
                let accepted = accepted.map(|accepted| format!(", accepted {accepted}")).unwrap_or_default();
                check.differing.push(format!("{key}: received {received}, recorded {recorded}{accepted}"));
            }
            check.received += received;
            check.recorded += recorded;
            check.accepted = check.accepted.zip(accepted).map(|(sum, accepted)| sum + accepted);
        }
        let billable = check.received.saturating_sub(denied);
        let adds_up = (billable..=billable + unanswered).contains(&check.recorded);
        check.holds = check.differing.is_empty() && adds_up && check.received > 0;
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("key_1".to_owned(), 5), ("key_2".to_owned(), count)])
    }

    fn check(received: u64, recorded: u64, accepted: u64, unanswered: u64) -> bool {
        let check = UsageCheck { unanswered, ..UsageCheck::default() };
        check.of(&counts(received), &counts(recorded), Some(&counts(accepted))).holds
    }

    #[test]
    fn usage_other_than_received_fails_the_check() {
        assert!(check(7, 7, 7, 0));
        assert!(check(7, 7, 8, 0));
        assert!(!check(7, 6, 7, 0), "lost");
        assert!(!check(7, 8, 8, 0), "billed for nothing");
        assert!(!check(7, 8, 7, 1), "billed for what the upstream never saw");
    }

    #[test]
    fn unanswered_requests_widen_the_bounds() {
        assert!(check(7, 8, 9, 2));
        assert!(!check(7, 6, 9, 2), "lost");
        assert!(!check(7, 10, 10, 2), "billed for more than was asked");
    }

    #[test]
    fn recorded_denial_fails_the_check() {
        let check = |received, recorded, denied, unanswered| {
            let check = UsageCheck { denied, unanswered, ..UsageCheck::default() };
            check.of(&counts(received), &counts(recorded), None).holds
        };
        assert!(check(7, 7, 0, 0));
        assert!(check(7, 5, 2, 0));
        assert!(!check(7, 6, 2, 0), "billed for a denial");
        assert!(!check(7, 4, 2, 0), "lost");
        assert!(check(7, 6, 2, 1));
        assert!(!check(7, 8, 0, 0), "billed for nothing");
    }

    #[test]
    fn usage_of_a_key_without_answers_fails_the_check() {
        let none = BTreeMap::new();
        let some = BTreeMap::from([("key_1".to_owned(), 3)]);
        let check = UsageCheck::default().of(&none, &some, Some(&some));
        assert!(!check.holds);
        assert_eq!(check.differing, ["key_1: received 0, recorded 3, accepted 3"]);
        assert!(!UsageCheck::default().of(&none, &none, Some(&none)).holds, "nothing was measured");
    }
}
