//! The section `retries` of a route: which faults of servers are followed by another try.

use std::time::Duration;

use common::config::{did_you_mean, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::TIMEOUT_MAX_MS, route::RouteCheck};
use crate::route::{Retries, RetryOn};

/// Most tries after the first.
const MOST: u64 = 10;

/// Faults that can be named.
const FAULTS: [&str; 6] = ["connect", "reset", "timeout", "502", "503", "504"];

/// Faults that count unless the route names others.
const FAULTS_DEFAULT: [&str; 3] = ["connect", "reset", "503"];

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetriesFile {
    /// Most retries of one request.
    #[serde(default = "default_most")]
    most: u64,
    /// Outcomes that are tried again: `connect`, `reset`, `timeout`, `502`, `503`, `504`.
    #[schemars(with = "Option<Vec<crate::config::schema::Text>>")]
    on: Option<Vec<String>>,
    /// Longest silence of a server within one try but the last.
    per_try_timeout_ms: Option<u64>,
}

impl RouteCheck<'_, '_> {
    /// The retries of the route; none if it has no such section.
    pub(super) fn retries(&self) -> Option<Retries> {
        let file = self.file.retries.as_ref()?;
        self.check.inside("retries", || {
            let most = self.within("most", Some(file.most), 0, MOST);
            let per_try = self.within("per_try_timeout_ms", file.per_try_timeout_ms, 1, TIMEOUT_MAX_MS);
            let mut on = RetryOn::default();
            match &file.on {
                None => FAULTS_DEFAULT.into_iter().for_each(|fault| add(&mut on, fault)),
                Some(named) => self.each("on", named, fault).for_each(|fault| add(&mut on, fault)),
            }
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or_default();
            Some(Retries { most, on, per_try: per_try.map(Duration::from_millis) })
        })
    }
}

const fn default_most() -> u64 {
    1
}

/// A fault that is known by this name.
fn fault(name: &str) -> Result<&'static str, String> {
    FAULTS.into_iter().find(|known| *known == name).ok_or_else(|| {
        let meant = did_you_mean(name, FAULTS);
        format!("{} is not a fault that can be tried again: use some of {}{meant}", quoted(name), FAULTS.join(", "))
    })
}

fn add(on: &mut RetryOn, fault: &str) {
    match fault {
        "connect" => on.connect = true,
        "reset" => on.reset = true,
        "timeout" => on.timeout = true,
        "502" => on.bad_gateway = true,
        "503" => on.unavailable = true,
        _ => on.gateway_timeout = true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<Retries>, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].retries.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn retries_are_read_as_written_and_have_defaults() {
        assert_eq!(of("").unwrap(), None);
        let defaults = of(", retries: {}").unwrap().unwrap();
        assert_eq!((defaults.most, defaults.per_try), (1, None));
        assert_eq!(defaults.on, RetryOn { connect: true, reset: true, unavailable: true, ..RetryOn::default() });
        let all = "retries: { most: 3, on: [connect, reset, timeout, 502, 503, 504], per_try_timeout_ms: 250 }";
        let all = of(&format!(", {all}")).unwrap().unwrap();
        assert_eq!((all.most, all.per_try), (3, Some(Duration::from_millis(250))));
        assert!([502, 503, 504].iter().all(|status| all.on.covers(*status)) && !all.on.covers(500));
        assert!(all.on.connect && all.on.reset && all.on.timeout);
        assert_eq!(of(", retries: { on: [] }").unwrap().unwrap().on, RetryOn::default());
    }

    #[test]
    fn faults_of_retries_name_place_and_reason() {
        let faults = [
            ("most: 11", "must be between 0 and 10"),
            ("per_try_timeout_ms: 0", "must be between 1 and 3600000"),
            ("on: [500]", "`500` is not a fault that can be tried again"),
            ("on: [conect]", "did you mean `connect`?"),
            ("tries: 3", "`tries` is not a setting here"),
        ];
        for (retries, reason) in faults {
            let told = of(&format!(", retries: {{ {retries} }}")).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{retries}: {told}");
        }
        let several = of(", retries: { most: 11, on: [500, 501], per_try_timeout_ms: 0 }").unwrap_err();
        assert_eq!(several.matches("gateway.yaml:3:").count(), 4, "{several}");
    }
}
