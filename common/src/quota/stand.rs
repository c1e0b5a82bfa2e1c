//! State of a quota, and the one rule by which it changes.
//!
//! Invariant: units granted never exceed the limit that held when they were granted. Units that
//! answers used beyond what was granted are owed: a debt in the store, which is paid before
//! anything else as soon as there are units left.

use super::QuotaGrant;

/// Units of one quota. `granted` and `owed` together are what is used or in the hands of gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) granted: i64,
    pub(crate) limit: i64,
    pub(crate) owed: i64,
}

impl Stand {
    /// Units that can still be granted.
    pub(crate) const fn left(self) -> i64 {
        let left = self.limit.saturating_sub(self.granted);
        if left > 0 { left } else { 0 }
    }

    /// Grants up to `wanted` units, after what is owed is paid.
    pub(super) fn grant(&mut self, wanted: i64) -> QuotaGrant {
        self.pay();
        let granted = self.left().min(wanted);
        self.granted += granted;
        QuotaGrant { granted: granted.unsigned_abs(), left: self.left().unsigned_abs() }
    }

    /// Answers have used `units` beyond what was granted for them.
    pub(crate) fn owe(&mut self, units: i64) {
        self.owed = self.owed.saturating_add(units);
        self.pay();
    }

    /// `units` were not used after all.
    pub(crate) fn give_back(&mut self, units: i64) {
        let forgiven = self.owed.min(units);
        self.owed -= forgiven;
        self.granted = self.granted.saturating_sub(units - forgiven).max(0);
        self.pay();
    }

    /// The limit is another one. What was granted under a higher one stays granted.
    pub(crate) fn set_limit(&mut self, limit: i64) {
        self.limit = limit;
        self.pay();
    }

    fn pay(&mut self) {
        let paid = self.left().min(self.owed);
        self.granted += paid;
        self.owed -= paid;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn stand(granted: i64, limit: i64, owed: i64) -> Stand {
        Stand { granted, limit, owed }
    }

    fn after(mut stand: Stand, change: impl FnOnce(&mut Stand)) -> Stand {
        change(&mut stand);
        stand
    }

    #[test]
    fn usage_beyond_grants_is_granted_to_limit_and_owed_beyond() {
        assert_eq!(after(stand(40, 100, 0), |stand| stand.owe(40)), stand(80, 100, 0));
        assert_eq!(after(stand(90, 100, 0), |stand| stand.owe(40)), stand(100, 100, 30));
        assert_eq!(after(stand(90, 50, 0), |stand| stand.owe(40)), stand(90, 50, 40), "the limit was lowered");
    }

    #[test]
    fn debt_is_paid_before_grants() {
        let mut quota = stand(100, 100, 30);
        quota.set_limit(120);
        assert_eq!(quota, stand(120, 120, 10));
        quota.limit = 150;
        assert_eq!(quota.grant(100), QuotaGrant { granted: 20, left: 0 });
        assert_eq!(quota, stand(150, 150, 0));
    }

    #[test]
    fn returned_units_pay_debt_first() {
        assert_eq!(after(stand(100, 100, 30), |stand| stand.give_back(10)), stand(100, 100, 20));
        assert_eq!(after(stand(100, 100, 30), |stand| stand.give_back(50)), stand(80, 100, 0));
        assert_eq!(after(stand(100, 100, 0), |stand| stand.give_back(60)), stand(40, 100, 0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Grant(i64),
        Owe(i64),
        GiveBack(i64),
        SetLimit(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let units = prop_oneof![4 => 0_i64..50, 1 => Just(i64::MAX)];
        prop_oneof![
            units.clone().prop_map(Step::Grant),
            units.clone().prop_map(Step::Owe),
            (0_i64..50).prop_map(Step::GiveBack),
            units.prop_map(Step::SetLimit),
        ]
    }

    proptest! {
        #[test]
        fn quota_never_exceeds_limit_nor_owes_with_units_left(
            steps in prop::collection::vec(step(), 1..40),
        ) {
            let (mut quota, mut highest) = (stand(0, 20, 0), 20);
            for step in steps {
                match step {
                    Step::Grant(units) => drop(quota.grant(units)),
                    Step::Owe(units) => quota.owe(units),
                    Step::GiveBack(units) => quota.give_back(units),
                    Step::SetLimit(limit) => quota.set_limit(limit),
                }
                highest = highest.max(quota.limit);
                prop_assert!(quota.granted <= highest && quota.granted >= 0 && quota.owed >= 0, "{quota:?}");
                prop_assert!(quota.owed == 0 || quota.left() == 0, "{quota:?}");
            }
        }
    }
}
