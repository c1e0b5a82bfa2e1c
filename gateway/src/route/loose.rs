//! Readings of a path by servers: with everything evened out that some server passes over, or with
//! some of it only.
//!
//! A request takes the route that its path names literally. An upstream may read the same path more
//! loosely and come to the handler of another, more expensive route. So the path is looked up in
//! other readings too, and refused if they lead to different routes. Invariant: a prefix of a path,
//! read loosely, is a prefix of the path read loosely. So the literal and the loosest reading
//! suffice among routes that serve everything below a prefix; where a route serves one path only,
//! or has parameters, what lies between the two is looked up as well.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use super::{PathError, Spelling, path::DecodedPath};

/// Times that a path is decoded again. What is still encoded then is nobody's honest path.
const DECODINGS_MAX: usize = 8;

/// Stands for an encoded slash in a decoded path, which holds no other control characters.
pub(super) const ENCODED_SLASH: u8 = 0;

/// Treatment of upper and lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Kept,
    Folded,
}

/// Differences in a path that a server passes over, besides upper and lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits(u8);

/// It takes an encoded slash for a slash.
const ENCODED_SLASHES: u8 = 1;
/// It decodes the path again.
const DECODES_AGAIN: u8 = 1 << 1;
/// It takes letters for others that look like them, and a backslash for a slash.
const LOOKALIKES: u8 = 1 << 2;
/// It lets the query begin at an encoded `?`.
const QUERY: u8 = 1 << 3;
/// It cuts parameters, dots and white space off the end of a segment.
const CUTS: u8 = 1 << 4;
/// It passes over empty segments.
const MERGES: u8 = 1 << 5;

impl Habits {
    /// All of them, which gives the loosest reading.
    pub(super) const ALL: Self = Self(ENCODED_SLASHES | DECODES_AGAIN | LOOKALIKES | QUERY | CUTS | MERGES);

    /// None: the path is read as it stands.
    pub(super) const NONE: Self = Self(0);

    /// Habits that make a difference to a path.
    pub(super) fn that_matter(path: &DecodedPath<'_>) -> Self {
        let has = |spelling| path.spellings.contains(spelling);
        let matters = [
            (ENCODED_SLASHES, has(Spelling::EncodedSlashes)),
            (DECODES_AGAIN, has(Spelling::DoubleEncoding)),
            (LOOKALIKES, has(Spelling::Backslashes) || !path.as_bytes().is_ascii()),
            (QUERY, path.as_bytes().iter().any(|byte| matches!(byte, b'?' | b'#'))),
            (
                CUTS,
                has(Spelling::Parameters)
                    || has(Spelling::TrailingDots)
                    || has(Spelling::TrailingSpaces)
                    || path.as_bytes().contains(&b'$'),
            ),
        ];
        let others = matters.into_iter().filter(|(_, matters)| *matters).fold(0, |all, (habit, _)| all | habit);
        // Any of the others may leave an empty segment behind.
        Self(if others != 0 || has(Spelling::EmptySegments) { others | MERGES } else { 0 })
    }

    /// Every choice of these, from none to all.
    pub(super) fn choices(self) -> impl Iterator<Item = Self> {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let choice = next?;
            next = (choice != self.0).then_some(choice.wrapping_sub(self.0) & self.0);
            Some(Self(choice))
        })
    }

    const fn has(self, habit: u8) -> bool {
        self.0 & habit != 0
    }
}

/// A decoded path as a server with these habits reads it.
pub(super) fn read(decoded: &[u8], habits: Habits, case: Case) -> Result<Vec<u8>, PathError> {
    let bytes = separate(decoded, habits)?;
    let text = evened(&bytes, habits);
    let is_separator = |letter| letter == '/' || (letter == '\\' && habits.has(LOOKALIKES));
    let mut path = String::with_capacity(bytes.len());
    for segment in text.strip_prefix(is_separator).unwrap_or(&text).split(is_separator) {
        let name = if habits.has(CUTS) { cut(segment)? } else { segment };
        if name.is_empty() && habits.has(MERGES) {
            continue;
        }
        path.push('/');
        match case {
            Case::Kept => path.push_str(name),
            Case::Folded => path.extend(name.chars().flat_map(char::to_lowercase)),
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path.into_bytes())
}

/// A segment without what some servers cut off its end.
fn cut(segment: &str) -> Result<&str, PathError> {
    // Alternate streams of files, as in `admin::$DATA`.
    let named = segment.split(';').next().unwrap_or_default().split("::$").next().unwrap_or_default();
    let name = named.trim_end_matches(is_cut_off);
    if name.is_empty() && named.contains('.') {
        return Err(PathError::DotSegment);
    }
    Ok(name)
}

/// Returns true if some server cuts the letter off the end of a segment.
pub(super) fn is_cut_off(letter: char) -> bool {
    letter == '.' || letter.is_whitespace()
}

/// The letters up to where a query or a fragment begins, in their plainest form.
fn evened(bytes: &[u8], habits: Habits) -> Cow<'_, str> {
    let query = bytes.iter().position(|byte| habits.has(QUERY) && matches!(byte, b'?' | b'#'));
    let bytes = &bytes[..query.unwrap_or(bytes.len())];
    if bytes.is_ascii() || !habits.has(LOOKALIKES) {
        // Bytes that are no letters are no part of any route's literals.
        return String::from_utf8_lossy(bytes);
    }
    letters(bytes).nfkc().filter_map(plain).collect()
}

