//! The section `timeouts` of a route: the time for each part of a request.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::TIMEOUT_MAX_MS, route::RouteCheck};
use crate::route::Timeouts;

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "settings name their unit")]
pub(super) struct TimeoutsFile {
    /// Until a server has accepted the connection, TLS included.
    connect_ms: Option<u64>,
    /// From the end of the request until the answer's header.
    first_byte_ms: Option<u64>,
    /// Between two parts of the answer.
    between_bytes_ms: Option<u64>,
    /// From the request's header until the end of the answer.
    total_ms: Option<u64>,
}

impl RouteCheck<'_, '_> {
    /// The time for each part of a request, if the route says so.
    pub(super) fn timeouts(&self) -> Option<Timeouts> {
        let TimeoutsFile { connect_ms, first_byte_ms, between_bytes_ms, total_ms } = self.file.timeouts.as_ref()?;
        self.check.inside("timeouts", || {
            let parts =
                [("connect_ms", connect_ms), ("first_byte_ms", first_byte_ms), ("between_bytes_ms", between_bytes_ms)];
            for (field, part) in parts {
                if part.is_some_and(|part| total_ms.is_some_and(|total| total < part)) {
                    self.refuse(field, &format!("`{field}` is more than `total_ms`, and would never count"));
                }
            }
            let time =
                |field, value: &Option<u64>| self.within(field, *value, 1, TIMEOUT_MAX_MS).map(Duration::from_millis);
            Some(Timeouts {
                connect: time("connect_ms", connect_ms),
                first_byte: time("first_byte_ms", first_byte_ms),
                between_bytes: time("between_bytes_ms", between_bytes_ms),
                total: time("total_ms", total_ms),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<Timeouts>, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n  - {{ name: a, path: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].timeouts).map_err(|error| error.to_string())
    }

    #[test]
    fn each_part_has_its_time() {
        assert_eq!(of(""), Ok(None));
        let found = of(", timeouts: { connect_ms: 1, first_byte_ms: 2, between_bytes_ms: 3, total_ms: 4 }").unwrap();
        let [connect, first_byte, between_bytes, total] = [1, 2, 3, 4].map(|time| Some(Duration::from_millis(time)));
        assert_eq!(found, Some(Timeouts { connect, first_byte, between_bytes, total }));
        for (fields, reason) in [
            (", timeouts: { connect_ms: 0 }", "must be between 1 and 3600000"),
            (", timeouts: { first_byte_ms: 5, total_ms: 4 }", "would never count"),
            (", timeouts: { read_ms: 5 }", "`read_ms` is not a setting here"),
        ] {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
