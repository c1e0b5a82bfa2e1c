//! Spellings of a path that servers read differently, each with the name under which a route can
//! allow it.

use std::fmt;

/// A spelling that a route does not serve unless it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Spelling {
    /// `;`: some servers cut a segment there.
    Parameters = 1,
    /// `%2561`: some servers decode twice.
    DoubleEncoding = 1 << 1,
    /// Escapes that are no UTF-8, overlong forms of ASCII among them.
    NotUtf8 = 1 << 2,
    /// A dot at the end of a segment: some servers cut it off.
    TrailingDots = 1 << 3,
    /// White space at the end of a segment: some servers cut it off.
    TrailingSpaces = 1 << 4,
    /// A backslash, or a letter that some servers turn into a slash or backslash.
    Backslashes = 1 << 5,
    /// `%2F`: some servers take it for a slash.
    EncodedSlashes = 1 << 6,
    /// `//`: some servers take it for one slash.
    EmptySegments = 1 << 7,
    /// A path that is another route's but for upper and lower case, or for how its letters are
    /// encoded.
    OtherCase = 1 << 8,
}

/// A set of spellings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spellings(u16);

impl Spelling {
    /// All spellings.
    pub const ALL: [Self; 9] = [
        Self::Parameters,
        Self::DoubleEncoding,
        Self::NotUtf8,
        Self::TrailingDots,
        Self::TrailingSpaces,
        Self::Backslashes,
        Self::EncodedSlashes,
        Self::EmptySegments,
        Self::OtherCase,
    ];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::DoubleEncoding => "double_encoding",
            Self::NotUtf8 => "not_utf8",
            Self::TrailingDots => "trailing_dots",
            Self::TrailingSpaces => "trailing_spaces",
            Self::Backslashes => "backslashes",
            Self::EncodedSlashes => "encoded_slashes",
            Self::EmptySegments => "empty_segments",
            Self::OtherCase => "other_case",
        }
    }

    /// The spelling of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spelling| spelling.as_str() == name)
    }

    /// The fault of a path that is spelled so.
    const fn reason(self) -> &'static str {
        match self {
            Self::Parameters => "path has a `;`",
            Self::DoubleEncoding => "path is encoded twice",
            Self::NotUtf8 => "path has an escape that is not UTF-8",
            Self::TrailingDots => "path has a segment that ends with a dot",
            Self::TrailingSpaces => "path has a segment that ends with white space",
            Self::Backslashes => "path has a backslash, or a letter that looks like one or like a slash",
            Self::EncodedSlashes => "path has an encoded slash",
            Self::EmptySegments => "path has an empty segment",
            Self::OtherCase => {
                "path differs from that of another route only by upper and lower case, or by how it is encoded"
            }
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, which this route does not allow (`{}`)", self.reason(), self.as_str())
    }
}

impl Spellings {
    /// Adds one.
    pub const fn insert(&mut self, spelling: Spelling) {
        self.0 |= spelling as u16;
    }

    /// Returns true if it is among them.
    pub const fn contains(self, spelling: Spelling) -> bool {
        self.0 & spelling as u16 != 0
    }

    /// Returns true if there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first of these that is not in `allowed`.
    pub fn first_beyond(self, allowed: Self) -> Option<Spelling> {
        let beyond = Self(self.0 & !allowed.0);
        if beyond.is_empty() {
            return None;
        }
        Spelling::ALL.into_iter().find(|spelling| beyond.contains(*spelling))
    }
}

impl FromIterator<Spelling> for Spellings {
    fn from_iter<I: IntoIterator<Item = Spelling>>(all: I) -> Self {
        let mut set = Self::default();
        all.into_iter().for_each(|spelling| set.insert(spelling));
        set
    }
}
