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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Tokens granted.
    pub granted: u64,
    /// Tokens that are left for anybody.
    pub level: u64,
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
}

impl fmt::Display for Argument<'_> {
    /// As the script reads it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.pad(text),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

/// What the bank answered to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Gateways that it heard from lately.
    pub fleet: u64,
    /// Whether it grants anything. If not, it waits for others to report, and whoever asks goes on alone.
    pub is_open: bool,
    /// One for each draw, in their order.
    pub grants: Vec<Grant>,
}

impl Answer {
    /// Reads the numbers that the script returns to a call of `draws` limits; none if they are not what it returns.
    pub fn parse(numbers: &[i64], draws: usize) -> Option<Self> {
        let numbers = numbers.iter().map(|number| u64::try_from(*number).ok()).collect::<Option<Vec<_>>>()?;
        let (&[fleet, open], grants) = numbers.split_first_chunk()?;
        let (grants, rest) = grants.as_chunks();
        let grants: Vec<_> =
            grants.iter().map(|&[granted, level, wait_micros]| Grant { granted, level, wait_micros }).collect();
        (rest.is_empty() && grants.len() == draws).then_some(Self { fleet, is_open: open == 1, grants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_three_numbers_for_each_limit() {
        let grant = |granted, level, wait_micros| Grant { granted, level, wait_micros };
        let parsed = Answer::parse(&[4, 1, 10, 90, 0, 0, 0, 1_500], 2);
        let grants = vec![grant(10, 90, 0), grant(0, 0, 1_500)];
        assert_eq!(parsed, Some(Answer { fleet: 4, is_open: true, grants }));
        assert_eq!(Answer::parse(&[1, 0], 0), Some(Answer { fleet: 1, is_open: false, grants: vec![] }));
    }

    #[test]
    fn anything_else_is_no_answer() {
        let wrong: [(&[i64], usize); 5] =
            [(&[], 0), (&[1], 0), (&[1, 1, 2, 3, 4], 0), (&[1, 1, 2, 3, 4], 2), (&[1, 1, -2, 3, 4], 1)];
        for (numbers, draws) in wrong {
            assert_eq!(Answer::parse(numbers, draws), None, "{numbers:?}");
        }
    }
}
