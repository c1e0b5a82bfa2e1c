//! Paths as routes see them.
//!
//! A path is forwarded as it was sent, so it must mean the same to the upstream as it did here.
//! Patterns are compared with the decoded path: nobody reaches an expensive route by spelling it
//! `/exp%65nsive`. What no honest client sends (dot segments, control characters, broken escapes)
//! is refused. What servers read differently is noted as a [`Spelling`], which a route serves only
//! if it says so.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use super::{
    Spelling, Spellings,
    loose::{self, ENCODED_SLASH},
};

/// The reason for which a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not `/...`.
    #[error("path must start with a slash")]
    Relative,
    /// `.` or `..`, also encoded or with something behind it that some servers cut off.
    #[error("path must not have a `.` or `..` segment")]
    DotSegment,
    /// `%` without two hexadecimal digits, or encoded over and over.
    #[error("path has a `%` that does not begin an escape of two hexadecimal digits")]
    Escape,
    /// A control character.
    #[error("path must not have a control character")]
    Forbidden,
    /// A spelling that the route does not allow.
    #[error("{0}")]
    Spelled(Spelling),
}

/// A path with its escapes decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedPath<'a> {
    /// The path. An encoded slash stands as NUL, so that it is no slash.
    pub(super) bytes: Cow<'a, [u8]>,
    /// Spellings that it holds.
    pub(super) spellings: Spellings,
    /// True if it is its own loosest reading, but for a slash at its end.
    pub(super) is_plain: bool,
}

impl DecodedPath<'_> {
    /// The decoded path.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Refuses the first spelling that is not in `allowed`.
    pub fn check(&self, allowed: Spellings) -> Result<(), PathError> {
        self.spellings.first_beyond(allowed).map_or(Ok(()), |spelling| Err(PathError::Spelled(spelling)))
    }
}

/// The path with its escapes decoded, and how it is spelled.
pub fn decode_path(path: &str) -> Result<DecodedPath<'_>, PathError> {
    let (bytes, mut spellings) = decode_escapes(path)?;
    let below_root = bytes.strip_prefix(b"/").ok_or(PathError::Relative)?;
    let is_ascii = bytes.is_ascii();
    if !is_ascii && std::str::from_utf8(&bytes).is_err() {
        spellings.insert(Spelling::NotUtf8);
    }
    let mut segments = below_root.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment.is_empty() && !is_last {
            spellings.insert(Spelling::EmptySegments);
        } else if segment.is_ascii() {
            note_segment(segment, &mut spellings)?;
        } else {
            note_letters(segment, &mut spellings)?;
        }
    }
    let is_plain = is_ascii
        && spellings.is_empty()
        && !bytes.iter().any(|byte| byte.is_ascii_uppercase() || matches!(byte, b'?' | b'#' | b'$'));
    Ok(DecodedPath { bytes, spellings, is_plain })
}

/// Notes the spellings of a segment of ASCII.
fn note_segment(segment: &[u8], spellings: &mut Spellings) -> Result<(), PathError> {
    // Some servers cut a segment's parameters off before they look for dots: `/..;x/`.
    let name = match segment.iter().position(|byte| *byte == b';') {
        Some(end) => {
            spellings.insert(Spelling::Parameters);
            &segment[..end]
        }
        None => segment,
    };
    if let Some(last) = name.last().filter(|last| **last == b'.' || last.is_ascii_whitespace()) {
        if name.contains(&b'.') && name.iter().all(|byte| *byte == b'.' || byte.is_ascii_whitespace()) {
            return Err(PathError::DotSegment);
        }
        spellings.insert(if *last == b'.' { Spelling::TrailingDots } else { Spelling::TrailingSpaces });
    }
    Ok(())
}

/// The same for any segment: its letters count as what they may be turned into.
fn note_letters(segment: &[u8], spellings: &mut Spellings) -> Result<(), PathError> {
    let text = String::from_utf8_lossy(segment);
    if text.chars().any(|letter| letter.is_control() && letter != char::from(ENCODED_SLASH)) {
        return Err(PathError::Forbidden);
    }
    let plain: String = text.nfkc().filter_map(loose::plain).collect();
    if plain.contains(['/', '\\']) {
        spellings.insert(Spelling::Backslashes);
    }
    for part in plain.split(['/', '\\']) {
        let ascii: Vec<u8> = part
            .chars()
            .map(|letter| match u8::try_from(letter) {
                Ok(byte) if byte.is_ascii() => byte,
                _ if letter.is_whitespace() => b' ',
                _ => b'x',
            })
            .collect();
        note_segment(&ascii, spellings)?;
    }
    Ok(())
}

