//! Statements as a table in CSV: each bank has columns of its own, which a profile names.
//!
//! The header is the first line that has all named columns: many banks write some lines before it. The
//! separator is found there. Numbers are read by the stated decimal mark; a mark of thousands is taken
//! if it stands where thousands are, and refused elsewhere, so that `1.234` is never read in two ways.

use std::{borrow::Cow, cell::Cell};

use serde::{Deserialize, Serialize};

use super::{
    BankStatement, ENTRIES_MAX, EntryKind, Fingerprints, STATEMENT_MAX_BYTES, StatementEntry, StatementError,
    TEXT_MAX_CHARS, clean, clean_account, clean_name, clean_reference,
    encoding::{Encoding, decode},
};
use crate::{
    money::{Currency, Money},
    time::Date,
};

/// Separators, in the order in which they are tried.
const SEPARATORS: [char; 4] = [';', ',', '\t', '|'];

/// Most lines before the header.
const PREAMBLE_LINES: usize = 50;

/// The columns of a bank's table, and how its values are written. What is not stated is as in
/// `date,amount,currency,text`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "api", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct TableProfile {
    /// The account, for a table without a column of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The currency, for a table without a column of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The mark before decimal places: `.` or `,`; `.` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// How days are written: `YYYY-MM-DD`, `DD.MM.YYYY`, `DD.MM.YY`, `DD/MM/YYYY` or `MM/DD/YYYY`;
    /// `YYYY-MM-DD` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    /// The encoding: `utf-8`, `iso-8859-1`, `iso-8859-15` or `windows-1252`; found unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The column of the day; `date` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_column: Option<String>,
    /// The column of the amount; `amount` unless stated. Below zero, it takes money away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_column: Option<String>,
    /// The column that says what takes money away, by `D`, `DBIT`, `debit`, `S` or `Soll`. By the sign
    /// of the amount unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction_column: Option<String>,
    /// The column of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency_column: Option<String>,
    /// The columns of what the payer wrote, with `|` between; `text` unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_columns: Option<String>,
    /// The column of the payer's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_column: Option<String>,
    /// The column of the payer's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer_account_column: Option<String>,
    /// The column of the bank's reference, if it gives one to each entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_column: Option<String>,
    /// The column of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_column: Option<String>,
}

/// Reads a table.
pub fn read(bytes: &[u8], profile: &TableProfile) -> Result<BankStatement, StatementError> {
    if bytes.len() > STATEMENT_MAX_BYTES {
        return Err(StatementError::TooLarge(bytes.len()));
    }
    let form = Form::of(profile)?;
    let text = decode(bytes, form.encoding)?;
    let (columns, separator, line) = Columns::find(&text, profile)?;
    let lines: Vec<&str> = text.split('\n').skip(line).map(|line| line.trim_end_matches('\r')).collect();
    let body = lines.join("\n");
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).has_headers(true).flexible(true).from_reader(body.as_bytes());
    let mut statement = BankStatement::default();
    let mut fingerprints = Fingerprints::default();
    for row in reader.records() {
        let row = row.map_err(|error| fault("table".into(), "row", error.to_string()))?;
        let number = row.position().map_or(0, csv::Position::line);
        let row = Row { fields: &row, columns: &columns, form: &form, place: format!("line {}", line as u64 + number) };
        let Some(mut entry) = row.entry(profile)? else {
            statement.debits += u64::from(!row.is_empty());
            continue;
        };
        if statement.entries.len() >= ENTRIES_MAX {
            return Err(StatementError::TooMany);
        }
        entry.fingerprint = fingerprints.take(&entry, "");
        statement.entries.push(entry);
    }
    Ok(statement)
}

/// Form of the values.
struct Form {
    decimal: char,
    date: DateForm,
    encoding: Encoding,
    currency: Option<Currency>,
}

/// The order of a date's parts and the mark between them.
struct DateForm {
    /// Places of year, month and day.
    places: [usize; 3],
    mark: char,
    year_digits: usize,
}

impl Form {
    fn of(profile: &TableProfile) -> Result<Self, StatementError> {
        let refuse = |reason: String| Err(StatementError::Profile(reason));
        let decimal = match profile.decimal.as_deref().unwrap_or(".") {
            "." => '.',
            "," => ',',
            other => return refuse(format!("decimal: `{}` is neither . nor ,", clean(other, 20))),
        };
        let date = match profile.date_format.as_deref().unwrap_or("YYYY-MM-DD") {
            "YYYY-MM-DD" => DateForm { places: [0, 1, 2], mark: '-', year_digits: 4 },
            "DD.MM.YYYY" => DateForm { places: [2, 1, 0], mark: '.', year_digits: 4 },
            "DD.MM.YY" => DateForm { places: [2, 1, 0], mark: '.', year_digits: 2 },
            "DD/MM/YYYY" => DateForm { places: [2, 1, 0], mark: '/', year_digits: 4 },
            "MM/DD/YYYY" => DateForm { places: [2, 0, 1], mark: '/', year_digits: 4 },
            other => {
                let known = "YYYY-MM-DD, DD.MM.YYYY, DD.MM.YY, DD/MM/YYYY or MM/DD/YYYY";
                return refuse(format!("date_format: `{}` is not one of {known}", clean(other, 20)));
            }
        };
        let encoding = profile.encoding.as_deref().unwrap_or("auto");
        let Some(encoding) = Encoding::named(encoding) else {
            return refuse(format!("encoding: `{}` is not read here", clean(encoding, 20)));
        };
        let currency = match profile.currency.as_deref().map(|code| (code, Currency::from_code(code))) {
            Some((code, None)) => return refuse(format!("currency: `{}` is not a currency", clean(code, 20))),
            Some((_, known)) => known,
            None => None,
        };
        Ok(Self { decimal, date, encoding, currency })
    }

