//! Languages of documents: a file of words each. English and German are part of the program; further
//! ones, and other words for these two, are files of a directory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use common::{config, money::Money, time::Date};
use serde::Deserialize;

const ENGLISH: &str = include_str!("../../../documents/languages/en.yaml");
const GERMAN: &str = include_str!("../../../documents/languages/de.yaml");

/// The language of documents unless something else is stated.
pub const DEFAULT_LANGUAGE: &str = "en";

macro_rules! words {
    ($($name:ident),* $(,)?) => {
        /// The words and forms of a language.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Words {
            decimal_mark: String,
            group_mark: String,
            date: String,
            months: [String; 12],
            amount: String,
            $(pub(super) $name: String,)*
        }
    };
}

words!(
    invoice,
    credit_note,
    receipt,
    statement,
    number,
    date_of_issue,
    due,
    period,
    plan,
    customer,
    of_invoice,
    reason,
    method,
    reference,
    received,
    description,
    quantity,
    unit_price,
    per_units,
    tax_rate,
    amount_of_line,
    subtotal,
    tax,
    tax_included,
    total,
    credit_used,
    open,
    credit_total,
    amount_paid,
    refunded,
    tax_id,
    page,
    terms,
    settled,
    voided,
    reverse_charge,
    exempt,
    entry,
    debit,
    credit,
    balance,
    opening_balance,
    closing_balance,
    payment,
    refund,
    void,
    written_off,
    no_entries,
);

/// The languages that there are.
#[derive(Debug, Clone)]
pub struct Languages(BTreeMap<String, Words>);

/// The reason for which languages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// The directory or a file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file is not right.
    #[error(transparent)]
    Form(#[from] config::ConfigError),
}

impl Languages {
    /// The languages of the program, and those of a directory: files such as `fr.yaml`.
    pub fn load(directory: Option<&Path>) -> Result<Self, LanguageError> {
        let mut languages = BTreeMap::new();
        for (name, text) in [("en", ENGLISH), ("de", GERMAN)] {
            languages.insert(name.to_owned(), parse(text, name)?);
        }
        let Some(directory) = directory else { return Ok(Self(languages)) };
        let fault = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LanguageError::Read { path, source }
        };
        for entry in fs::read_dir(directory).map_err(fault(directory))? {
            let path = entry.map_err(fault(directory))?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path).map_err(fault(&path))?;
                languages.insert(name, parse(&text, &path.display().to_string())?);
            }
        }
        Ok(Self(languages))
    }

    /// The words of a language.
    pub fn get(&self, language: &str) -> Option<&Words> {
        self.0.get(language)
    }

    /// The names of all languages, with commas between.
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn parse(text: &str, file: &str) -> Result<Words, config::ConfigError> {
    config::parse(text, file)
}

impl Words {
    /// An amount with its currency.
    pub(super) fn money(&self, amount: Money) -> String {
        self.amount.replace("{amount}", &self.digits(&amount.digits())).replace("{currency}", amount.currency().code())
    }

    /// An amount without its currency.
    pub(super) fn money_digits(&self, amount: Money) -> String {
        self.digits(&amount.digits())
    }

    /// A number such as `-1234.5`, in the form of the language.
    pub(super) fn digits(&self, number: &str) -> String {
        let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("\u{2212}", digits));
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
        let mut text = String::from(sign);
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place) % 3 == 0 {
                text.push_str(&self.group_mark);
            }
            text.push(digit);
        }
        if let Some(fraction) = fraction {
            text.push_str(&self.decimal_mark);
            text.push_str(fraction);
        }
        text
    }

    /// A day.
    pub(super) fn day(&self, date: Date) -> String {
        let month = usize::try_from(date.month - 1).ok().and_then(|place| self.months.get(place));
        self.date
            .replace("{year}", &format!("{:04}", date.year))
            .replace("{month}", &format!("{:02}", date.month))
            .replace("{month_name}", month.map(String::as_str).unwrap_or_default())
            .replace("{day_number}", &date.day.to_string())
            .replace("{day}", &format!("{:02}", date.day))
    }

    /// A range of days.
    pub(super) fn days(&self, (start, end): (Date, Date)) -> String {
        format!("{} \u{2013} {}", self.day(start), self.day(end))
    }
}

#[cfg(test)]
mod tests {
    use common::money::Currency;

    use super::*;

    #[test]
    fn amounts_and_days_have_the_form_of_their_language() {
        let languages = Languages::load(None).unwrap();
        let (english, german) = (languages.get("en").unwrap(), languages.get("de").unwrap());
        let amount = Money::from_minor(-123_456_789, Currency::EUR);
        assert_eq!(english.money(amount), "\u{2212}1,234,567.89 EUR");
        assert_eq!(german.money(amount), "\u{2212}1.234.567,89 EUR");
        assert_eq!(german.money(Money::from_minor(1_548, Currency::JPY)), "1.548 JPY");
        let day = Date { year: 2026, month: 3, day: 1 };
        assert_eq!((english.day(day), german.day(day)), ("1 March 2026".into(), "1. März 2026".into()));
    }

    #[test]
    fn language_of_a_directory_is_added_and_a_wrong_one_names_its_fault() {
        let directory = tempfile::tempdir().unwrap();
        let french = ENGLISH.replace("invoice: Invoice", "invoice: Facture");
        fs::write(directory.path().join("fr.yaml"), french).unwrap();
        let languages = Languages::load(Some(directory.path())).unwrap();
        assert_eq!(languages.get("fr").unwrap().invoice, "Facture");
        assert_eq!(languages.names(), "de, en, fr");
        fs::write(directory.path().join("xx.yaml"), "invoice: X\nfacture: Y\n").unwrap();
        let error = Languages::load(Some(directory.path())).unwrap_err().to_string();
        assert!(error.contains("xx.yaml") && error.contains("facture"), "{error}");
    }
}