fn decode_escapes(path: &str) -> Result<(Cow<'_, [u8]>, Spellings), PathError> {
    let bytes = path.as_bytes();
    let mut spellings = Spellings::default();
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(PathError::Forbidden);
    }
    if bytes.contains(&b'\\') {
        spellings.insert(Spelling::Backslashes);
    }
    if !bytes.contains(&b'%') {
        return Ok((Cow::Borrowed(bytes), spellings));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'%' {
            decoded.push(*byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>().ok_or(PathError::Escape)?;
        let byte = hex(digits[0]).zip(hex(digits[1])).map(|(high, low)| high << 4 | low).ok_or(PathError::Escape)?;
        decoded.push(match byte {
            b'/' => {
                spellings.insert(Spelling::EncodedSlashes);
                ENCODED_SLASH
            }
            b'\\' => {
                spellings.insert(Spelling::Backslashes);
                byte
            }
            _ if byte.is_ascii_control() => return Err(PathError::Forbidden),
            _ => byte,
        });
        rest = after;
    }
    if loose::has_escape(&decoded) {
        spellings.insert(Spelling::DoubleEncoding);
    }
    Ok((Cow::Owned(decoded), spellings))
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_decoded_and_hold_no_spellings() {
        for path in ["/", "/v1", "/v1/", "/v1/a.b/..c/.d", "/a+b,c=d:e@f!$&'()*~", "/%20%c3%a4", "/100%25", "/a%20b/C"]
        {
            let decoded = decode_path(path).unwrap();
            assert!(decoded.spellings.is_empty(), "{path}: {decoded:?}");
        }
        assert_eq!(decode_path("/exp%65nsive").unwrap().as_bytes(), b"/expensive");
    }

    #[test]
    fn path_that_no_honest_client_sends_is_refused() {
        let refused = [
            ("", PathError::Relative),
            ("*", PathError::Relative),
            ("v1", PathError::Relative),
            ("/v1/../admin", PathError::DotSegment),
            ("/v1/%2e%2E/admin", PathError::DotSegment),
            ("/v1/.%2e", PathError::DotSegment),
            ("/.", PathError::DotSegment),
            ("/...", PathError::DotSegment),
            ("/v1/..;a=b/admin", PathError::DotSegment),
            ("/v1/..%20/admin", PathError::DotSegment),
            ("/v1/%ef%bc%8e%ef%bc%8e/admin", PathError::DotSegment),
            ("/v1/%e2%80%a5/admin", PathError::DotSegment),
            ("/v1/%00", PathError::Forbidden),
            ("/v1/%0d%0a", PathError::Forbidden),
            ("/v1/%7f", PathError::Forbidden),
            ("/v1/%c2%85", PathError::Forbidden),
            ("/v1/%", PathError::Escape),
            ("/v1/%2", PathError::Escape),
            ("/v1/%zz", PathError::Escape),
            ("/v1/%u0061dmin", PathError::Escape),
        ];
        for (path, error) in refused {
            assert_eq!(decode_path(path).unwrap_err(), error, "{path}");
        }
    }

    #[test]
    fn spelling_that_servers_read_differently_is_noted() {
        use Spelling as S;
        let noted = [
            ("//v1", S::EmptySegments),
            ("/v1//x", S::EmptySegments),
            ("/v1//", S::EmptySegments),
            ("/v1/admin;x", S::Parameters),
            ("/v1;jsessionid=1/admin", S::Parameters),
            ("/v1/admin%3bx", S::Parameters),
            ("/v1/;/admin", S::Parameters),
            ("/v1/%2561dmin", S::DoubleEncoding),
            ("/v1/%252e%252e/admin", S::DoubleEncoding),
            ("/v1/%25u0061dmin", S::DoubleEncoding),
            ("/v1/%252561dmin", S::DoubleEncoding),
            ("/v1/%c1%a1dmin", S::NotUtf8),
            ("/v1%c0%afadmin", S::NotUtf8),
            ("/v1%e0%80%afadmin", S::NotUtf8),
            ("/v1/caf%e9", S::NotUtf8),
            ("/v1/%ed%a0%80", S::NotUtf8),
            ("/v1/%ff", S::NotUtf8),
            ("/v1/admin.", S::TrailingDots),
            ("/v1./admin", S::TrailingDots),
            ("/v1/admin%2e", S::TrailingDots),
            ("/v1/admin%ef%bc%8e", S::TrailingDots),
            ("/v1/admin%20", S::TrailingSpaces),
            ("/v1%20/admin", S::TrailingSpaces),
            ("/v1/admin%c2%a0", S::TrailingSpaces),
            ("/v1/%20", S::TrailingSpaces),
            ("/v1/%2fadmin", S::EncodedSlashes),
            ("/v1%2Fadmin", S::EncodedSlashes),
            ("/v1/%5cadmin", S::Backslashes),
            ("/v1\\admin", S::Backslashes),
            ("/v1%ef%bc%8fadmin", S::Backslashes),
            ("/v1%ef%bc%bcadmin", S::Backslashes),
            ("/v1%e2%88%95admin", S::Backslashes),
            ("/v1%e2%81%84admin", S::Backslashes),
        ];
        for (path, spelling) in noted {
            let decoded = decode_path(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(decoded.spellings.contains(spelling), "{path}: {decoded:?}");
            let others: Spellings = Spelling::ALL.into_iter().filter(|other| *other != spelling).collect();
            assert_eq!(decoded.check(others), Err(PathError::Spelled(spelling)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn accepted_path_has_the_same_slashes_decoded(path in "/[a-c./%25;0-9A-F\\\\]{0,24}") {
            if let Ok(decoded) = decode_path(&path) {
                let slashes = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
                prop_assert_eq!(slashes(decoded.as_bytes()), slashes(path.as_bytes()));
            }
        }

        #[test]
        fn plain_path_is_its_own_loosest_reading(path in "(/[a-zA-Z0-9.~$%2:;-]{1,4}){1,4}") {
            if let Ok(decoded) = decode_path(&path) && decoded.is_plain {
                prop_assert_eq!(loose::read(decoded.as_bytes(), loose::Habits::ALL, loose::Case::Folded).unwrap(), decoded.as_bytes());
            }
        }

        #[test]
        fn any_text_is_judged_without_a_panic(path in ".{0,64}") {
            if decode_path(&path).is_ok() {
                let pattern = crate::route::PathPattern::below("/a/b");
                let _ = (pattern.strip(&path), pattern.value("rest", &path));
            }
        }
    }
}
