//! Names that people give: to tenants, keys, plans and payments.
//!
//! Invariant: every character of a name is visible, and none changes how the others are shown. So
//! two names that look alike on a screen do not differ in invisible characters, and no name
//! reverses the text around it.

/// Longest name, in characters.
pub const NAME_MAX_CHARS: usize = 200;

/// Keeps two letters apart that would join, or joins two that would not.
const JOINERS: std::ops::RangeInclusive<char> = '\u{200c}'..='\u{200d}';

/// Returns true if a character selects how the one before it is drawn: as text, as a picture, or as
/// a variant of an ideograph.
const fn is_selector(character: char) -> bool {
    matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Characters that are not seen: format and filler characters, separators of lines, and what no
/// character is.
const INVISIBLE: [std::ops::RangeInclusive<char>; 21] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fdd0}'..='\u{fdef}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e000}'..='\u{f8ff}',
    '\u{e0000}'..='\u{e0fff}',
    '\u{f0000}'..='\u{10ffff}',
];

/// The reason why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("name is empty")]
    Empty,
    /// More than [`NAME_MAX_CHARS`] characters.
    #[error("name has {0} characters; at most {NAME_MAX_CHARS} are allowed")]
    TooLong(usize),
    /// A control character, which could forge log lines and terminal output.
    #[error("name contains the control character {0:?}")]
    ControlCharacter(char),
    /// A character that is not seen, or that turns text around: names that look alike would differ.
    #[error("name contains U+{:04X}, which cannot be seen or changes the direction of text: leave it out", u32::from(*.0))]
    Invisible(char),
    /// A blank at its beginning or end, which cannot be seen either.
    #[error("name begins or ends with a blank")]
    Blank,
}

/// Checks a name that people give.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Empty);
    }
    let length = name.chars().count();
    if length > NAME_MAX_CHARS {
        return Err(NameError::TooLong(length));
    }
    if let Some(control) = name.chars().find(|character| character.is_control()) {
        return Err(NameError::ControlCharacter(control));
    }
    if let Some(unseen) = unseen(name) {
        return Err(NameError::Invisible(unseen));
    }
    if name.trim().len() < name.len() { Err(NameError::Blank) } else { Ok(()) }
}

/// Text that is not a name, made fit to stand in logs and tables: what [`validate_name`] refuses
/// becomes `?`.
pub fn displayable(text: &str) -> String {
    let is_unseen = |character: char| INVISIBLE.iter().any(|range| range.contains(&character));
    let shown = |character: char| if character.is_control() || is_unseen(character) { '?' } else { character };
    text.chars().map(shown).take(NAME_MAX_CHARS).collect()
}

/// The first character of a text that is not seen. A joiner between two letters and a selector
/// after a picture are, in scripts and pictures that are written with them.
fn unseen(text: &str) -> Option<char> {
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let joins = |neighbour: Option<char>| neighbour.is_some_and(is_joined);
        let is_unseen = if JOINERS.contains(&character) {
            !(joins(before) && joins(characters.peek().copied()))
        } else if is_selector(character) {
            !before.is_some_and(|before| is_joined(before) && !is_selector(before))
        } else {
            INVISIBLE.iter().any(|range| range.contains(&character))
        };
        if is_unseen {
            return Some(character);
        }
        before = Some(character);
    }
    None
}

/// Returns true if joiners and selectors mean something beside a character: not in scripts whose
/// letters stand alone.
const fn is_joined(character: char) -> bool {
    // From the Arabic block on; before it are Latin, Greek, Cyrillic, Armenian and Hebrew.
    matches!(character, '\u{600}'..) && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{1e00}'..='\u{1fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_accepted() {
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
        let mechanic = "\u{1f469}\u{200d}\u{1f527} Ltd";
        let heart = "\u{2764}\u{fe0f}";
        let castle = "\u{845b}\u{e0100}\u{57ce}";
        for name in
            ["Acme GmbH", "Zo\u{eb} & S\u{f6}hne", "\u{682a}\u{5f0f}\u{4f1a}\u{793e}", persian, mechanic, heart, castle]
        {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn invisible_characters_are_refused() {
        assert_eq!(validate_name("  "), Err(NameError::Empty));
        assert_eq!(validate_name("a\u{1b}[2J"), Err(NameError::ControlCharacter('\u{1b}')));
        assert_eq!(validate_name(&"x".repeat(10_000)), Err(NameError::TooLong(10_000)));
        for unseen in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fffb}',
            '\u{e000}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{10ffff}',
        ] {
            for name in [format!("Ac{unseen}me"), format!("{unseen}Acme"), format!("Acme{unseen}")] {
                assert_eq!(validate_name(&name), Err(NameError::Invisible(unseen)), "U+{:04X}", u32::from(unseen));
                assert!(!displayable(&name).contains(unseen) || JOINERS.contains(&unseen) || unseen == '\u{fe0f}');
            }
        }
        for name in ["Acme ", " Acme", "\u{a0}Acme", "Acme\u{3000}"] {
            assert_eq!(validate_name(name), Err(NameError::Blank), "{name:?}");
        }
    }
}
