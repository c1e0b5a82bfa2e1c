//! Splitting an amount into whole minor units by weights.

use super::{Exact, Money, MoneyError};

/// Splits `amount` by `weights`, none of them below zero: each part is the exact share rounded
/// towards zero, and the minor units that are left go one each to the parts that lost most by that,
/// the later of two that lost the same (largest remainder). So the parts add up to the amount, none
/// is above its weight's share by a minor unit or more, and the same input gives the same parts.
/// Weights that are all zero get nothing, and the amount is lost: callers have one that is not.
pub fn split(amount: Money, weights: &[Exact]) -> Result<Vec<Money>, MoneyError> {
    let currency = amount.currency();
    let sum: Exact = weights.iter().cloned().sum();
    let share = |weight: &Exact| {
        let share = Exact::whole(i128::from(amount.minor())) * weight.clone();
        share.divided_by(&sum).unwrap_or_else(Exact::zero)
    };
    let shares: Vec<Exact> = weights.iter().map(share).collect();
    let mut minors = Vec::with_capacity(shares.len());
    for share in &shares {
        minors.push(share.truncated().ok_or(MoneyError::Overflow)?);
    }
    let given: i128 = minors.iter().map(|minor| i128::from(*minor)).sum();
    let left = i128::from(amount.minor()) - given;
    let mut by_loss: Vec<(Exact, usize)> = shares
        .into_iter()
        .enumerate()
        .map(|(place, share)| {
            let loss = share - Exact::whole(i128::from(minors[place]));
            (if loss.is_negative() { -loss } else { loss }, place)
        })
        .collect();
    by_loss.sort();
    let step = i64::try_from(left.signum()).unwrap_or_default();
    let count = usize::try_from(left.unsigned_abs()).map_err(|_| MoneyError::Overflow)?;
    if !sum.is_zero() {
        for (_, place) in by_loss.iter().rev().take(count) {
            minors[*place] += step;
        }
    }
    Ok(minors.into_iter().map(|minor| Money::from_minor(minor, currency)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    fn parts(amount: i64, weights: &[i128]) -> Vec<i64> {
        let weights: Vec<Exact> = weights.iter().map(|weight| Exact::whole(*weight)).collect();
        let parts = split(Money::from_minor(amount, Currency::USD), &weights).unwrap();
        parts.into_iter().map(Money::minor).collect()
    }

    #[test]
    fn coupon_over_three_lines_goes_by_their_amounts() {
        assert_eq!(parts(1_000, &[3_333, 3_333, 3_334]), [333, 333, 334]);
    }

    #[test]
    fn cent_that_is_left_goes_to_the_largest_loss_and_not_to_the_largest_share() {
        assert_eq!(parts(10, &[21, 17, 2]), [5, 4, 1]);
        assert_eq!(parts(-10, &[21, 17, 2]), [-5, -4, -1]);
    }

    #[test]
    fn equal_losses_are_made_good_from_the_end() {
        assert_eq!(parts(1, &[1, 1, 1]), [0, 0, 1]);
        assert_eq!(parts(-2, &[1, 1, 1]), [0, -1, -1]);
        assert_eq!(parts(5, &[0, 7, 0]), [0, 5, 0]);
        assert_eq!(parts(5, &[0, 0]), [0, 0]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_one_minor_unit_of_their_share(
            amount in -1_000_000_000_000_i64..1_000_000_000_000,
            weights in proptest::collection::vec(0_i128..1_000_000, 1..20),
        ) {
            let sum: i128 = weights.iter().sum();
            prop_assume!(sum > 0);
            let found = parts(amount, &weights);
            prop_assert_eq!(found.iter().sum::<i64>(), amount);
            for (part, weight) in found.iter().zip(&weights) {
                let error = i128::from(*part) * sum - i128::from(amount) * weight;
                prop_assert!(error.abs() < sum, "{} of {}", part, weight);
            }
        }
    }
}
