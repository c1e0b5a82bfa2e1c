//! A fault of a configuration file: its place, its reason, and how it is shown.
//!
//! Invariant: what is shown is short whatever the file holds. Lines, reasons and the number of
//! faults are cut.

use std::fmt;

/// Most faults that are shown of one file.
const SHOWN_MAX: usize = 50;

/// Longest reason, in characters.
const REASON_MAX: usize = 400;

/// Longest stretch of a line that is shown, in characters.
const EXCERPT_MAX: usize = 100;

/// Characters before that stretch that are looked at.
const CONTEXT_MAX: usize = 1_000;

/// Longest text of the file that a reason quotes, in characters.
const QUOTE_MAX: usize = 60;

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Place in the file.
    pub place: Place,
    /// Reason, and the text to write instead.
    pub reason: String,
}

/// A place in a file: a few characters of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// Length in characters.
    pub length: usize,
}

/// All faults of a file, with the lines that they are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file.
    pub file: String,
    shown: Vec<(Fault, String)>,
    more: usize,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1, length: 1 };

    /// Of a fault that is not in the file, such as one in a variable of the environment.
    pub const OUTSIDE: Self = Self { line: 0, column: 0, length: 0 };

    /// A fault here.
    pub fn fault(self, reason: impl Into<String>) -> Fault {
        Fault { place: self, reason: clipped(&reason.into(), REASON_MAX) }
    }
}

impl Faults {
    /// Faults of the file with this text, in the order of their places.
    pub fn new(file: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        let more = faults.len().saturating_sub(SHOWN_MAX);
        faults.truncate(SHOWN_MAX);
        let lines: Vec<&str> = text.lines().collect();
        let excerpt = |fault: &Fault| {
            let line = fault.place.line.checked_sub(1).and_then(|index| lines.get(index));
            excerpt(line.copied().unwrap_or_default(), fault.place)
        };
        let shown =
            faults.into_iter().map(|fault| (excerpt(&fault), fault)).map(|(line, fault)| (fault, line)).collect();
        Self { file: file.to_owned(), shown, more }
    }

    /// The faults, as far as they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.shown.iter().map(|(fault, _)| fault)
    }
}

impl fmt::Display for Faults {
    /// `file:line:column: reason`, then the line with a caret below, for each fault.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (Fault { place, reason }, excerpt)) in self.shown.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            if *place == Place::OUTSIDE {
                write!(formatter, "{newline}{reason}")?;
                continue;
            }
            write!(formatter, "{newline}{}:{}:{}: {reason}", self.file, place.line, place.column)?;
            if !excerpt.is_empty() {
                write!(formatter, "\n{excerpt}")?;
            }
        }
        if self.more > 0 {
            write!(formatter, "\n{}: {} more faults are not shown", self.file, self.more)?;
        }
        Ok(())
    }
}

/// The line of a fault with a caret below it; nothing for an empty line.
fn excerpt(line: &str, place: Place) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    let column = place.column.saturating_sub(1);
    let first = if column < EXCERPT_MAX * 3 / 4 { 0 } else { column - EXCERPT_MAX / 2 };
    let visible = |letter: char| if letter.is_control() { ' ' } else { letter };
    // Secrets are recognised by what stands before them.
    let context = first.saturating_sub(CONTEXT_MAX);
    let near: String = line.chars().skip(context).take(first - context + EXCERPT_MAX).collect();
    let shown: String =
        without_secrets(&near).into_iter().skip(first - context).take(EXCERPT_MAX).map(visible).collect();
    let before = if first > 0 { "…" } else { "" };
    let after = if line.chars().nth(first + EXCERPT_MAX).is_some() { "…" } else { "" };
    let indent = " ".repeat(column - first + usize::from(first > 0));
    let room = (shown.chars().count() + first).saturating_sub(column).max(1);
    let carets = "^".repeat(place.length.clamp(1, room));
    format!("{:>6} | {before}{}{after}\n       | {indent}{carets}", place.line, shown.trim_end())
}

