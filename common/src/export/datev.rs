//! Postings as a batch for DATEV: `EXTF`, header 700, category 21 (Buchungsstapel), version 13.
//!
//! A row of the batch has one debit and one credit account: a posting of more entries becomes several
//! rows, which sum to the same on every account. Tax stands on its own account and has no key; use
//! revenue accounts without automatic tax. A batch is of one currency and one fiscal year.

use std::fmt::Write as _;

use super::{AccountMap, Export, Piece, ledger::NamedPosting};
use crate::{
    ledger::{Account, Entry},
    money::{Currency, Money, decimal_places},
    store::StoreError,
    time::{Date, Micros, Zone},
};

/// Columns of the batch; those behind them stay empty.
const COLUMNS: &str = "Umsatz (ohne Soll/Haben-Kz);Soll/Haben-Kennzeichen;WKZ Umsatz;Kurs;Basis-Umsatz;\
    WKZ Basis-Umsatz;Konto;Gegenkonto (ohne BU-Schlüssel);BU-Schlüssel;Belegdatum;Belegfeld 1;Belegfeld 2;Skonto;\
    Buchungstext";

/// Largest amount of a row: ten digits before the comma.
const AMOUNT_MAX_MINOR: i64 = 999_999_999_999;

/// Longest text of a row, in characters.
const TEXT_MAX_CHARS: usize = 60;

/// Longest reference of a row, in characters.
const REFERENCE_MAX_CHARS: usize = 36;

/// Data of the client in a batch, as the tax consultant knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatevProfile {
    consultant: u32,
    client: u32,
    fiscal_year: Date,
    digits: usize,
    currency: Currency,
    accounts: AccountMap,
    created_at: Micros,
}

/// The reason for which a profile is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DatevError {
    field: &'static str,
    reason: String,
}

impl DatevProfile {
    /// A profile: the numbers of the tax consultant and the client, the first day of the fiscal year, the
    /// currency, and the accounts' numbers, which all have the same length of 4 to 8 digits. Refused:
    /// numbers that DATEV does not give, a currency without two decimal places.
    pub fn new(
        (consultant, client): (u32, u32),
        fiscal_year: Date,
        currency: Currency,
        accounts: AccountMap,
        created_at: Micros,
    ) -> Result<Self, DatevError> {
        let fault = |field, reason: String| Err(DatevError { field, reason });
        if !(1_001..=9_999_999).contains(&consultant) {
            return fault("consultant", format!("{consultant} is not from 1001 to 9999999"));
        }
        if !(1..=99_999).contains(&client) {
            return fault("client", format!("{client} is not from 1 to 99999"));
        }
        if decimal_places(currency) != 2 {
            return fault("currency", format!("amounts in {} do not have two decimal places", currency.code()));
        }
        let mut lengths: Vec<usize> = Vec::new();
        for account in Account::ALL {
            let number = accounts.name(*account, number_of(*account));
            if !(4..=8).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return fault("accounts", format!("`{number}` of {account} is not a number of 4 to 8 digits"));
            }
            lengths.push(number.len());
        }
        let digits = lengths[0];
        if lengths.iter().any(|length| *length != digits) {
            return fault("accounts", "all have to be as long as the others: state each".into());
        }
        Ok(Self { consultant, client, fiscal_year, digits, currency, accounts, created_at })
    }
}

