//! Numbers in hexadecimal, without the machinery of formatting: every request has some.

/// The 32 lower-case digits of a number.
pub fn digits(number: u128) -> [u8; 32] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = [b'0'; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_formatting() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u128::MAX, 0xfedc_ba98 << 96] {
            assert_eq!(std::str::from_utf8(&digits(number)).unwrap(), format!("{number:032x}"));
        }
    }
}
