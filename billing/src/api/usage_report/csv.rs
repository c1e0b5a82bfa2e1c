//! A usage report as a table (RFC 4180).

use std::fmt::{Display, Write as _};

use common::api::usage::UsageDocument;

const HEADER: &str = "start,tenant,key,route,meter,mode,requests,aborted,units,billable_units,end,zone,whole\r\n";

/// The rows below a header.
pub(super) fn table(rows: &[UsageDocument]) -> String {
    let mut table = String::from(HEADER);
    for row in rows {
        let UsageDocument {
            start,
            end,
            zone,
            whole,
            tenant,
            key,
            route,
            meter,
            mode,
            requests,
            aborted,
            units,
            billable_units,
        } = row;
        let fields = [
            start.to_string(),
            text(tenant.as_ref()),
            text(key.as_ref()),
            text(route.as_ref()),
            text(meter.as_ref()),
            text(mode.as_ref()),
        ];
        for field in fields {
            push(&mut table, &field);
            table.push(',');
        }
        // Writing into a string cannot fail.
        let _ = write!(table, "{requests},{aborted},{units},{billable_units},{end},");
        push(&mut table, zone);
        let _ = write!(table, ",{whole}\r\n");
    }
    table
}

fn text(value: Option<&impl Display>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// A field, in quotes if it needs them.
fn push(table: &mut String, field: &str) {
    if field.contains([',', '"', '\r', '\n']) {
        table.push('"');
        table.push_str(&field.replace('"', "\"\""));
        table.push('"');
    } else {
        table.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use common::{api::instant::Instant, time::Micros};

    use super::*;

    #[test]
    fn field_that_would_break_a_line_is_quoted() {
        let row = UsageDocument {
            start: Instant(Micros(0)),
            end: Instant(Micros(3_600_000_000)),
            zone: "UTC".into(),
            whole: false,
            tenant: None,
            key: None,
            route: Some("a,\"b\"".into()),
            meter: Some("requests".into()),
            mode: None,
            requests: 4,
            aborted: 1,
            units: 2,
            billable_units: 3,
        };
        let line = "1970-01-01T00:00:00Z,,,\"a,\"\"b\"\"\",requests,,4,1,2,3,1970-01-01T01:00:00Z,UTC,false\r\n";
        assert_eq!(table(&[row]), format!("{HEADER}{line}"));
    }
}