impl DatevProfile {
    /// Parts of the profile, by the names of the API's parameters.
    pub fn members(&self) -> [(&'static str, String); 5] {
        [
            ("consultant", self.consultant.to_string()),
            ("client", self.client.to_string()),
            ("fiscal_year", self.fiscal_year.to_string()),
            ("currency", self.currency.code().to_owned()),
            ("accounts", self.accounts.to_string()),
        ]
    }
}

impl Export {
    /// The two lines of the head.
    pub(super) async fn datev_head(&self, profile: &DatevProfile) -> Result<Vec<u8>, StoreError> {
        let zone = self.store.tenant(self.query.tenant).await?.zone.or_utc();
        let DatevProfile { consultant, client, fiscal_year, digits, currency, .. } = profile;
        let window = self.query.window;
        // The last day within the window.
        let (from, to) = (day(&zone, window.start)?, day(&zone, Micros(window.end.0.saturating_sub(1)))?);
        let year_end = Date { year: fiscal_year.year.saturating_add(1), ..*fiscal_year };
        if from < *fiscal_year || to >= year_end {
            return Err(StoreError::refused(format!(
                "from, to: {from} to {to} is not within the fiscal year from {fiscal_year}: export each by itself"
            )));
        }
        let created: String = profile.created_at.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let plain = |date: Date| date.to_string().replace('-', "");
        let (year, from, to) = (plain(*fiscal_year), plain(from), plain(to));
        let head = format!(
            "\"EXTF\";700;21;\"Buchungsstapel\";13;{created}000;;\"RE\";\"\";\"\";{consultant};{client};{year};{digits};\
             {from};{to};\"Tollgate\";\"\";1;0;0;\"{}\";;\"\";;;\"\";;;\"\";\"\"\r\n{COLUMNS}\r\n",
            currency.code()
        );
        Ok(windows_1252(&head))
    }

    /// Rows of the batch.
    pub(super) async fn datev_rows(&self, profile: &DatevProfile, after: i64) -> Result<Piece, StoreError> {
        let zone = self.store.tenant(self.query.tenant).await?.zone.or_utc();
        let (postings, next) = self.postings(Some(profile.currency), after).await?;
        let mut text = String::new();
        for posting in &postings {
            for (amount, debit, credit) in pairs(&posting.entries) {
                row(&mut text, posting, profile, &zone, (amount, debit, credit))?;
            }
        }
        Ok((windows_1252(&text), next))
    }
}

/// The entries as amounts that go from one account to another.
fn pairs(entries: &[Entry]) -> Vec<(i64, Account, Account)> {
    let side = |is_debit: bool| -> Vec<(i64, Account)> {
        let of_side = entries.iter().filter(|entry| (entry.amount.minor() > 0) == is_debit);
        of_side.map(|entry| (entry.amount.minor().saturating_abs(), entry.account)).collect()
    };
    let (mut debits, mut credits) = (side(true), side(false));
    let mut pairs = Vec::new();
    let (mut at, mut against) = (0, 0);
    while let (Some(debit), Some(credit)) = (debits.get_mut(at), credits.get_mut(against)) {
        let amount = debit.0.min(credit.0);
        pairs.push((amount, debit.1, credit.1));
        debit.0 -= amount;
        credit.0 -= amount;
        at += usize::from(debit.0 == 0);
        against += usize::from(credit.0 == 0);
    }
    pairs
}

fn row(
    text: &mut String,
    posting: &NamedPosting,
    profile: &DatevProfile,
    zone: &Zone,
    (minor, debit, credit): (i64, Account, Account),
) -> Result<(), StoreError> {
    if minor > AMOUNT_MAX_MINOR {
        let amount = Money::from_minor(minor, profile.currency);
        return Err(StoreError::refused(format!("posting {}: {amount} does not fit a row of DATEV", posting.seq)));
    }
    let amount = Money::from_minor(minor, profile.currency).digits().replace('.', ",");
    let number = |account| profile.accounts.name(account, number_of(account));
    let (debit, credit) = (number(debit), number(credit));
    let date = day(zone, posting.at)?;
    let document = cut(posting.document.as_deref().unwrap_or(&posting.cause.id), REFERENCE_MAX_CHARS);
    let what = cut(&format!("{} {}", posting.cause.kind, posting.tenant_name), TEXT_MAX_CHARS);
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "{amount};\"S\";\"{}\";;;\"\";{debit};{credit};\"\";{:02}{:02};\"{document}\";\"{}\";;\"{what}\"\r\n",
        profile.currency.code(),
        date.day,
        date.month,
        posting.seq,
    );
    Ok(())
}

