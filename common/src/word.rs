//! Words that stand for the values of an enumeration, in the store, in documents and on the command
//! line.

/// The word is not one of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {what}: expected one of {expected}")]
pub struct UnknownWord {
    what: &'static str,
    expected: &'static str,
    word: String,
}

impl UnknownWord {
    /// `word` was read where a `what`, one of `expected`, had to stand.
    pub fn new(what: &'static str, expected: &'static str, word: &str) -> Self {
        Self { what, expected, word: word.chars().take(64).collect() }
    }
}
