//! The settings `public` and `public_per_minute` of a route: open to everybody, without a key.

use super::route::RouteCheck;
use crate::route::Public;

/// Most requests a minute that `public_per_minute` can allow.
const PER_MINUTE_MAX: u64 = 1_000_000;

/// Settings that say something of a key, of its tenant, or of what the tenant is billed.
const FOR_TENANTS: [&str; 9] =
    ["scope", "meter", "units", "billable", "bill", "limits", "upgrade", "upgrade_units", "client_certificates"];

impl RouteCheck<'_, '_> {
    /// The settings of a public route; none if callers need a key.
    pub(super) fn public(&self) -> Option<Public> {
        let per_minute = self.within("public_per_minute", self.file.public_per_minute, 1, PER_MINUTE_MAX);
        if !self.file.public {
            if per_minute.is_some() {
                self.refuse(
                    "public_per_minute",
                    "`public_per_minute` limits public routes: add `public: true`, or use `limits`",
                );
            }
            return None;
        }
        for setting in FOR_TENANTS.into_iter().filter(|setting| self.check.has(setting)) {
            let reason = format!(
                "`{setting}` needs a caller with a key, and `public: true` serves everybody without one: remove one of \
                 them{}",
                if setting == "limits" { "; `public_per_minute` limits each address" } else { "" }
            );
            self.refuse(setting, &reason);
        }
        Some(Public { per_minute: per_minute.and_then(|requests| u32::try_from(requests).ok()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<Public>, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].public.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn routes_need_a_key_unless_they_are_public() {
        assert_eq!(of(""), Ok(None));
        assert_eq!(of(", public: false, units: { fixed: 3 }"), Ok(None));
        assert_eq!(of(", public: true"), Ok(Some(Public { per_minute: None })));
        let limited = of(", public: true, public_per_minute: 60, timeout_ms: 5, strip_prefix: true").unwrap().unwrap();
        assert_eq!(limited.per_minute, Some(60));
    }

    #[test]
    fn settings_that_need_a_tenant_are_refused_all_at_once() {
        let all = "scope: read\n    meter: tokens\n    units: { fixed: 2 }\n    billable: ['2xx']\n    bill: on_answer\n    \
                   limits: { per_second: 5 }\n    upgrade: [websocket]\n    upgrade_units: { messages: both }\n    \
                   client_certificates: true\n";
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - name: a\n    path_prefix: /\n    upstream: a\n    public: true\n    {all}"
        );
        let told = Settings::parse(&text, "gateway.yaml", &Overrides::default()).unwrap_err().to_string();
        for (line, setting) in (7..).zip(FOR_TENANTS) {
            let is_told = told.lines().any(|told| {
                told.starts_with(&format!("gateway.yaml:{line}:"))
                    && told.contains(&format!("route `a`: `{setting}` needs a caller with a key"))
            });
            assert!(is_told, "{line} {setting}\n{told}");
        }
        assert_eq!(told.matches("gateway.yaml:").count(), FOR_TENANTS.len(), "{told}");
        for (fields, reason) in [
            (", public_per_minute: 5", "add `public: true`"),
            (", public: true, public_per_minute: 0", "must be between 1 and 1000000"),
            (", public: yes", "is not `true` or `false`"),
        ] {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
