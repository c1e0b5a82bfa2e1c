//! Few statements for many rows: inserting them, changing stored rows by them, or finding those of a
//! list.

use sqlx::{
    Any, AnyConnection, AssertSqlSafe,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{connect::Engine, error::StoreError};

/// Rows per statement, largest first. Few sizes, so that every statement is prepared once and found
/// again; the largest stays below the 32,766 parameters that SQLite takes, up to 127 columns.
const CHUNKS: [usize; 4] = [256, 32, 8, 1];

/// A value of a row.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    /// No number.
    Null,
    /// No text.
    NoText,
}

/// Runs `head VALUES (..), (..) tail` for all rows, in their order.
pub(crate) async fn execute<const COLUMNS: usize>(
    connection: &mut AnyConnection,
    head: &'static str,
    tail: &'static str,
    mut rows: &[[Value; COLUMNS]],
) -> Result<(), StoreError> {
    for size in CHUNKS {
        if rows.len() < size {
            continue;
        }
        let statement = statement(head, tail, size, COLUMNS);
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            // Only constants and placeholders are part of the statement.
            let query = sqlx::query(AssertSqlSafe(statement.clone()));
            chunk.iter().flatten().fold(query, bind).execute(&mut *connection).await?;
            rows = rest;
        }
    }
    Ok(())
}

/// Runs `head VALUES (..), (..) tail`, whose tail returns rows, for all rows in their order. What
/// is returned is in none.
pub(crate) async fn fetch<const COLUMNS: usize>(
    connection: &mut AnyConnection,
    head: &'static str,
    tail: &'static str,
    mut rows: &[[Value; COLUMNS]],
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let mut returned = Vec::with_capacity(rows.len());
    for size in CHUNKS {
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let query = sqlx::query(AssertSqlSafe(statement(head, tail, size, COLUMNS)));
            returned.extend(chunk.iter().flatten().fold(query, bind).fetch_all(&mut *connection).await?);
            rows = rest;
        }
    }
    Ok(returned)
}

/// A list of texts as one parameter, for [`in_list`].
pub(crate) fn list<T: std::fmt::Display>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: serde_json::Value = texts.into_iter().map(|text| text.to_string()).collect();
    texts.to_string()
}

/// SQL for the texts of the list that is bound at `place`, as in `id IN ..`.
pub(crate) fn in_list(engine: Engine, place: usize) -> String {
    match engine {
        Engine::Sqlite => format!("IN (SELECT value FROM json_each(${place}))"),
        Engine::Postgres => format!("IN (SELECT jsonb_array_elements_text(CAST(${place} AS JSONB)))"),
    }
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, value: &Value) -> Query<'q, Any, AnyArguments> {
    match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Number(number) => query.bind(*number),
        Value::Null => query.bind(None::<i64>),
        Value::NoText => query.bind(None::<String>),
    }
}

fn statement(head: &str, tail: &str, rows: usize, columns: usize) -> String {
    use std::fmt::Write as _;
    let mut statement = format!("{head} VALUES ");
    for row in 0..rows {
        statement.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            let _ = write!(statement, "{comma}${}", row * columns + column + 1);
        }
        statement.push(')');
    }
    let _ = write!(statement, " {tail}");
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_through_all_rows() {
        assert_eq!(statement("INSERT INTO t (a, b)", "", 2, 2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ");
    }
}