fn day(zone: &Zone, at: Micros) -> Result<Date, StoreError> {
    zone.date(at).map_err(|error| StoreError::refused(format!("time: {error}")))
}

/// Numbers of the accounts in SKR 03 unless a map states others: revenue without automatic tax.
const fn number_of(account: Account) -> &'static str {
    match account {
        Account::Receivable => "1400",
        Account::Credit => "1710",
        Account::DeferredRevenue => "0990",
        Account::Revenue => "8200",
        Account::Tax => "1776",
        Account::Cash => "1360",
        Account::WriteOff => "2400",
        Account::Promotion => "4600",
        Account::Disputed => "1460",
        Account::Fees => "4970",
        Account::Bank => "1200",
        Account::Unmatched => "1590",
    }
}

/// A text between quotes, without control characters.
fn cut(text: &str, most: usize) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(most).collect();
    text.replace('"', "\"\"")
}

/// The bytes in the encoding that DATEV takes; other letters become `?`.
fn windows_1252(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| match u32::from(letter) {
            point @ (0..=0x7f | 0xa0..=0xff) => u8::try_from(point).unwrap_or(b'?'),
            0x20ac => 0x80,
            0x160 => 0x8a,
            0x161 => 0x9a,
            0x17d => 0x8e,
            0x17e => 0x9e,
            0x2013 => 0x96,
            0x2014 => 0x97,
            0x2018 => 0x91,
            0x2019 => 0x92,
            0x201c => 0x93,
            0x201d => 0x94,
            0x201e => 0x84,
            _ => b'?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(account: Account, minor: i64) -> Entry {
        Entry { account, amount: Money::from_minor(minor, Currency::EUR) }
    }

    #[test]
    fn posting_of_many_entries_becomes_rows_that_sum_to_the_same() {
        use Account::{Cash, Credit, Receivable, Revenue, Tax};
        let entries =
            [entry(Receivable, 119), entry(Revenue, -100), entry(Tax, -19), entry(Cash, 30), entry(Credit, -30)];
        let rows = pairs(&entries);
        assert_eq!(rows, [(100, Receivable, Revenue), (19, Receivable, Tax), (30, Cash, Credit)]);
        for entry in &entries {
            let debits: i64 = rows.iter().filter(|row| row.1 == entry.account).map(|row| row.0).sum();
            let credits: i64 = rows.iter().filter(|row| row.2 == entry.account).map(|row| row.0).sum();
            assert_eq!(debits - credits, entry.amount.minor(), "{}", entry.account);
        }
    }

    #[test]
    fn profile_that_datev_would_not_take_is_refused() {
        let year = Date { year: 2026, month: 1, day: 1 };
        let new = |numbers, currency, accounts: &str| {
            DatevProfile::new(numbers, year, currency, accounts.parse().unwrap(), Micros(0))
                .map_err(|error| error.to_string())
        };
        assert!(new((1_001, 1), Currency::EUR, "").is_ok());
        for (refused, part) in [
            (new((1_000, 1), Currency::EUR, ""), "consultant"),
            (new((1_001, 0), Currency::EUR, ""), "client"),
            (new((1_001, 1), Currency::JPY, ""), "currency"),
            (new((1_001, 1), Currency::EUR, "cash=12"), "`12` of cash"),
            (new((1_001, 1), Currency::EUR, "cash=12000"), "as long as the others"),
        ] {
            assert!(refused.as_ref().unwrap_err().contains(part), "{refused:?}");
        }
    }

    #[test]
    fn letters_are_those_of_western_europe() {
        assert_eq!(windows_1252("Müller – 5 €, Łódź"), b"M\xfcller \x96 5 \x80, ?\xf3d?");
        assert_eq!(cut("a\"b\n", 60), "a\"\"b");
    }
}