/// The letter that best-fit tables and compatibility mappings make of this one; none if it is
/// invisible.
pub(super) const fn plain(letter: char) -> Option<char> {
    match letter {
        '\u{2044}' | '\u{2215}' | '\u{29F8}' | '\u{FF0F}' => Some('/'),
        '\u{2216}' | '\u{29F5}' | '\u{29F9}' | '\u{FE68}' | '\u{FF3C}' | '\u{A5}' | '\u{20A9}' => Some('\\'),
        '\u{131}' => Some('i'),
        '\u{17F}' => Some('s'),
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' => None,
        _ => Some(letter),
    }
}

/// The path with the slashes that a server with these habits sees: decoded until nothing is encoded
/// any more, `%uXXXX` of IIS included.
fn separate(decoded: &[u8], habits: Habits) -> Result<Vec<u8>, PathError> {
    let slash = |byte: &u8| if *byte == ENCODED_SLASH && habits.has(ENCODED_SLASHES) { b'/' } else { *byte };
    let mut bytes: Vec<u8> = decoded.iter().map(slash).collect();
    if !habits.has(DECODES_AGAIN) {
        return Ok(bytes);
    }
    for _ in 0..DECODINGS_MAX {
        if !has_escape(&bytes) {
            return Ok(bytes);
        }
        bytes = decode_once(&bytes);
        if bytes.iter().any(|byte| byte.is_ascii_control() && (*byte != ENCODED_SLASH || habits.has(ENCODED_SLASHES))) {
            return Err(PathError::Forbidden);
        }
    }
    Err(PathError::Escape)
}

/// Returns true if there is something to decode.
pub(super) fn has_escape(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(index, byte)| *byte == b'%' && escape(&bytes[index..]).is_some())
}

fn decode_once(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(byte) = rest.first() {
        if let Some((letter, length)) = escape(rest) {
            match u8::try_from(letter) {
                Ok(byte) => decoded.push(byte),
                Err(_) => decoded.extend(char::from_u32(letter).unwrap_or('\u{FFFD}').to_string().into_bytes()),
            }
            rest = &rest[length..];
        } else {
            decoded.push(*byte);
            rest = &rest[1..];
        }
    }
    decoded
}

/// The code behind an escape at the start, and how long the escape is.
fn escape(bytes: &[u8]) -> Option<(u32, usize)> {
    let number = |digits: &[u8]| {
        let hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
        std::str::from_utf8(digits).ok().filter(|_| hexadecimal).and_then(|text| u32::from_str_radix(text, 16).ok())
    };
    match bytes {
        [b'%', b'u' | b'U', one, two, three, four, ..] => Some((number(&[*one, *two, *three, *four])?, 6)),
        [b'%', one, two, ..] => Some((number(&[*one, *two])?, 3)),
        _ => None,
    }
}

/// Letters of UTF-8 as the most lenient decoder reads it: overlong forms are what they stand for,
/// and a byte that belongs to nothing is a letter of Latin-1.
fn letters(bytes: &[u8]) -> impl Iterator<Item = char> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (letter, length) = letter(rest)?;
        rest = &rest[length..];
        Some(letter)
    })
}

