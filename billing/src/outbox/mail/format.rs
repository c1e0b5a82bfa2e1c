//! Filters of templates: amounts, counts and dates as people of a language write them.

use std::sync::LazyLock;

use common::mail::Language;
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use minijinja::{Environment, Error, ErrorKind};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// Adds the filters `amount`, `count`, `date` and `time` of a language.
pub(super) fn add_filters(environment: &mut Environment<'static>, language: Language) {
    environment.add_filter("amount", move |digits: &str| amount(digits, language));
    environment.add_filter("count", move |number: u64| grouped(&number.to_string(), language));
    environment.add_filter("date", move |instant: &str, zone: &str| at(instant, zone, language, false));
    environment.add_filter("time", move |instant: &str, zone: &str| at(instant, zone, language, true));
}

/// An amount in major units, as in `1234.50`.
fn amount(digits: &str, language: Language) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let point = match language {
        Language::En => '.',
        Language::De => ',',
    };
    match digits.split_once('.') {
        Some((whole, part)) => format!("{sign}{}{point}{part}", grouped(whole, language)),
        None => format!("{sign}{}", grouped(digits, language)),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str, language: Language) -> String {
    let comma = match language {
        Language::En => ',',
        Language::De => '.',
    };
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(comma);
        }
        text.push(digit);
    }
    text
}

/// An instant on the clock of a zone; a zone that is not known counts as UTC.
fn at(instant: &str, zone: &str, language: Language, with_time: bool) -> Result<String, Error> {
    let timestamp: Timestamp = instant
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("`{instant}` is not an instant")))?;
    let zone = ZONES.get(zone).unwrap_or(TimeZone::UTC);
    let local = timestamp.to_zoned(zone);
    let month = usize::try_from(local.month() - 1).unwrap_or_default();
    let (day, year) = (local.day(), local.year());
    let date = match language {
        Language::En => format!("{day} {} {year}", MONTHS_EN.get(month).unwrap_or(&"")),
        Language::De => format!("{day}. {} {year}", MONTHS_DE.get(month).unwrap_or(&"")),
    };
    if !with_time {
        return Ok(date);
    }
    Ok(format!("{date}, {:02}:{:02} ({})", local.hour(), local.minute(), local.strftime("%Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_the_language_does() {
        for (digits, english, german) in [
            ("0.00", "0.00", "0,00"),
            ("999.90", "999.90", "999,90"),
            ("1234.50", "1,234.50", "1.234,50"),
            ("-1234567.05", "-1,234,567.05", "-1.234.567,05"),
            ("1000", "1,000", "1.000"),
            ("12.345", "12.345", "12,345"),
        ] {
            assert_eq!(amount(digits, Language::En), english);
            assert_eq!(amount(digits, Language::De), german);
        }
    }

    #[test]
    fn dates_are_on_the_tenants_clock() {
        let instant = "2026-11-30T23:30:00Z";
        assert_eq!(at(instant, "UTC", Language::En, false).unwrap(), "30 November 2026");
        assert_eq!(at(instant, "Europe/Berlin", Language::De, false).unwrap(), "1. Dezember 2026");
        assert_eq!(at(instant, "Europe/Berlin", Language::En, true).unwrap(), "1 December 2026, 00:30 (CET)");
        assert_eq!(at(instant, "Nowhere/Land", Language::En, false).unwrap(), "30 November 2026");
        assert!(at("yesterday", "UTC", Language::En, false).is_err());
    }
}
