//! Deferred revenue: fees that are billed before the time that they are for.
//!
//! Invariants: the amount of such a line, without tax, is posted to the account `deferred_revenue`
//! and becomes revenue over its time: by exact time, at each begin of a month on the clock of its
//! issuer. In whatever steps it is recognized, the steps come to the whole. A credit note takes
//! back what is not earned yet before what is. The balance of the account is what deferrals have
//! left.

mod earning;
mod proof;
mod recognize;
mod rows;
mod take_back;

use earning::Earning;
pub use proof::DeferralFault;
pub use recognize::Recognized;
pub(crate) use rows::{NewDeferral, defer};
pub(crate) use take_back::take_back;

use crate::{
    id::{InvoiceId, TenantId},
    money::{Money, MoneyError},
    time::{Micros, Period, TimeError, Window, Zone},
};

/// A line of an invoice that becomes revenue over its time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Deferral {
    invoice: InvoiceId,
    /// Place of the line, from 0.
    line: usize,
    issuer: TenantId,
    tenant: TenantId,
    /// Without tax; below zero for what is taken off a fee.
    amount: Money,
    taken_back: Money,
    recognized: Money,
    /// The amount that is earned from its start on: all of it, or what a credit note has left.
    rest: Earning,
    recognized_until: Micros,
    /// The next begin of a month; none if nothing is left.
    next_at: Option<Micros>,
}

impl Deferral {
    /// The amount that is neither recognized nor taken back.
    fn left(&self) -> Result<Money, MoneyError> {
        self.amount.checked_sub(self.taken_back)?.checked_sub(self.recognized)
    }

    /// The part of the rest that is recognized.
    fn recognized_of_rest(&self) -> Result<Money, MoneyError> {
        self.rest.amount.checked_sub(self.left()?)
    }

    /// Recognizes what is earned by an instant and was not recognized before, and gives it.
    fn recognize(&mut self, at: Micros) -> Result<Money, MoneyError> {
        let due = self.rest.by(at)?.checked_sub(self.recognized_of_rest()?)?;
        self.recognized = self.recognized.checked_add(due)?;
        self.recognized_until = self.recognized_until.max(at);
        Ok(due)
    }

    /// Takes back what is left, at most `asked`, at an instant up to which it is recognized. Gives
    /// what was taken back. What remains is earned from then on.
    fn take_back(&mut self, asked: Money, at: Micros) -> Result<Money, MoneyError> {
        let left = self.left()?;
        let (low, high) = (left.minor().min(0), left.minor().max(0));
        let taken = Money::from_minor(asked.minor().clamp(low, high), left.currency());
        self.taken_back = self.taken_back.checked_add(taken)?;
        let Window { start, end } = self.rest.window;
        self.rest = Earning { amount: self.left()?, window: Window { start: at.clamp(start, end.max(start)), end } };
        Ok(taken)
    }
}

/// The first begin of a month after an instant, on the clock of a zone.
fn next_month(after: Micros, zone: &Zone) -> Result<Micros, TimeError> {
    Ok(Period::containing(after, zone)?.window(zone)?.end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    fn deferral(amount: i64, window: (i64, i64)) -> Deferral {
        let money = |minor| Money::from_minor(minor, Currency::EUR);
        let window = Window { start: Micros(window.0), end: Micros(window.1) };
        Deferral {
            invoice: InvoiceId::from_u128(1),
            line: 0,
            issuer: TenantId::from_u128(2),
            tenant: TenantId::from_u128(3),
            amount: money(amount),
            taken_back: money(0),
            recognized: money(0),
            rest: Earning { amount: money(amount), window },
            recognized_until: window.start,
            next_at: Some(window.end),
        }
    }

    #[test]
    fn what_a_credit_note_leaves_is_earned_in_the_time_that_remains() {
        let mut year = deferral(12_000, (0, 1_200));
        assert_eq!(year.recognize(Micros(300)).unwrap().minor(), 3_000);
        let asked = Money::from_minor(4_500, Currency::EUR);
        assert_eq!(year.take_back(asked, Micros(300)).unwrap().minor(), 4_500);
        assert_eq!(year.left().unwrap().minor(), 4_500);
        assert_eq!(year.recognize(Micros(750)).unwrap().minor(), 2_250);
        assert_eq!(year.take_back(Money::from_minor(9_000, Currency::EUR), Micros(750)).unwrap().minor(), 2_250);
        assert_eq!(year.recognize(Micros(1_200)).unwrap().minor(), 0);
    }

    #[test]
    fn deduction_is_taken_back_by_amounts_below_zero_only() {
        let mut discount = deferral(-500, (0, 10));
        assert_eq!(discount.recognize(Micros(5)).unwrap().minor(), -250);
        assert_eq!(discount.take_back(Money::from_minor(100, Currency::EUR), Micros(5)).unwrap().minor(), 0);
        assert_eq!(discount.take_back(Money::from_minor(-500, Currency::EUR), Micros(5)).unwrap().minor(), -250);
        assert_eq!(discount.left().unwrap().minor(), 0);
    }

    #[test]
    fn next_month_begins_on_the_clock_of_the_zone() {
        let next = |at: &str| next_month(at.parse().unwrap(), &"Europe/Berlin".parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-03-31T21:59:59Z"), "2026-03-31T22:00:00Z");
        assert_eq!(next("2026-03-31T22:00:00Z"), "2026-04-30T22:00:00Z");
    }

    proptest! {
        #[test]
        fn steps_come_to_the_whole_whatever_is_taken_back_between(
            amount in prop_oneof![-1_000_000_i64..0, 1_i64..1_000_000],
            start in -1_000_i64..1_000,
            length in 1_i64..3_000_000_000_000,
            mut steps in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0_i64..300_000)), 0..9),
        ) {
            let end = start + length;
            let mut one = deferral(amount, (start, end));
            let at = |index: &prop::sample::Index| start - 5 + i64::try_from(index.index(usize::try_from(length).unwrap() + 10)).unwrap();
            steps.sort_by_key(|(index, _)| at(index));
            let (mut recognized, mut taken, mut has_taken_back) = (0, 0, false);
            for (index, asked) in &steps {
                let at = Micros(at(index));
                recognized += one.recognize(at).unwrap().minor();
                if !has_taken_back {
                    let whole = Earning { amount: one.amount, window: Window { start: Micros(start), end: Micros(end) } };
                    prop_assert_eq!(recognized, whole.by(at).unwrap().minor(), "steps before do not matter");
                }
                if let Some(asked) = asked {
                    let asked = Money::from_minor(asked * amount.signum(), Currency::EUR);
                    taken += one.take_back(asked, at).unwrap().minor();
                    has_taken_back = true;
                }
                prop_assert!(one.left().unwrap().minor() * amount.signum() >= 0);
            }
            recognized += one.recognize(Micros(end)).unwrap().minor();
            prop_assert_eq!(recognized + taken, amount);
            prop_assert!(one.left().unwrap().is_zero());
        }
    }
}
