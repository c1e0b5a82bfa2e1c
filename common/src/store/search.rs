//! Search by name: a part of it, in letters of either case.

/// Patterns that names are compared with, each for `LIKE ... ESCAPE '!'`.
///
/// The engines fold the letters of ASCII alone, both alike, so that names are folded by `lower` and
/// the patterns here. Of other letters, a name matches as the search has them, or all in one case.
pub(crate) struct NamePattern {
    pub(crate) as_written: String,
    pub(crate) lower: String,
    pub(crate) upper: String,
}

impl NamePattern {
    /// Names that contain `part`; all names without one.
    pub(crate) fn of(part: Option<&str>) -> Self {
        let part = part.unwrap_or_default();
        Self { as_written: pattern(part), lower: pattern(&part.to_lowercase()), upper: pattern(&part.to_uppercase()) }
    }
}

fn pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_search_are_literal() {
        assert_eq!(pattern("50%_!A"), "%50!%!_!!a%");
        let all = NamePattern::of(None);
        assert_eq!((all.as_written.as_str(), all.lower.as_str()), ("%%", "%%"));
        let vienna = NamePattern::of(Some("\u{f6}STER"));
        assert_eq!((vienna.lower.as_str(), vienna.upper.as_str()), ("%\u{f6}ster%", "%\u{d6}ster%"));
    }
}
