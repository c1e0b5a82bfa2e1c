//! Draws and grants: what a gateway sends to the bank for each limit, and what the bank answers.

use std::fmt;

/// The draw of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Tokens or permits.
    pub kind: Kind,
    /// Tokens that refill in a window.
    pub limit: u64,
    /// The window, in microseconds.
    pub window_micros: u64,
    /// Size of the bucket.
    pub burst: u64,
    /// Tokens in hand that the gateway keeps.
    pub held: u64,
    /// Tokens in hand that the gateway gives back.
    pub returned: u64,
    /// Tokens that the gateway admitted alone while the bank was away.
    pub debt: u64,
    /// Tokens that the gateway asks for.
    pub want: u64,
    /// Tokens that the gateway uses in a draw's horizon. They decide its share when the bank has
    /// too few for all.
    pub demand: u64,
}

/// The kind of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tokens, which are spent and refill as time passes.
    Rate,
    /// Permits, which come back when requests end and never refill.
    Concurrency,
}

/// The bank's answer about one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
    /// Tokens granted.
    pub granted: u64,
    /// Tokens left at the bank.
    pub level: u64,
    /// Tokens that must refill before any is left again.
    pub owed: u64,
    /// Microseconds until the bank has a token, 0 if it has one.
    pub wait_micros: u64,
}

impl Draw {
    /// Arguments of the script for this draw.
    pub const fn arguments(&self) -> [Argument<'static>; 9] {
        let kind = match self.kind {
            Kind::Rate => "rate",
            Kind::Concurrency => "slots",
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

/// An argument of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A word.
    Text(&'a str),
    /// A number. The script computes with 53 bits, which limits never exceed.
    Number(u64),
    /// A number that may be below zero.
    Signed(i64),
}

impl fmt::Display for Argument<'_> {
    /// Writes the argument as the script reads it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.pad(text),
            Self::Number(number) => number.fmt(formatter),
            Self::Signed(number) => number.fmt(formatter),
        }
    }
}

/// The bank's answer to one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Number of gateways that called lately.
    pub gateways: u64,
    /// False while the bank waits for the reports of other gateways and grants nothing; callers go
    /// on alone meanwhile.
    pub is_open: bool,
    /// Version of the call, higher than that of each call before.
    pub version: u64,
    /// Every gateway that called in the last `known_micros` microseconds is still there.
    pub known_micros: u64,
    /// State of the last loss of data.
    pub loss: Loss,
    /// Id of the loss that this gateway is asked about, 0 if none.
    pub asks: u64,
    /// Ids of the gateways that called lately.
    pub ids: Vec<u64>,
    /// One grant for each draw, in their order.
    pub grants: Vec<Grant>,
}

/// State of the last loss of data. It counts until every limit has refilled by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loss {
    /// No data was lost.
    #[default]
    None,
    /// Gateways are asked for what they know. Until then, limits refill from empty.
    Asking,
    /// Every limit has again what was left of it.
    MadeGood,
    /// A gateway that was there before the loss could not be asked: limits refill from empty.
    Refilling,
}

/// Numbers at the head of an answer, before the ids of gateways and the grants.
const ABOUT_CALL: usize = 6;

impl Answer {
    /// Parses the numbers that the script returns for a call with `draws` limits. None if they are
    /// anything else.
    pub fn parse(numbers: &[i64], draws: usize) -> Option<Self> {
        let (head, rest) = numbers.split_at_checked(ABOUT_CALL)?;
        let head = head.iter().map(|number| u64::try_from(*number).ok()).collect::<Option<Vec<_>>>()?;
        let [gateways, open, version, known_micros, loss, asks] = *head else {
            return None;
        };
        let (ids, grants) = rest.split_at_checked(usize::try_from(gateways).ok()?)?;
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
        is_whole.then_some(Self { gateways, is_open: open == 1, version, known_micros, loss, asks, ids, grants })
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
    fn answer_has_three_numbers_for_each_limit() {
        let grant = |granted, level, owed, wait_micros| Grant { granted, level, owed, wait_micros };
        let parsed = Answer::parse(&[2, 1, 77, 5_000, 1, 99, 11, 12, 10, 90, 0, 0, -3, 1_500], 2);
        let expected = Answer {
            gateways: 2,
            is_open: true,
            version: 77,
            known_micros: 5_000,
            loss: Loss::Asking,
            asks: 99,
            ids: vec![11, 12],
            grants: vec![grant(10, 90, 0, 0), grant(0, 0, 3, 1_500)],
        };
        assert_eq!(parsed, Some(expected));
        let closed = Answer { gateways: 0, version: 1, ..Answer::default() };
        assert_eq!(Answer::parse(&[0, 0, 1, 0, 0, 0], 0), Some(closed));
    }

    #[test]
    fn numbers_of_any_other_shape_are_no_answer() {
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
