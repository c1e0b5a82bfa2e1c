//! The bytes that may stand in each part of a request's header (RFC 3986, 9110 and 9112).

/// A character of a token: methods and names.
const TOKEN: u8 = 1;
/// A character of a path.
const PATH: u8 = 2;
/// A character of a query.
const QUERY: u8 = 4;
/// A character of a host name.
const NAME: u8 = 8;

/// Characters of paths and queries that RFC 3986 wants escaped and that browsers and other clients
/// send as they are.
const UNESCAPED_IN_PATHS: &[u8] = b"[]^{|}";
const UNESCAPED_IN_QUERIES: &[u8] = b"[]^{|}\\`?";

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    add(&mut classes, b"!#$%&'*+-.^_`|~", TOKEN);
    add(&mut classes, b"-._~!$&'()*+,;=:@%/", PATH | QUERY);
    add(&mut classes, UNESCAPED_IN_PATHS, PATH);
    add(&mut classes, UNESCAPED_IN_QUERIES, QUERY);
    add(&mut classes, b"-._~", NAME);
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            classes[byte as usize] |= TOKEN | PATH | QUERY | NAME;
        }
        byte += 1;
    }
    classes
}

const fn add(classes: &mut [u8; 256], bytes: &[u8], class: u8) {
    let mut index = 0;
    while index < bytes.len() {
        classes[bytes[index] as usize] |= class;
        index += 1;
    }
}

fn all_are(class: u8, bytes: &[u8]) -> bool {
    bytes.iter().fold(class, |common, byte| common & CLASSES[usize::from(*byte)]) != 0
}

/// Returns true if the bytes are a token; nothing is none.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all_are(TOKEN, bytes)
}

/// Returns true if every byte may stand in a path.
pub(super) fn is_path(bytes: &[u8]) -> bool {
    all_are(PATH, bytes)
}

/// Returns true if every byte may stand in a query.
pub(super) fn is_query(bytes: &[u8]) -> bool {
    all_are(QUERY, bytes)
}

/// Returns true if the bytes are a host name or an IPv4 address; nothing is none.
pub(super) fn is_host_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all_are(NAME, bytes)
}

/// Returns true if every byte may stand in a header value: no control character but the tab.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // Without an early end, so that many bytes are compared at once.
    let is_bad = |byte: u8| u8::from(byte < b' ') & u8::from(byte != b'\t') | u8::from(byte == 0x7F);
    bytes.iter().fold(0, |bad, byte| bad | is_bad(*byte)) == 0
}

/// Without spaces and tabs at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A number without a sign, of decimal digits only and without leading zeros.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let plain = bytes == b"0" || bytes.first().is_some_and(|first| (b'1'..=b'9').contains(first));
    if !plain {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_has_one_spelling() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"42"), Some(42));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "00", "042", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1_0", "18446744073709551616", "a"] {
            assert_eq!(number(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn only_visible_ascii_stands_in_a_target() {
        for byte in 0..=255_u8 {
            if is_path(&[byte]) || is_query(&[byte]) {
                assert!(byte.is_ascii_graphic() && byte != b'#', "{byte:#x}");
            }
        }
        assert!(!is_path(b"\\") && !is_path(b"?") && is_query(b"?"));
    }
}
