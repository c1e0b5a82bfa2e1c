//! Paths as routes see them.
//!
//! A path is forwarded as it was sent, so it must mean the same to the upstream as it did here. Whatever servers read
//! differently (dot segments, encoded slashes, empty segments, broken escapes) is refused, and prefixes are compared
//! with the decoded path: nobody reaches an expensive route by spelling it `/exp%65nsive`.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not `/...`.
    #[error("path must start with a slash")]
    Relative,
    /// `//`.
    #[error("path must not have an empty segment")]
    EmptySegment,
    /// `.` or `..`, also encoded or with parameters behind it.
    #[error("path must not have a `.` or `..` segment")]
    DotSegment,
    /// `%` without two hexadecimal digits.
    #[error("path has a `%` without two hexadecimal digits")]
    Escape,
    /// A backslash, a control character, or an encoded slash.
    #[error("path must not have a backslash, a control character or an encoded slash")]
    Forbidden,
}

/// The path with its escapes decoded, if it means the same to everyone.
pub fn decode_path(path: &str) -> Result<Cow<'_, [u8]>, PathError> {
    let decoded = decode_escapes(path)?;
    let below_root = decoded.strip_prefix(b"/").ok_or(PathError::Relative)?;
    let mut segments = below_root.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
        // Some servers cut a segment's parameters off before they look for dots: `/..;x/`.
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        if name == b"." || name == b".." {
            return Err(PathError::DotSegment);
        }
    }
    Ok(decoded)
}

fn decode_escapes(path: &str) -> Result<Cow<'_, [u8]>, PathError> {
    let bytes = path.as_bytes();
    if bytes.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control()) {
        return Err(PathError::Forbidden);
    }
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(bytes));
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
        if byte == b'/' || byte == b'\\' || byte.is_ascii_control() {
            return Err(PathError::Forbidden);
        }
        decoded.push(byte);
        rest = after;
    }
    Ok(Cow::Owned(decoded))
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The path, as it was sent, without as many segments as `prefix` has. It must have been matched by that prefix.
///
/// Segments are counted, not bytes: the path may spell the prefix with escapes, but an accepted path has the same
/// slashes in both forms.
pub fn strip_segments<'a>(path: &'a str, prefix: &str) -> &'a str {
    if prefix == "/" {
        return path;
    }
    let slashes = prefix.bytes().filter(|byte| *byte == b'/').count();
    match path.match_indices('/').nth(slashes) {
        Some((index, _)) => &path[index..],
        None => "/",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_pass_and_are_decoded() {
        for path in ["/", "/v1", "/v1/", "/v1/a.b/..c/...", "/a;b=c", "/%20%c3%a4"] {
            assert!(decode_path(path).is_ok(), "{path}");
        }
        assert_eq!(&*decode_path("/exp%65nsive").unwrap(), b"/expensive");
    }

    #[test]
    fn whatever_servers_read_differently_is_refused() {
        let refused = [
            ("", PathError::Relative),
            ("*", PathError::Relative),
            ("v1", PathError::Relative),
            ("//v1", PathError::EmptySegment),
            ("/v1//x", PathError::EmptySegment),
            ("/v1/../admin", PathError::DotSegment),
            ("/v1/%2e%2E/admin", PathError::DotSegment),
            ("/v1/.%2e", PathError::DotSegment),
            ("/.", PathError::DotSegment),
            ("/v1/..;a=b/admin", PathError::DotSegment),
            ("/v1/%2fadmin", PathError::Forbidden),
            ("/v1/%2Fadmin", PathError::Forbidden),
            ("/v1/%5cadmin", PathError::Forbidden),
            ("/v1\\admin", PathError::Forbidden),
            ("/v1/%00", PathError::Forbidden),
            ("/v1/%", PathError::Escape),
            ("/v1/%2", PathError::Escape),
            ("/v1/%zz", PathError::Escape),
        ];
        for (path, error) in refused {
            assert_eq!(decode_path(path), Err(error), "{path}");
        }
    }

    #[test]
    fn a_prefix_is_stripped_by_segments() {
        assert_eq!(strip_segments("/v1/search/x", "/v1"), "/search/x");
        assert_eq!(strip_segments("/v%31/search", "/v1"), "/search");
        assert_eq!(strip_segments("/v1", "/v1"), "/");
        assert_eq!(strip_segments("/v1/", "/v1"), "/");
        assert_eq!(strip_segments("/v1/x", "/"), "/v1/x");
    }

    proptest! {
        #[test]
        fn an_accepted_path_has_the_same_slashes_decoded(path in "/[a-c./%25;0-9A-F\\\\]{0,24}") {
            if let Ok(decoded) = decode_path(&path) {
                let slashes = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
                prop_assert_eq!(slashes(&decoded), slashes(path.as_bytes()));
            }
        }

        #[test]
        fn any_text_is_judged_without_a_panic(path in ".{0,64}") {
            if decode_path(&path).is_ok() {
                let _ = strip_segments(&path, "/a/b");
            }
        }
    }
}
