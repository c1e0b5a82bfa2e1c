//! The statement of a report.

use std::fmt::Write as _;

use sqlx::{Any, AssertSqlSafe, any::AnyArguments, query::Query};

use super::{Bucket, UsageQuery};
use crate::{
    store::spans,
    time::{Micros, Window},
};

/// A statement and its values. Its text is put together from constants and the numbers of
/// placeholders.
pub(super) struct Statement<'q> {
    asked: &'q UsageQuery,
    text: String,
    values: Vec<Value>,
}

/// A value of a statement.
enum Value {
    Text(String),
    Number(i64),
}

impl<'q> Statement<'q> {
    /// Begins with whose usage it is: the table `spans`.
    pub(super) fn new(asked: &'q UsageQuery, times: &[Window]) -> Self {
        let mut statement = Self { asked, text: String::new(), values: Vec::new() };
        let row = |span: &Window| {
            let tenant = statement.value(Value::Text(asked.tenant.to_string()));
            [tenant, statement.number(span.start), statement.number(span.end)]
        };
        let known: Vec<_> = times.iter().map(row).collect();
        statement.text = spans::table(&known, asked.subtree);
        statement
    }

    /// A placeholder for the value.
    fn value(&mut self, value: Value) -> String {
        let kind = if matches!(value, Value::Text(_)) { "TEXT" } else { "BIGINT" };
        self.values.push(value);
        format!("CAST(${} AS {kind})", self.values.len())
    }

    fn number(&mut self, at: Micros) -> String {
        self.value(Value::Number(at.0))
    }

    /// Asks for the clocks of the tenants.
    pub(super) fn select_zones(&mut self) {
        self.text.push_str("SELECT DISTINCT zone FROM tenants JOIN spans ON spans.tenant_id = tenants.id");
    }

    /// Asks for sums by bucket, or by hour if there are none, and by columns.
    pub(super) fn select(&mut self, columns: &[&'static str], buckets: &[Bucket]) {
        let (mut start, mut end, mut from) = ("hour", "hour + 3600000000", "usage_hourly");
        if !buckets.is_empty() {
            // The table before ends with a bracket and a blank.
            self.text.truncate(self.text.len() - 1);
            self.text.push_str(", buckets (start_at, end_at, clock) AS (VALUES ");
            for (place, bucket) in buckets.iter().enumerate() {
                let (start, end) = (self.number(bucket.window.start), self.number(bucket.window.end));
                let zone = self.value(Value::Text(bucket.zone.clone()));
                let comma = if place == 0 { "" } else { ", " };
                let _ = write!(self.text, "{comma}({start}, {end}, {zone})");
            }
            self.text.push_str(") ");
            (start, end) = ("start_at", "end_at");
            from = "buckets JOIN usage_hourly ON hour >= start_at AND hour < end_at";
        }
        let names = listed(columns);
        let _ = write!(
            self.text,
            "SELECT {start} AS start_at, {end} AS end_at, zone{names}, \
             CAST(SUM(requests) AS BIGINT) AS requests, CAST(SUM(aborted) AS BIGINT) AS aborted, \
             CAST(SUM(units) AS BIGINT) AS units, \
             CAST(SUM(CASE WHEN billable = 1 THEN units ELSE 0 END) AS BIGINT) AS billable_units \
             FROM {from} JOIN tenants ON tenants.id = usage_hourly.tenant_id \
             JOIN spans ON spans.tenant_id = usage_hourly.tenant_id \
             AND since >= spans.from_at AND since < spans.to_at"
        );
    }

    /// Only what is asked for, behind the row that the report continues behind.
    pub(super) fn filter(&mut self, columns: &[&'static str], by_bucket: bool) {
        let (from, to) = (self.number(self.asked.window.start), self.number(self.asked.window.end));
        let clock = if by_bucket { " AND zone = clock" } else { "" };
        let _ = write!(self.text, " WHERE hour >= {from} AND hour < {to}{clock}");
        let UsageQuery { key, route, meter, mode, after, .. } = self.asked;
        let filters = [
            ("key_id", key.map(|key| key.to_string())),
            ("route", route.clone()),
            ("meter", meter.clone()),
            ("mode", mode.map(|mode| mode.as_str().to_owned())),
        ];
        for (column, wanted) in filters {
            if let Some(wanted) = wanted {
                let wanted = self.value(Value::Text(wanted));
                let _ = write!(self.text, " AND {column} = {wanted}");
            }
        }
        if let Some(after) = after {
            let start = if by_bucket { "start_at" } else { "hour" };
            let names = listed(columns);
            let mut values = format!("{}, {}", self.number(after.start), self.value(Value::Text(after.zone.clone())));
            // A cursor of another report is short of some, and then begins early.
            for place in 0..columns.len() {
                let value = after.values.get(place).cloned().unwrap_or_default();
                let _ = write!(values, ", {}", self.value(Value::Text(value)));
            }
            let _ = write!(self.text, " AND ({start}, zone{names}) > ({values})");
        }
    }

    /// In order, up to a limit.
    pub(super) fn order(&mut self, columns: &[&'static str], limit: usize) {
        let by = listed(columns);
        let limit = self.value(Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)));
        let _ = write!(self.text, " GROUP BY 1, 2, zone{by} ORDER BY 1, zone{by} LIMIT {limit}");
    }

    /// The finished statement.
    pub(super) fn query(self) -> Query<'static, Any, AnyArguments> {
        // Few are alike, so that none is kept prepared.
        let query = sqlx::query(AssertSqlSafe(self.text)).persistent(false);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }
}

/// The columns, each behind a comma.
fn listed(columns: &[&'static str]) -> String {
    columns.iter().fold(String::new(), |mut list, column| {
        let _ = write!(list, ", usage_hourly.{column}");
        list
    })
}
