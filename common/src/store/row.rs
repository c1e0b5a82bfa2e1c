//! Reading columns: what somebody else wrote into the store is checked, not trusted.

use std::{fmt::Display, str::FromStr};

use sqlx::{Row as _, any::AnyRow};

use super::error::StoreError;
use crate::time::{Micros, Zone};

/// A text column that stands for something.
pub(crate) fn parsed<T: FromStr<Err: Display>>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| corrupt(column, error))
}

/// A time zone, known to this program or not.
pub(crate) fn zone(row: &AnyRow) -> Result<Zone, StoreError> {
    Ok(Zone::stored(row.try_get("zone")?))
}

/// A text column that stands for something or is null.
pub(crate) fn parsed_or_null<T: FromStr<Err: Display>>(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error: T::Err| corrupt(column, error))).transpose()
}

/// A text column that holds several things, with blanks between.
pub(crate) fn list<T: FromStr<Err: Display>>(row: &AnyRow, column: &'static str) -> Result<Vec<T>, StoreError> {
    let text: String = row.try_get(column)?;
    text.split_ascii_whitespace().map(|word| word.parse().map_err(|error: T::Err| corrupt(column, error))).collect()
}

/// An instant.
pub(crate) fn instant(row: &AnyRow, column: &'static str) -> Result<Micros, StoreError> {
    Ok(Micros(row.try_get(column)?))
}

/// An instant or null.
pub(crate) fn instant_or_null(row: &AnyRow, column: &'static str) -> Result<Option<Micros>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Micros))
}

/// A count.
pub(crate) fn count(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| corrupt(column, format!("{number} is negative")))
}

/// The column holds what cannot be.
pub(crate) fn corrupt(what: &'static str, reason: impl Display) -> StoreError {
    StoreError::Corrupt { what, reason: reason.to_string() }
}