fn letter(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    let (length, bits) = match first {
        0xC0..=0xDF => (2, first & 0x1F),
        0xE0..=0xEF => (3, first & 0x0F),
        0xF0..=0xF7 => (4, first & 0x07),
        0xF8..=0xFB => (5, first & 0x03),
        0xFC..=0xFD => (6, first & 0x01),
        _ => return Some((char::from(first), 1)),
    };
    let Some(tail) = bytes.get(1..length) else {
        return Some((char::from(first), 1));
    };
    let code = tail.iter().fold(u32::from(bits), |code, byte| code << 6 | u32::from(byte & 0x3F));
    let overlong = code < 0x80;
    let sound = tail.iter().all(|byte| byte & 0xC0 == 0x80);
    match char::from_u32(code).filter(|_| overlong || sound) {
        Some(letter) => Some((letter, length)),
        None => Some((char::from(first), 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loosest(decoded: &[u8]) -> String {
        String::from_utf8(read(decoded, Habits::ALL, Case::Folded).unwrap()).unwrap()
    }

    #[test]
    fn spellings_of_one_path_are_read_as_one() {
        let spellings: [&[u8]; 24] = [
            b"/v1/admin",
            b"/V1/ADMIN",
            b"/v1/admin/",
            b"//v1///admin",
            b"/v1;a=b/admin;x;y=/z",
            b"/v1\0admin",
            b"/v1\\admin",
            b"/v1/admin...",
            b"/v1/admin . ",
            b"/v1/admin\xc2\xa0",
            b"/v1/%61dmin",
            b"/v1/%2561dmin",
            b"/v1/%u0061dmin",
            b"/v1%252fadmin",
            b"/v1/\xc1\xa1dmin",
            b"/v1\xc0\xafadmin",
            b"/v1\xe0\x80\xafadmin",
            b"/v1\xfc\x80\x80\x80\x80\xafadmin",
            b"/v1\xc1\x1cadmin",
            b"/v1/\xef\xbd\x81dmin",
            "/v1\u{2215}ad\u{200B}min".as_bytes(),
            "/v1\u{FF0F}\u{1D41A}dmin".as_bytes(),
            b"/v1/admin?x=/../",
            b"/v1/admin::$DATA",
        ];
        for spelling in spellings {
            assert!(loosest(spelling).starts_with("/v1/admin"), "{}: {}", spelling.escape_ascii(), loosest(spelling));
        }
        assert_eq!(loosest("/\u{212A}/\u{17F}".as_bytes()), "/k/s");
        assert_eq!(loosest(b"/"), "/");
        assert_eq!(loosest(b"/100%"), "/100%");
    }

    #[test]
    fn dot_segment_in_any_reading_is_refused() {
        for wrong in
            [&b"/a/..\0b"[..], b"/a\\..\\b", b"/%2e%2e/b", b"/.. /b", b"/. ./b", b"/\xef\xbc\x8e\xef\xbc\x8e/b"]
        {
            assert_eq!(read(wrong, Habits::ALL, Case::Kept), Err(PathError::DotSegment), "{}", wrong.escape_ascii());
        }
        let endless = format!("/%{}61", "25".repeat(100));
        assert_eq!(read(endless.as_bytes(), Habits::ALL, Case::Kept), Err(PathError::Escape));
    }

    #[test]
    fn server_without_habits_reads_what_was_sent() {
        for path in [&b"/a//b"[..], b"/a;b/c.", b"/a\0b", b"/a\\b", b"/%2561", b"/a?b", "/\u{FF0F}".as_bytes()] {
            assert_eq!(read(path, Habits::NONE, Case::Kept).unwrap(), path, "{}", path.escape_ascii());
        }
        assert_eq!(read(b"/a/", Habits::NONE, Case::Kept).unwrap(), b"/a/");
        assert_eq!(read(b"/a//b/", Habits(MERGES), Case::Kept).unwrap(), b"/a/b");
        assert_eq!(read(b"/a;x//b", Habits(CUTS), Case::Kept).unwrap(), b"/a//b");
        assert_eq!(read(b"/a\0b", Habits(ENCODED_SLASHES), Case::Kept).unwrap(), b"/a/b");
    }

    #[test]
    fn choices_are_all_subsets() {
        let choices: Vec<u8> = Habits(0b101).choices().map(|choice| choice.0).collect();
        assert_eq!(choices, [0, 1, 0b100, 0b101]);
        assert_eq!(Habits::NONE.choices().count(), 1);
        assert_eq!(Habits::ALL.choices().count(), 64);
    }

    proptest! {
        #[test]
        fn prefix_read_loosely_is_a_prefix(
            prefix in "(/[a-cA-C;.% ]{0,3}[a-c]){1,3}",
            rest in "(/[a-cA-C;.%2F \u{e9}\u{ff0f}]{0,4}){0,3}",
        ) {
            let whole = format!("{prefix}{rest}");
            for case in [Case::Kept, Case::Folded] {
                if let (Ok(prefix), Ok(whole)) = (read(prefix.as_bytes(), Habits::ALL, case), read(whole.as_bytes(), Habits::ALL, case)) {
                    prop_assert!(prefix == b"/" || whole.starts_with(&prefix));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for habits in Habits::ALL.choices() {
                let _ = read(&bytes, habits, Case::Folded);
            }
        }
    }
}
