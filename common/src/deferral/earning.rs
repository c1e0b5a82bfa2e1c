//! An amount that is earned over a time.

use crate::{
    money::{Exact, Money, MoneyError},
    time::{Micros, Window},
};

/// An amount, and the time over which it is earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Earning {
    pub(super) amount: Money,
    pub(super) window: Window,
}

impl Earning {
    /// The part that is earned by an instant: by exact time, rounded once. Nothing before the time
    /// has begun, all of it once it has ended.
    pub(super) fn by(&self, at: Micros) -> Result<Money, MoneyError> {
        let Window { start, end } = self.window;
        if at >= end {
            return Ok(self.amount);
        }
        let elapsed = Window { start, end: at }.length();
        (Exact::from(self.amount) * Exact::ratio(elapsed, self.window.length())).to_money(self.amount.currency())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn amount_is_earned_by_exact_time_and_rounded_once() {
        let window = Window { start: Micros(100), end: Micros(107) };
        let by = |minor, at| {
            let amount = Money::from_minor(minor, Currency::USD);
            Earning { amount, window }.by(Micros(at)).unwrap().minor()
        };
        assert_eq!([99, 100, 101, 103, 106, 107, 200].map(|at| by(1_000, at)), [0, 0, 143, 429, 857, 1_000, 1_000]);
        assert_eq!([103, 107].map(|at| by(-1_000, at)), [-429, -1_000]);
    }

    #[test]
    fn time_without_length_is_over_at_once() {
        let window = Window { start: Micros(5), end: Micros(5) };
        let earning = Earning { amount: Money::from_minor(7, Currency::USD), window };
        assert_eq!([4, 5].map(|at| earning.by(Micros(at)).unwrap().minor()), [0, 7]);
    }
}
