//! Numbers of invoices in what a payer wrote.
//!
//! Case, blanks and punctuation do not count, as banks break and glue lines: `INV-000042`, `inv 42`,
//! `INV0000 42` and `REINV000042VOM1.12.` all name number 42 of the series `INV`. A structured reference
//! by ISO 11649 (`RF..`) counts if its check digits are right, and then alone.
//!
//! A number that is found is a candidate: whether there is such an invoice is another question.

use std::collections::BTreeSet;

/// Digits of a number as it is printed.
const PRINTED_DIGITS: usize = 6;

/// Most digits of a number.
const DIGITS_MAX: usize = 15;

/// An invoice number: its series, and its place there.
pub(super) type Candidate = (String, i64);

/// The invoice numbers that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// These.
    Numbers(BTreeSet<Candidate>),
    /// The structured reference has wrong check digits: somebody mistyped it.
    Mistyped,
}

/// Finds the numbers of `series` in a structured reference, or else in a text.
pub(super) fn find(creditor_reference: Option<&str>, text: &str, series: &[String]) -> Named {
    let structured = creditor_reference.map(letters).unwrap_or_default();
    let plain: String = structured.iter().map(|letter| letter.character).collect();
    if let Some(body) = plain.strip_prefix("RF").filter(|body| body.len() > 2) {
        if !is_checked(&plain) {
            return Named::Mistyped;
        }
        let found = numbers(&letters(&body[2..]), series);
        if !found.is_empty() {
            return Named::Numbers(found);
        }
    }
    let found = numbers(&structured, series);
    Named::Numbers(if found.is_empty() { numbers(&letters(text), series) } else { found })
}

/// A letter or digit of a text, in capitals.
struct Letter {
    character: char,
    /// True if something else stands before it.
    is_apart: bool,
}

fn letters(text: &str) -> Vec<Letter> {
    let mut is_apart = true;
    let mut letters = Vec::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            letters.push(Letter { character: character.to_ascii_uppercase(), is_apart });
        }
        is_apart = !character.is_ascii_alphanumeric();
    }
    letters
}

/// Returns true if the check digits of a reference by ISO 11649 are right: its number, with the first
/// four characters at the end and letters as 10 to 35, leaves 1 when it is divided by 97.
fn is_checked(reference: &str) -> bool {
    if !(5..=25).contains(&reference.len()) || !reference.is_ascii() {
        return false;
    }
    let (head, body) = reference.split_at(4);
    let rest = body.chars().chain(head.chars()).try_fold(0_u32, |rest, character| {
        let digit = character.to_digit(36)?;
        Some(if digit < 10 { (rest * 10 + digit) % 97 } else { (rest * 100 + digit) % 97 })
    });
    rest == Some(1)
}

fn numbers(letters: &[Letter], series: &[String]) -> BTreeSet<Candidate> {
    // The longest series at a place counts: `EINV` is not `INV` with a letter before it.
    let mut found: Vec<(std::ops::Range<usize>, Candidate)> = Vec::new();
    for one in series {
        let name: Vec<char> = one.chars().filter(char::is_ascii_alphanumeric).collect();
        if name.is_empty() {
            continue;
        }
        for begin in 0..letters.len().saturating_sub(name.len()) {
            let end = begin + name.len();
            if letters[begin..end].iter().map(|letter| letter.character).eq(name.iter().copied()) {
                let span = begin..end;
                let is_glued = begin > 0 && !letters[begin].is_apart;
                // `Invoice INV` has no series `EINV`: a word is glued or broken, and not both.
                if is_glued && letters[begin + 1..end].iter().any(|letter| letter.is_apart) {
                    continue;
                }
                found.extend(
                    values(&letters[end..], is_glued).into_iter().map(|number| (span.clone(), (one.clone(), number))),
                );
            }
        }
    }
    let is_inner = |span: &std::ops::Range<usize>| {
        found.iter().any(|(other, _)| other != span && other.start <= span.start && other.end >= span.end)
    };
    found.iter().filter(|(span, _)| !is_inner(span)).map(|(_, candidate)| candidate.clone()).collect()
}