/// The letters of a line, with a star for each of a password: in a URL, or under a name that says
/// what it is.
fn without_secrets(line: &str) -> Vec<char> {
    let mut letters: Vec<char> = line.chars().collect();
    let find = |part: &str, from: usize| {
        let part: Vec<char> = part.chars().collect();
        let windows = letters.get(from..)?.windows(part.len());
        windows.enumerate().find_map(|(index, window)| {
            let same = window.iter().zip(&part).all(|(one, other)| one.eq_ignore_ascii_case(other));
            same.then_some(from + index + part.len())
        })
    };
    let mut hidden = Vec::new();
    let mut from = 0;
    while let Some(start) = find("://", from) {
        let authority = letters[start..].iter().take_while(|letter| !letter.is_whitespace() && **letter != '/');
        let at = authority.collect::<Vec<_>>().iter().rposition(|letter| **letter == '@');
        hidden.extend(at.map(|at| start..start + at));
        from = start;
    }
    for word in ["password", "secret"] {
        hidden.extend(find(word, 0).and_then(|end| find(":", end)).map(|start| start..letters.len()));
    }
    for letter in hidden.into_iter().flatten() {
        if !letters[letter].is_whitespace() {
            letters[letter] = '*';
        }
    }
    letters
}

/// A text of the file as a reason quotes it.
pub fn quoted(text: &str) -> String {
    let visible: String = clipped(text, QUOTE_MAX).chars().flat_map(escaped).collect();
    format!("`{visible}`")
}

fn escaped(letter: char) -> impl Iterator<Item = char> {
    let control = letter.is_control().then(|| letter.escape_default());
    let plain = (!letter.is_control()).then_some(letter);
    control.into_iter().flatten().chain(plain)
}

fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The candidate that `word` is most likely a slip of.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > QUOTE_MAX {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    let distance = |candidate: &str| {
        let other = candidate.to_lowercase().replace('-', "_");
        strsim::damerau_levenshtein(&lower, &other)
    };
    let (best, nearest) = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).min()?;
    (best <= 1.max(word.chars().count() / 3)).then_some(nearest)
}

/// `; did you mean ..?`, or nothing if nothing is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_shown_with_its_line_and_a_caret() {
        let place = Place { line: 2, column: 3, length: 4 };
        let faults = Faults::new("a.yaml", "x: 1\n  nam: b\n", vec![place.fault("`nam` is not a setting here")]);
        let told = faults.to_string();
        assert_eq!(told, "a.yaml:2:3: `nam` is not a setting here\n     2 |   nam: b\n       |   ^^^^");
    }

    #[test]
    fn shown_text_is_short() {
        let text = format!("a: {}\n", "x".repeat(1_000_000));
        let places = (1..=500).map(|column| Place { line: 1, column, length: 1_000_000 });
        let faults = places.map(|place| place.fault("y".repeat(1_000_000))).collect();
        let told = Faults::new("a.yaml", &text, faults).to_string();
        assert!(told.len() < 50_000, "{} bytes", told.len());
        assert!(told.ends_with("450 more faults are not shown"));
        let far =
            Faults::new("a.yaml", &text, vec![Place { line: 1, column: 500_000, length: 3 }.fault("z")]).to_string();
        let caret = far.lines().last().unwrap();
        assert!(caret.contains("^^^") && caret.len() < 200, "{far}");
        assert_eq!(quoted(&"x".repeat(1_000_000)).chars().count(), QUOTE_MAX + 3);
    }

    #[test]
    fn password_is_not_shown() {
        for line in ["  url: redis://user:hunter2@a:1", "  sasl.password: hunter2", "{ a: 'x://:hunter2@b', b: 1 }"] {
            let place = Place { line: 1, column: 3, length: 3 };
            let told = Faults::new("a.yaml", line, vec![place.fault("x")]).to_string();
            assert!(!told.contains("hunter2") && told.contains("***"), "{told}");
        }
    }

    #[test]
    fn typo_gets_suggestion_and_other_word_does_not() {
        let known = ["listen", "admin", "path_prefix"];
        assert_eq!(nearest("lissten", known), Some("listen"));
        assert_eq!(nearest("Path-Prefix", known), Some("path_prefix"));
        assert_eq!(nearest("amdin", known), Some("admin"));
        assert_eq!(nearest("colour", known), None);
    }
}