    /// An amount, with its sign.
    fn amount(&self, text: &str, currency: Currency) -> Result<Money, String> {
        let text: String = text.trim().replace(['\u{a0}', '\u{202f}', ' ', '\''], "").replace('\u{2212}', "-");
        // Some banks write the sign behind the number.
        let (text, is_below) = match (text.strip_prefix('-'), text.strip_suffix('-')) {
            (Some(rest), None) | (None, Some(rest)) => (rest, true),
            (None, None) => (text.strip_prefix('+').unwrap_or(&text), false),
            (Some(_), Some(_)) => return Err(format!("`{}` is not an amount", clean(&text, 40))),
        };
        let (whole, places) =
            text.split_once(self.decimal).map_or((text, None), |(whole, places)| (whole, Some(places)));
        let thousands = if self.decimal == '.' { ',' } else { '.' };
        let mut groups = whole.split(thousands);
        let lead = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let in_thousands =
            rest.is_empty() || ((1..=3).contains(&lead.len()) && rest.iter().all(|group| group.len() == 3));
        if !is_number(lead)
            || !rest.iter().all(|group| is_number(group))
            || !in_thousands
            || !places.is_none_or(is_number)
        {
            let decimal = self.decimal;
            return Err(format!("`{}` is not an amount with `{decimal}` before its decimal places", clean(text, 40)));
        }
        let sign = if is_below { "-" } else { "" };
        let plain =
            format!("{sign}{lead}{}{}", rest.concat(), places.map(|places| format!(".{places}")).unwrap_or_default());
        Money::parse(&plain, currency).map_err(|error| error.to_string())
    }

    fn date(&self, text: &str) -> Result<Date, String> {
        let DateForm { places, mark, year_digits } = &self.date;
        let refused = || format!("`{}` is not a day in the stated form", clean(text, 40));
        let parts: Vec<&str> = text.trim().split(*mark).collect();
        if parts.len() != 3
            || parts.iter().any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(refused());
        }
        let [year, month, day] = places.map(|place| parts[place]);
        if year.len() != *year_digits || month.len() > 2 || day.len() > 2 {
            return Err(refused());
        }
        let century = if *year_digits == 2 { 2_000 } else { 0 };
        let year: i16 = year.parse().map_err(|_| refused())?;
        Date::new(century + year, month.parse().map_err(|_| refused())?, day.parse().map_err(|_| refused())?)
            .ok_or_else(refused)
    }
}

/// Places of the columns.
struct Columns {
    date: usize,
    amount: usize,
    direction: Option<usize>,
    currency: Option<usize>,
    texts: Vec<usize>,
    payer: Option<usize>,
    payer_account: Option<usize>,
    reference: Option<usize>,
    account: Option<usize>,
}

impl Columns {
    /// Finds the header: the columns, the separator and the number of lines before it.
    fn find(text: &str, profile: &TableProfile) -> Result<(Self, u8, usize), StatementError> {
        let mut missing = None;
        for (line, header) in text.split('\n').take(PREAMBLE_LINES).enumerate() {
            for separator in SEPARATORS {
                let names = fields(header.trim_end_matches('\r'), separator);
                if names.len() < 2 {
                    continue;
                }
                match Self::of(&names, profile) {
                    Ok(columns) => return Ok((columns, separator as u8, line)),
                    // The line that has the most of them says best what is missing.
                    Err((found, name)) => {
                        missing = missing.filter(|(before, _)| *before >= found).or(Some((found, name)));
                    }
                }
            }
        }
        let first = || column(profile.date_column.as_deref(), "date").into_owned();
        Err(StatementError::Column(missing.map_or_else(first, |(_, name)| name)))
    }

