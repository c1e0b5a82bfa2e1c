//! What a gateway says to the bank about one limit, and what the bank answers.

use std::fmt;

/// One limit in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// What is drawn.
    pub kind: Kind,
    /// Tokens that refill in a window.
    pub limit: u64,
    /// The window, in microseconds.
    pub window_micros: u64,
    /// Most tokens that are there at once.
    pub burst: u64,
    /// Tokens in hand that the gateway keeps.
    pub held: u64,
    /// Tokens that it had in hand and gives back.
    pub returned: u64,
    /// Tokens that it admitted on its own while the bank was away.
    pub debt: u64,
    /// Tokens that it would like.
    pub want: u64,
    /// Tokens that it uses while a draw is meant to last: its share when there is not enough for all.
    pub demand: u64,
}

/// What tokens stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests: spent, and refilled as time passes.
    Rate,
    /// Requests under way: given back when they end, never refilled.
    Slots,
}

/// The bank's answer about one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
    /// Tokens granted.
    pub granted: u64,
    /// Tokens that are left for anybody.
    pub level: u64,
    /// Tokens that are owed before any is left again.
    pub owed: u64,
    /// Microseconds until there is one more; 0 if there is one.
    pub wait_micros: u64,
}

impl Draw {
    /// The arguments of the script that stand for this draw.
    pub const fn arguments(&self) -> [Argument<'static>; 9] {
        let kind = match self.kind {
            Kind::Rate => "rate",
            Kind::Slots => "slots",
        };
        [
            Argument::Text(kind),
            Argument::Number(self.limit),
            Argument::Number(self.window_micros),
            Argument::Number(self.burst),
            Argument::Number(self.held),
            Argument::Number(self.returned),
            Argument::Number(self.debt),
            Argument::Number(self.want),
            Argument::Number(self.demand),
        ]
    }
}

/// One argument of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A word.
    Text(&'a str),
    /// A number; the script reckons with 53 bits, which limits never exceed.
    Number(u64),
    /// One that may be below zero.
    Signed(i64),
}

impl fmt::Display for Argument<'_> {
    /// As the script reads it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.pad(text),
            Self::Number(number) => number.fmt(formatter),
            Self::Signed(number) => number.fmt(formatter),
        }
    }
}

/// What the bank answered to one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Gateways that it heard from lately.
    pub fleet: u64,
    /// Whether it grants anything. If not, it waits for others to report, and whoever asks goes on alone.
    pub is_open: bool,
    /// Every call has a higher one than those before.
    pub version: u64,
    /// For how many microseconds every gateway that called is still there.
    pub known_micros: u64,
    /// What became of the last loss of data.
    pub loss: Loss,
    /// The loss that this gateway is asked about; 0 if none.
    pub asks: u64,
    /// An id of each gateway that it heard from lately.
    pub ids: Vec<u64>,
    /// One for each draw, in their order.
    pub grants: Vec<Grant>,
}

/// What became of the last loss of data, until every limit has refilled by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loss {
    /// There was none.
    #[default]
    None,
    /// Gateways are asked for what they know. Until then, limits refill from empty.
    Asking,
    /// Every limit has what was left of it.
    MadeGood,
    /// Not every gateway that was there could be asked: limits refill from empty.
    Refilling,
}

/// Numbers of an answer that are about the call, before those about gateways and limits.
const ABOUT_CALL: usize = 6;

impl Answer {
    /// Reads the numbers that the script returns to a call of `draws` limits; none if they are not what it returns.
    pub fn parse(numbers: &[i64], draws: usize) -> Option<Self> {
        let (head, rest) = numbers.split_at_checked(ABOUT_CALL)?;
        let head = head.iter().map(|number| u64::try_from(*number).ok()).collect::<Option<Vec<_>>>()?;
        let [fleet, open, version, known_micros, loss, asks] = *head else {
            return None;
        };
        let (ids, grants) = rest.split_at_checked(usize::try_from(fleet).ok()?)?;
        let ids = ids.iter().map(|id| u64::try_from(*id).ok()).collect::<Option<Vec<_>>>()?;
        let (grants, rest) = grants.as_chunks();
        let grants = grants.iter().map(Grant::read).collect::<Option<Vec<_>>>()?;
        let loss = match loss {
            0 => Loss::None,
            1 => Loss::Asking,
            2 => Loss::MadeGood,
            _ => Loss::Refilling,
        };
        let is_whole = rest.is_empty() && grants.len() == draws;
        is_whole.then_some(Self { fleet, is_open: open == 1, version, known_micros, loss, asks, ids, grants })
    }
}

impl Grant {
    fn read(&[granted, level, wait]: &[i64; 3]) -> Option<Self> {
        let (granted, wait_micros) = (u64::try_from(granted).ok()?, u64::try_from(wait).ok()?);
        let (level, owed) = (level.max(0).unsigned_abs(), level.min(0).unsigned_abs());
        Some(Self { granted, level, owed, wait_micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_three_numbers_for_each_limit() {
        let grant = |granted, level, owed, wait_micros| Grant { granted, level, owed, wait_micros };
        let parsed = Answer::parse(&[2, 1, 77, 5_000, 1, 99, 11, 12, 10, 90, 0, 0, -3, 1_500], 2);
        let expected = Answer {
            fleet: 2,
            is_open: true,
            version: 77,
            known_micros: 5_000,
            loss: Loss::Asking,
            asks: 99,
            ids: vec![11, 12],
            grants: vec![grant(10, 90, 0, 0), grant(0, 0, 3, 1_500)],
        };
        assert_eq!(parsed, Some(expected));
        let closed = Answer { fleet: 0, version: 1, ..Answer::default() };
        assert_eq!(Answer::parse(&[0, 0, 1, 0, 0, 0], 0), Some(closed));
    }

    #[test]
    fn anything_else_is_no_answer() {
        let wrong: [(&[i64], usize); 7] = [
            (&[], 0),
            (&[1, 1, 1, 1, 0], 0),
            (&[1, 1, 1, 1, 0, 0], 0),
            (&[1, 1, 1, 1, 0, 0, 9, 2, 3, 4], 0),
            (&[1, 1, 1, 1, 0, 0, 9, 2, 3, 4], 2),
            (&[1, 1, 1, 1, 0, 0, 9, -2, 3, 4], 1),
            (&[-1, 1, 1, 1, 0, 0], 0),
        ];
        for (numbers, draws) in wrong {
            assert_eq!(Answer::parse(numbers, draws), None, "{numbers:?}");
        }
    }
}
