//! Encodings of statements: UTF-8, UTF-16 with its mark, and the single bytes of Western Europe.

use std::borrow::Cow;

use super::StatementError;

/// Letters of Windows-1252 from 0x80 to 0x9F; the five bytes without a letter stand for themselves.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Letters of ISO 8859-15 that differ from those of ISO 8859-1.
const ISO_8859_15: [(u8, char); 8] =
    [(0xa4, '€'), (0xa6, 'Š'), (0xa8, 'š'), (0xb4, 'Ž'), (0xb8, 'ž'), (0xbc, 'Œ'), (0xbd, 'œ'), (0xbe, 'Ÿ')];

/// An encoding that a file names, or that is assumed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, or Windows-1252 if the bytes are no UTF-8.
    Guess,
    Utf8,
    Windows1252,
    Iso8859Part15,
}

impl Encoding {
    /// The encoding with a name, in capitals or small letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Guess),
            "utf-8" | "utf8" | "us-ascii" => Some(Self::Utf8),
            // What says that it is the first part of ISO 8859 is mostly Windows-1252, which contains it.
            "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => Some(Self::Windows1252),
            "iso-8859-15" | "latin9" => Some(Self::Iso8859Part15),
            _ => None,
        }
    }
}

/// The text of a file. A mark of UTF-8 or UTF-16 at its beginning counts more than `encoding`.
pub(super) fn decode(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, StatementError> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match encoding {
            Encoding::Utf8 => utf8(bytes),
            Encoding::Guess => utf8(bytes).or_else(|_| Ok(single_bytes(bytes, windows_1252))),
            Encoding::Windows1252 => Ok(single_bytes(bytes, windows_1252)),
            Encoding::Iso8859Part15 => Ok(single_bytes(bytes, iso_8859_15)),
        },
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, StatementError> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| StatementError::Encoding("UTF-8"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, StatementError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    text.ok().filter(|_| rest.is_empty()).map(Cow::Owned).ok_or(StatementError::Encoding("UTF-16"))
}

fn single_bytes(bytes: &[u8], letter: fn(u8) -> char) -> Cow<'static, str> {
    Cow::Owned(bytes.iter().map(|byte| letter(*byte)).collect())
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn iso_8859_15(byte: u8) -> char {
    ISO_8859_15.iter().find(|(other, _)| *other == byte).map_or_else(|| char::from(byte), |(_, letter)| *letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_is_read_in_every_encoding() {
        let files: [(&[u8], Encoding); 7] = [
            ("Müller 5 €".as_bytes(), Encoding::Guess),
            (b"\xef\xbb\xbfM\xc3\xbcller 5 \xe2\x82\xac", Encoding::Windows1252),
            (b"M\xfcller 5 \x80", Encoding::Guess),
            (b"M\xfcller 5 \x80", Encoding::Windows1252),
            (b"M\xfcller 5 \xa4", Encoding::Iso8859Part15),
            (b"\xff\xfeM\0\xfc\0l\0l\0e\0r\0 \x005\0 \0\xac\x20", Encoding::Utf8),
            (b"\xfe\xff\0M\0\xfc\0l\0l\0e\0r\0 \x005\0 \x20\xac", Encoding::Guess),
        ];
        for (bytes, encoding) in files {
            assert_eq!(decode(bytes, encoding).unwrap(), "Müller 5 €", "{encoding:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(decode(b"M\xfcller", Encoding::Utf8), Err(StatementError::Encoding("UTF-8")));
        assert_eq!(decode(b"\xff\xfeM", Encoding::Guess), Err(StatementError::Encoding("UTF-16")));
        assert_eq!(decode(b"\xff\xfe\x00\xd8", Encoding::Guess), Err(StatementError::Encoding("UTF-16")));
    }
}