/// Numbers that the digits at the beginning of `letters` may mean. A number that is shorter than it is
/// printed counts only if nothing is glued to it.
fn values(letters: &[Letter], is_glued: bool) -> BTreeSet<i64> {
    let digits = letters.iter().take_while(|letter| letter.character.is_ascii_digit()).count();
    let mut groups: Vec<String> = Vec::new();
    for (place, letter) in letters[..digits].iter().enumerate() {
        match groups.last_mut().filter(|_| place == 0 || !letter.is_apart) {
            Some(group) => group.push(letter.character),
            None => groups.push(letter.character.into()),
        }
    }
    let Some(first) = groups.first() else { return BTreeSet::new() };
    let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0 && digits.len() <= DIGITS_MAX);
    if first.len() >= PRINTED_DIGITS {
        // What follows a printed number without a blank is something else, such as a date.
        let own = if first.starts_with('0') { &first[..PRINTED_DIGITS] } else { first };
        return number(own).into_iter().collect();
    }
    let mut joined = String::new();
    for group in &groups {
        joined.push_str(group);
        if joined.len() >= PRINTED_DIGITS {
            break;
        }
    }
    let is_printed = joined.len() == PRINTED_DIGITS;
    if is_printed && joined.starts_with('0') {
        return number(&joined).into_iter().collect();
    }
    let is_followed = groups.len() == 1 && letters.get(digits).is_some_and(|next| !next.is_apart);
    let short = number(first).filter(|_| !is_glued && !is_followed);
    let whole = number(&joined).filter(|_| is_printed);
    short.into_iter().chain(whole).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let series = ["INV".to_owned(), "EINV".to_owned(), "ACME-2026".to_owned()];
        match find(None, text, &series) {
            Named::Numbers(numbers) => {
                numbers.into_iter().map(|(series, number)| format!("{series} {number}")).collect()
            }
            Named::Mistyped => panic!("{text}"),
        }
    }

    #[test]
    fn number_is_found_however_the_payer_writes_it() {
        for text in [
            "INV-000042",
            "inv 000042",
            "Invoice INV000042",
            "INV 42",
            "inv-42.",
            "Inv. no. INV-42, thank you",
            "INV0000 42",
            "I NV-00 0042",
            "INV_000042/2026",
            "RECHNUNGINV000042VOM01.12.2026",
            "INV-00004201122026",
            "INV#0042",
            "KD 4711 INV-000042 01.12.2026",
            "(INV-000042)",
            "inv\n000042",
        ] {
            assert_eq!(found(text), ["INV 42"], "{text}");
        }
        assert_eq!(found("EINV-000042"), ["EINV 42"], "the longer series");
        assert_eq!(found("acme 2026 000007"), ["ACME-2026 7"]);
        assert_eq!(found("INV-1234567"), ["INV 1234567"], "more digits than are padded");
        assert_eq!(found("INV-000041 + INV-000042"), ["INV 41", "INV 42"]);
        assert_eq!(found("INV-1234 56"), ["INV 1234", "INV 123456"], "either");
    }

    #[test]
    fn text_without_a_number_names_none() {
        for text in [
            "",
            "INV",
            "INV-",
            "INV-000000",
            "000042",
            "REINV42",
            "INV42KD",
            "IN-000042",
            "CN-000042",
            "INV-A42",
            "thank you",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn structured_reference_counts_by_its_check_digits() {
        let series = ["INV".to_owned()];
        let of = |reference: &str| find(Some(reference), "INV-000001", &series);
        assert!(is_checked("RF18539007547034"), "the example of the standard");
        let mut right = None;
        for check in 2..=98 {
            let reference = format!("RF{check:02}INV000042");
            match of(&reference) {
                Named::Mistyped => {}
                Named::Numbers(numbers) => {
                    assert_eq!(numbers, BTreeSet::from([("INV".to_owned(), 42)]), "{reference}");
                    assert_eq!(right.replace(reference), None, "one pair of check digits is right");
                }
            }
        }
        let right = right.unwrap();
        let blocks: Vec<String> =
            right.as_bytes().chunks(4).map(|block| String::from_utf8_lossy(block).into_owned()).collect();
        assert_eq!(of(&blocks.join(" ")), of(&right), "in blocks of four");
        assert_eq!(of("RF18539007547034"), Named::Numbers(BTreeSet::from([("INV".to_owned(), 1)])), "by the text");
        assert_eq!(of("INV 42"), Named::Numbers(BTreeSet::from([("INV".to_owned(), 42)])), "of another kind");
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_a_panic(text in ".{0,200}", reference in proptest::option::of("(RF)?.{0,30}")) {
            find(reference.as_deref(), &text, &["INV".into(), "A-1".into(), "-".into()]);
        }

        #[test]
        fn printed_number_is_found_between_any_words(number in 1_i64..2_000_000, before in "[a-z ]{0,20}", after in "[a-z ,.]{0,20}") {
            let text = format!("{before} INV-{number:06} {after}");
            let Named::Numbers(numbers) = find(None, &text, &["INV".into()]) else { panic!("{text}") };
            prop_assert!(numbers.contains(&("INV".into(), number)), "{text}: {numbers:?}");
        }
    }
}
