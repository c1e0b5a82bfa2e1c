//! Bank statements: what a bank has booked on an account, read from a file.
//!
//! Two forms are read: camt.053 ([`camt`]), and a table in CSV ([`table`]).
//!
//! Invariants: a file is read as a whole or refused as a whole, with the place of the first fault; an
//! amount is exact in its currency; reading ends in memory and time that grow with the file only. An
//! entry has the same fingerprint in every file that contains it.

pub mod camt;
mod encoding;
pub mod table;

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{money::Money, time::Date, word::UnknownWord};

/// Largest file that is read, in bytes.
pub const STATEMENT_MAX_BYTES: usize = 16 << 20;

/// Most entries of one file.
const ENTRIES_MAX: usize = 100_000;

/// Longest text of an entry that is kept, in characters.
const TEXT_MAX_CHARS: usize = 2_000;

/// Longest name or reference of an entry that is kept, in characters.
const NAME_MAX_CHARS: usize = 200;

/// Words that banks write where they have no reference.
const NO_REFERENCE: [&str; 5] = ["NOTPROVIDED", "NONREF", "NOREF", "NOTAVAILABLE", "UNKNOWN"];

/// Bank statements of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BankStatement {
    /// Entries that bring money, and reversals, in the order of the file.
    pub entries: Vec<StatementEntry>,
    /// Number of entries that take money away, such as the account's own transfers. Nothing follows
    /// from them.
    pub debits: u64,
    /// Number of entries that the bank has not booked. They come again once they are booked.
    pub pending: u64,
}

/// A booked entry of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementEntry {
    /// The account: an IBAN without blanks, or the bank's number of it.
    pub account: String,
    /// The kind of entry.
    pub kind: EntryKind,
    /// The amount, above zero.
    pub amount: Money,
    /// Day on which the bank booked it.
    pub booked_on: Date,
    /// The bank's reference of it, if the bank has given one to it alone.
    pub bank_reference: Option<String>,
    /// The side that has paid, or got the money back.
    pub payer: Option<String>,
    /// The account of that side.
    pub payer_account: Option<String>,
    /// The structured reference of the payee, as in `RF18 5390 0754 7034`.
    pub creditor_reference: Option<String>,
    /// What the payer wrote, with the references of the payer's bank.
    pub text: String,
    /// What makes the entry itself: equal for the same entry of another file.
    pub fingerprint: String,
}

/// The kinds of entry that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Money came.
    Credit,
    /// Money that had come was taken back.
    CreditReversal,
    /// Money that had been sent came back.
    DebitReversal,
}

/// The reason for which a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// More bytes than are read.
    #[error("the file has {0} bytes; at most {STATEMENT_MAX_BYTES} are read: split it by days")]
    TooLarge(usize),
    /// More entries than are read.
    #[error("the file has more than {ENTRIES_MAX} entries: split it by days")]
    TooMany,
    /// Bytes that are no text.
    #[error("the file is not text in {0}")]
    Encoding(&'static str),
    /// No XML, or with a document type definition.
    #[error("the file is not XML that is read here: {0}")]
    Xml(String),
    /// XML that is no statement.
    #[error("the file is not a camt.053 statement: {0}")]
    Other(String),
    /// A fault of an entry.
    #[error("{place}: {field}: {reason}")]
    Entry {
        /// Its line and column, or its row.
        place: String,
        /// The field with the fault.
        field: &'static str,
        /// The fault.
        reason: String,
    },
    /// A table without a column that is named.
    #[error("no line of the table has the column `{0}`: name the columns of its header by a profile")]
    Column(String),
    /// A profile that contradicts itself.
    #[error("profile: {0}")]
    Profile(String),
}

impl EntryKind {
    const ALL: [Self; 3] = [Self::Credit, Self::CreditReversal, Self::DebitReversal];

    /// The word in the store, in documents and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::CreditReversal => "credit_reversal",
            Self::DebitReversal => "debit_reversal",
        }
    }
}