    /// The columns, or the number of those that were found before one that is missing.
    fn of(names: &[String], profile: &TableProfile) -> Result<Self, (usize, String)> {
        let found = Cell::new(0);
        let place = |name: &str| {
            let at = names.iter().position(|other| other.trim().eq_ignore_ascii_case(name.trim()));
            found.set(found.get() + usize::from(at.is_some()));
            at.ok_or_else(|| (found.get(), name.to_owned()))
        };
        let date = place(&column(profile.date_column.as_deref(), "date"))?;
        let amount = place(&column(profile.amount_column.as_deref(), "amount"))?;
        let texts = column(profile.text_columns.as_deref(), "text");
        let texts: Result<Vec<usize>, _> = texts.split('|').map(place).collect();
        let stated = |name: &Option<String>| name.as_deref().map(place).transpose();
        Ok(Self {
            date,
            amount,
            texts: texts?,
            direction: stated(&profile.direction_column)?,
            payer: stated(&profile.payer_column)?,
            payer_account: stated(&profile.payer_account_column)?,
            reference: stated(&profile.reference_column)?,
            currency: match (&profile.currency_column, &profile.currency) {
                (Some(_), _) => stated(&profile.currency_column)?,
                (None, Some(_)) => None,
                (None, None) => Some(place("currency")?),
            },
            account: match (&profile.account_column, &profile.account) {
                (Some(_), _) => stated(&profile.account_column)?,
                (None, Some(_)) => None,
                (None, None) => Some(place("account")?),
            },
        })
    }
}

fn column<'a>(stated: Option<&'a str>, otherwise: &'static str) -> Cow<'a, str> {
    stated.map_or(Cow::Borrowed(otherwise), Cow::Borrowed)
}

/// The fields of one line.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator as u8).has_headers(false).from_reader(line.as_bytes());
    let row = reader.records().next().and_then(Result::ok);
    row.map(|row| row.iter().map(ToOwned::to_owned).collect()).unwrap_or_default()
}

/// A row of the table.
struct Row<'a> {
    fields: &'a csv::StringRecord,
    columns: &'a Columns,
    form: &'a Form,
    place: String,
}

impl Row<'_> {
    fn field(&self, place: usize) -> &str {
        self.fields.get(place).unwrap_or_default().trim()
    }

    fn optional(&self, place: Option<usize>) -> &str {
        place.map(|place| self.field(place)).unwrap_or_default()
    }

    /// Returns true for a row without a day and an amount, such as a sum below the table.
    fn is_empty(&self) -> bool {
        self.field(self.columns.date).is_empty() || self.field(self.columns.amount).is_empty()
    }

    /// The entry; none if it takes money away, or if the row is empty.
    fn entry(&self, profile: &TableProfile) -> Result<Option<StatementEntry>, StatementError> {
        if self.is_empty() {
            return Ok(None);
        }
        let refuse = |field, reason| fault(self.place.clone(), field, reason);
        let code = self.optional(self.columns.currency);
        let currency =
            if code.is_empty() { self.form.currency } else { Currency::from_code(&code.to_ascii_uppercase()) };
        let currency =
            currency.ok_or_else(|| refuse("currency", format!("`{}` is not a currency", clean(code, 20))))?;
        let signed = self.form.amount(self.field(self.columns.amount), currency);
        let signed = signed.map_err(|reason| refuse("amount", reason))?;
        let is_debit = match self.columns.direction {
            None => signed.minor() < 0,
            Some(place) => is_debit(self.field(place)).map_err(|reason| refuse("direction", reason))?,
        };
        if signed.minor() < 0 && !is_debit {
            return Err(refuse("amount", format!("{signed} is below zero, and the row says that it is a credit")));
        }
        let booked_on = self.form.date(self.field(self.columns.date)).map_err(|reason| refuse("date", reason))?;
        if is_debit || signed.is_zero() {
            return Ok(None);
        }
        let account = Some(self.optional(self.columns.account)).filter(|text| !text.is_empty());
        let account = account.or(profile.account.as_deref()).and_then(clean_account);
        let texts: Vec<&str> = self.columns.texts.iter().map(|place| self.field(*place)).collect();
        Ok(Some(StatementEntry {
            account: account.ok_or_else(|| refuse("account", "the row names none: state it".into()))?,
            kind: EntryKind::Credit,
            amount: Money::from_minor(signed.minor().saturating_abs(), currency),
            booked_on,
            bank_reference: clean_reference(self.optional(self.columns.reference)),
            payer: clean_name(self.optional(self.columns.payer)),
            payer_account: clean_account(self.optional(self.columns.payer_account)),
            creditor_reference: None,
            text: clean(&texts.join(" "), TEXT_MAX_CHARS),
            fingerprint: String::new(),
        }))
    }
}

/// Tells what a word of a direction says.
fn is_debit(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "d" | "dbit" | "debit" | "s" | "soll" | "-" => Ok(true),
        "c" | "crdt" | "credit" | "h" | "haben" | "+" => Ok(false),
        other => Err(format!("`{}` is neither debit nor credit", clean(other, 20))),
    }
}

fn fault(place: String, field: &'static str, reason: String) -> StatementError {
    StatementError::Entry { place, field, reason }
}

#[cfg(test)]
mod tests;
