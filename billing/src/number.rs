//! Numbers as people read them.

/// Digits in groups of three: `3,200,000`.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    text.extend((number < 0).then_some('-'));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 999, 1_000, 3_200_000, i128::from(u64::MAX), -7, -1_000].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "3,200,000", "18,446,744,073,709,551,615", "-7", "-1,000"]);
    }
}