impl FromStr for EntryKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("kind of bank entry", "credit, credit_reversal, debit_reversal", word))
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Counts equal entries of one statement, so that the second of two payments that agree in all is
/// not taken for the first.
#[derive(Debug, Default)]
struct Fingerprints {
    seen: HashMap<String, u32>,
}

impl Fingerprints {
    /// The fingerprint of an entry. With a reference of the bank's own, nothing counts that the bank may
    /// write in another way in another file.
    fn take(&mut self, entry: &StatementEntry, batch: &str) -> String {
        let StatementEntry { account, kind, amount, booked_on, .. } = entry;
        let facts = format!("{account}\n{kind}\n{}\n{}\n{booked_on}", amount.currency().code(), amount.minor());
        let own = if let Some(reference) = &entry.bank_reference {
            format!("{facts}\nreference\n{reference}")
        } else {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
            let (payer, payer_account) = (or_none(&entry.payer), or_none(&entry.payer_account));
            let structured = or_none(&entry.creditor_reference);
            format!("{facts}\ntext\n{batch}\n{payer}\n{payer_account}\n{structured}\n{}", entry.text)
        };
        let number = self.seen.entry(own.clone()).and_modify(|number| *number += 1).or_insert(0);
        Sha256::digest(format!("{own}\n{number}")).iter().fold(String::with_capacity(64), |mut digits, byte| {
            // Writing into a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

/// The text with single blanks, without characters that are not seen, cut to `most` characters.
fn clean(text: &str, most: usize) -> String {
    let visible = |character: char| if character.is_control() || is_unseen(character) { ' ' } else { character };
    let text: String = text.chars().map(visible).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(most).collect::<String>().trim_end().to_owned()
}

/// Returns true for characters that turn text around or have no width.
const fn is_unseen(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn clean_name(text: &str) -> Option<String> {
    Some(clean(text, NAME_MAX_CHARS)).filter(|text| !text.is_empty())
}

/// A reference, unless it says that there is none.
fn clean_reference(text: &str) -> Option<String> {
    clean_name(text).filter(|text| !NO_REFERENCE.contains(&text.to_ascii_uppercase().as_str()))
}

/// The number of an account, without blanks.
fn clean_account(text: &str) -> Option<String> {
    let text: String = clean(text, NAME_MAX_CHARS).chars().filter(|character| *character != ' ').collect();
    Some(text.to_ascii_uppercase()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn entry(reference: Option<&str>, text: &str) -> StatementEntry {
        StatementEntry {
            account: "DE89370400440532013000".into(),
            kind: EntryKind::Credit,
            amount: Money::from_minor(10_380, Currency::EUR),
            booked_on: Date { year: 2026, month: 12, day: 1 },
            bank_reference: reference.map(Into::into),
            payer: None,
            payer_account: None,
            creditor_reference: None,
            text: text.into(),
            fingerprint: String::new(),
        }
    }

    #[test]
    fn equal_entries_of_one_statement_are_told_apart_by_their_number() {
        let mut first = Fingerprints::default();
        let pair = [first.take(&entry(None, "INV-000001"), ""), first.take(&entry(None, "INV-000001"), "")];
        assert_ne!(pair[0], pair[1]);
        let mut second = Fingerprints::default();
        assert_eq!(second.take(&entry(None, "INV-000001"), ""), pair[0], "the same in another file");
    }

    #[test]
    fn reference_of_the_bank_counts_more_than_the_text() {
        let of = |reference, text| Fingerprints::default().take(&entry(reference, text), "");
        assert_eq!(of(Some("A1"), "INV-000001"), of(Some("A1"), "INV 000001"));
        assert_ne!(of(Some("A1"), "INV-000001"), of(Some("A2"), "INV-000001"));
        assert_ne!(of(None, "INV-000001"), of(None, "INV-000002"));
    }

    #[test]
    fn unseen_characters_are_taken_out_of_texts() {
        assert_eq!(clean(" a\u{202e}b \r\n\t c\0 ", 100), "a b c");
        assert_eq!(clean("abc def", 4), "abc");
        assert_eq!(clean_reference("NotProvided"), None);
        assert_eq!(clean_account("de89 3704 0044 0532 0130 00").as_deref(), Some("DE89370400440532013000"));
    }
}
