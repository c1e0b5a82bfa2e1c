//! Names and values of a query.

/// The bytes of a name or value in a query: `+` is a space, and what is no escape stands for itself.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let escape = || -> Option<u8> {
            let (digits, _) = after.split_first_chunk::<2>()?;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()
        };
        let (byte, length) = match first {
            b'+' => (b' ', 1),
            b'%' => escape().map_or((b'%', 1), |byte| (byte, 3)),
            other => (*other, 1),
        };
        rest = &rest[length..];
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stands_for_itself() {
        for (text, bytes) in [("a+b%20c", &b"a b c"[..]), ("%41%e4", b"A\xe4"), ("100%", b"100%"), ("%zz%4", b"%zz%4")]
        {
            assert_eq!(decoded(text).collect::<Vec<u8>>(), bytes, "{text}");
        }
    }
}
