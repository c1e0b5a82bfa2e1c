//! The answers that the clients received, beside the records.

use std::collections::BTreeMap;

use super::ClientCounts;
use crate::{
    deployment::Deployment,
    drill::{
        error::DrillError,
        outcome::{Drill, Outcome},
    },
    load::LoadResult,
};

/// Counts over all faults.
#[derive(Default)]
pub(super) struct FaultBooks {
    /// By key.
    keys: BTreeMap<String, Counts>,
    /// Requests that failed although they might have been repeated.
    failed_repeatable: u64,
    /// Requests that failed and may not be repeated.
    failed_other: u64,
}

/// Counts of one key.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    /// Answers of servers that the client received in full.
    received: u64,
    /// Requests that the client got no answer to, or not all of it.
    broken: u64,
}

impl FaultBooks {
    pub(super) fn add(&mut self, seen: &ClientCounts) {
        self.failed_repeatable += self.add_load(&seen.repeatable);
        self.failed_other += self.add_load(&seen.other);
    }

    /// Adds the counts of a client, and returns the requests of it that failed.
    fn add_load(&mut self, load: &LoadResult) -> u64 {
        let mut served = 0;
        for (key, by_status) in &load.by_label {
            let counts = self.keys.entry(key.clone()).or_default();
            let of_key = by_status.get(&200).copied().unwrap_or(0);
            counts.received += of_key;
            counts.broken += load.failures.total();
            served += of_key;
        }
        load.requests - served
    }

    /// Compares them with the records.
    pub(super) async fn close(
        self,
        drill: &Drill,
        faults: u32,
        allowed: u64,
        mut deployment: Deployment,
    ) -> Result<Outcome, DrillError> {
        deployment.journals_are_empty().await?;
        deployment.gateway.process.stop().await?;
        let usage = deployment.usage_in(deployment.store()).await?;
        let billed = |key: &String| usage.get(key).map_or(0, |usage| usage.requests);
        let lost: u64 = self.keys.iter().map(|(key, counts)| counts.received.saturating_sub(billed(key))).sum();
        let invented: u64 =
            self.keys.iter().map(|(key, counts)| billed(key).saturating_sub(counts.received + counts.broken)).sum();
        let wrong = [
            (lost > 0, format!("{lost} answers have no record")),
            (invented > 0, format!("{invented} records belong to no answer")),
            (self.failed_repeatable > 0, format!("{} requests that may be repeated failed", self.failed_repeatable)),
            (self.failed_other > allowed, format!("{} other requests failed; {allowed} may", self.failed_other)),
        ];
        let wrong = wrong.into_iter().find_map(|(is_wrong, what)| is_wrong.then_some(what));
        let audit = deployment.audit().await.err().map(|error| error.to_string());
        let wrong = wrong.or(audit);
        Ok(Outcome {
            faults,
            at_risk: self.keys.values().map(|counts| counts.broken).sum(),
            received: self.keys.values().map(|counts| counts.received).sum(),
            billed: self.keys.keys().map(billed).sum(),
            failed: Some(self.failed_repeatable + self.failed_other),
            lost: Some(lost),
            ok: wrong.is_none(),
            wrong,
            ..Outcome::of(drill.name)
        })
    }
}
