//! The standing of a server: up or down, by one check or by several in a row.
//!
//! Invariant: a server that was up stays up until `unhealthy_after` checks in a row have failed,
//! and one that was down stays down until `healthy_after` in a row have succeeded.

use crate::config::HealthSettings;

/// The verdict of the checks on a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Checks succeed.
    Up,
    /// Not decided yet: no check has succeeded, and not enough have failed.
    #[default]
    Unknown,
    /// Checks fail.
    Down,
}

/// A verdict, and the checks that speak against it.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) verdict: Verdict,
    /// The reason for which the last check failed; none if it succeeded.
    pub(super) failure: Option<String>,
    /// Checks in a row whose outcome contradicts the verdict.
    against: u32,
}

impl Standing {
    /// Takes the outcome of a check. Returns the verdict before it if that has changed.
    pub(super) fn observe(&mut self, outcome: Result<(), String>, settings: &HealthSettings) -> Option<Verdict> {
        let succeeded = outcome.is_ok();
        self.failure = outcome.err();
        let (contradicts, most, next) = match (self.verdict, succeeded) {
            (Verdict::Unknown, true) => (true, 1, Verdict::Up),
            (Verdict::Unknown | Verdict::Up, false) => (true, settings.unhealthy_after, Verdict::Down),
            (Verdict::Down, true) => (true, settings.healthy_after, Verdict::Up),
            (Verdict::Up, true) | (Verdict::Down, false) => (false, 0, self.verdict),
        };
        self.against = if contradicts { self.against + 1 } else { 0 };
        if !contradicts || self.against < most {
            return None;
        }
        self.against = 0;
        Some(std::mem::replace(&mut self.verdict, next))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Question;

    fn settings(unhealthy_after: u32, healthy_after: u32) -> HealthSettings {
        HealthSettings {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_after,
            healthy_after,
            question: Question::Connection,
            host: None,
        }
    }

    /// The verdict after each check of a row: `+` succeeds, `-` fails.
    fn verdicts(checks: &str, settings: &HealthSettings) -> String {
        let mut standing = Standing::default();
        let after = |check: char| {
            let outcome = if check == '+' { Ok(()) } else { Err("refused".to_owned()) };
            standing.observe(outcome, settings);
            assert_eq!(standing.failure.is_some(), check == '-');
            match standing.verdict {
                Verdict::Up => 'U',
                Verdict::Unknown => '?',
                Verdict::Down => 'D',
            }
        };
        checks.chars().map(after).collect()
    }

    #[test]
    fn verdict_changes_after_as_many_checks_in_a_row_as_are_set() {
        let cases = [
            (3, 2, "+-+--+---", "UUUUUUUUD"),
            (3, 2, "+---+-++", "UUUDDDDU"),
            (3, 2, "---", "??D"),
            (3, 2, "--+", "??U"),
            (1, 1, "+-+-", "UDUD"),
            (1, 1, "-", "D"),
            (2, 3, "+--++-+++", "UUDDDDDDU"),
        ];
        for (unhealthy_after, healthy_after, checks, expected) in cases {
            assert_eq!(verdicts(checks, &settings(unhealthy_after, healthy_after)), expected, "{checks}");
        }
    }
}
