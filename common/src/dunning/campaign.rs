//! The steps of a campaign, and which of them is due.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::DunningPolicy;
use crate::{time::Micros, word::UnknownWord};

/// Length of a day of a campaign. It counts from an instant, so no clock is set within it.
const DAY_SECONDS: i64 = 86_400;

/// Action of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "api", derive(serde::Deserialize, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DunningAction {
    /// The tenant is reminded.
    Remind,
    /// The saved method is tried again.
    Retry,
    /// The tenant is refused until the invoice is paid.
    Suspend,
}

/// A step of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignStep {
    /// Its number, from 0 on.
    pub number: u32,
    /// Time from which on it is due.
    pub at: Micros,
    /// Its action.
    pub action: DunningAction,
}

impl DunningAction {
    const ALL: [Self; 3] = [Self::Remind, Self::Retry, Self::Suspend];

    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Remind => "remind",
            Self::Retry => "retry",
            Self::Suspend => "suspend",
        }
    }
}

impl FromStr for DunningAction {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|action| action.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("step of dunning", "remind, retry, suspend", word))
    }
}

impl fmt::Display for DunningAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl DunningPolicy {
    /// The steps of a campaign that began at `start`, in their order. `can_retry`: the tenant has
    /// a saved method that may yet do.
    pub fn steps(&self, start: Micros, can_retry: bool) -> impl Iterator<Item = CampaignStep> {
        let again = if can_retry { DunningAction::Retry } else { DunningAction::Remind };
        let last = self.days.last().copied().unwrap_or(0);
        let end = self.suspend.then_some((last + self.grace_days, DunningAction::Suspend));
        let days = [(0, DunningAction::Remind)].into_iter();
        let days = days.chain(self.days.iter().map(move |day| (*day, again))).chain(end);
        (0..).zip(days).map(move |(number, (day, action))| CampaignStep {
            number,
            at: start.plus_seconds(i64::from(day) * DAY_SECONDS),
            action,
        })
    }

    /// The step to take at `now`: the last that is due, unless it or a later one was taken. Those
    /// that were missed before it are left out, so that nobody gets three reminders at once.
    pub fn due(&self, start: Micros, can_retry: bool, taken: Option<u32>, now: Micros) -> Option<CampaignStep> {
        let due = self.steps(start, can_retry).take_while(|step| step.at <= now).last()?;
        taken.is_none_or(|taken| taken < due.number).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use DunningAction::{Remind, Retry, Suspend};

    use super::*;

    fn on_day(day: i64) -> Micros {
        Micros(0).plus_seconds(day * DAY_SECONDS)
    }

    #[test]
    fn default_campaign_reminds_tries_thrice_and_suspends() {
        let policy = DunningPolicy::default();
        let mut taken = None;
        let mut history = Vec::new();
        for day in 0..30 {
            if let Some(step) = policy.due(on_day(0), true, taken, on_day(day)) {
                taken = Some(step.number);
                history.push((day, step.action));
            }
        }
        assert_eq!(history, [(0, Remind), (3, Retry), (5, Retry), (7, Retry), (14, Suspend)]);
    }

    #[test]
    fn steps_that_were_missed_are_not_caught_up() {
        let policy = DunningPolicy { suspend: false, ..DunningPolicy::default() };
        let due = policy.due(on_day(0), false, Some(0), on_day(20)).unwrap();
        assert_eq!((due.number, due.action), (3, Remind));
        assert_eq!(policy.due(on_day(0), false, Some(3), on_day(400)), None);
        assert_eq!(policy.due(on_day(2), false, None, on_day(1)), None);
    }
}
