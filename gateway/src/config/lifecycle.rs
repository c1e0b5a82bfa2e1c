//! The settings of a route about the life of a request: `on_abort`, `bill` and `upgrade`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::RouteCheck;
use crate::route::{ABORT_BYTES, Bill, Lifecycle, OnAbort, Patience, UPGRADE_IDLE_SECONDS, Upgrade};

/// Longest time that these settings may state, in seconds.
const LONGEST_SECONDS: u64 = 86_400;

/// Protocols that carry requests of their own, which nobody would authenticate, limit or bill.
const NOT_TUNNELLED: [&str; 3] = ["h2c", "http", "tls"];

/// `on_abort` as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnAbortFile {
    Cancel,
    #[default]
    Finish,
}

impl RouteCheck<'_, '_> {
    /// The life of a request on the route, whose upstream may be silent for so long. Every fault is
    /// noted.
    pub(super) fn lifecycle(&self, silence: Duration) -> Lifecycle {
        Lifecycle { on_abort: self.on_abort(silence), bill: self.bill(), upgrade: self.upgrade() }
    }

    fn on_abort(&self, silence: Duration) -> OnAbort {
        let (time, bytes) = (self.file.abort_timeout_ms, self.file.abort_bytes);
        if self.file.on_abort == OnAbortFile::Finish {
            let time = self.within("abort_timeout_ms", time, 1, LONGEST_SECONDS * 1_000);
            let (time, bytes) = (time.map_or(silence, Duration::from_millis), bytes.unwrap_or(ABORT_BYTES));
            return OnAbort::Finish(Patience { time, bytes });
        }
        for (field, is_set) in [("abort_timeout_ms", time.is_some()), ("abort_bytes", bytes.is_some())] {
            if is_set {
                self.refuse(field, &format!("`{field}` belongs to `on_abort: finish`: remove it"));
            }
        }
        OnAbort::Cancel
    }

    fn bill(&self) -> Bill {
        let file = self.file;
        if file.bill == Bill::OnDispatch && (file.units.header.is_some() || file.units.bytes.is_some()) {
            let reason = "`bill: on_dispatch` records units before there is an answer: use `units: { fixed: .. }`, or \
                          `bill: on_answer`";
            self.refuse("bill", reason);
        }
        if file.bill == Bill::OnDispatch && file.billable.is_some() {
            let reason = "`billable` looks at the status of the answer, and `bill: on_dispatch` bills before there is \
                          one: remove one of them";
            self.refuse("billable", reason);
        }
        if file.bill == Bill::OnDispatch && self.asks_http2() {
            let reason = "`bill: on_dispatch` gives each request a connection of its own, and the upstream's `protocol` \
                          is http2: use http1";
            self.refuse("bill", reason);
        }
        file.bill
    }

    fn upgrade(&self) -> Upgrade {
        let idle = self.within("upgrade_idle_seconds", self.file.upgrade_idle_seconds, 1, LONGEST_SECONDS);
        if !self.file.upgrade.is_empty() && self.asks_http2() {
            let reason = "`upgrade` needs HTTP/1.1, and the upstream's `protocol` is http2: use http1";
            self.refuse("upgrade", reason);
        }
        let protocols = self.each("upgrade", &self.file.upgrade, protocol).collect();
        let idle = Duration::from_secs(idle.unwrap_or(UPGRADE_IDLE_SECONDS));
        Upgrade { protocols, idle, units: self.upgrade_units() }
    }
}

fn protocol(name: &str) -> Result<Box<str>, String> {
    let lower = name.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    if !(1..=64).contains(&lower.len()) || !lower.bytes().all(is_token) {
        return Err(format!("upgrade: `{name}` is not the name of a protocol: write it as in [websocket]"));
    }
    if NOT_TUNNELLED.contains(&lower.split('/').next().unwrap_or_default()) {
        return Err(format!(
            "upgrade: `{name}` would carry requests that nobody authenticates or bills: it cannot be allowed"
        ));
    }
    Ok(lower.into())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::{
        config::{Overrides, Settings},
        route::{Side, UpgradeCount, UpgradeUnits},
    };

    fn of(fields: &str) -> Result<Lifecycle, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'], read_timeout_ms: 7000 }} }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].lifecycle.clone()).map_err(|error| error.to_string())
    }

    fn patience(fields: &str) -> Option<(u64, u64)> {
        match of(fields).unwrap().on_abort {
            OnAbort::Cancel => None,
            OnAbort::Finish(Patience { time, bytes }) => Some((u64::try_from(time.as_millis()).unwrap(), bytes)),
        }
    }

    #[test]
    fn request_is_finished_for_as_long_as_its_upstream_may_be_silent_unless_the_route_says_otherwise() {
        assert_eq!(patience(""), Some((7_000, ABORT_BYTES)));
        assert_eq!(patience(", timeout_ms: 90000"), Some((90_000, ABORT_BYTES)));
        assert_eq!(patience(", on_abort: finish, abort_timeout_ms: 5, abort_bytes: 0"), Some((5, 0)));
        assert_eq!(patience(", on_abort: cancel"), None);
        assert_eq!(of("").unwrap().bill, Bill::OnAnswer);
        assert_eq!(of(", bill: on_dispatch").unwrap().bill, Bill::OnDispatch);
    }

    #[test]
    fn protocols_are_named_in_any_case() {
        let upgrade = of(", upgrade: [WebSocket, x-feed/2], upgrade_idle_seconds: 20").unwrap().upgrade;
        assert_eq!(upgrade.protocols.iter().map(|name| &**name).collect::<Vec<_>>(), ["websocket", "x-feed/2"]);
        assert_eq!(upgrade.idle, Duration::from_secs(20));
        assert_eq!(of("").unwrap().upgrade, Upgrade::default());
    }

    #[test]
    fn upgrade_units_are_messages_or_bytes_of_either_side() {
        let units =
            |text: &str| of(&format!(", upgrade: [websocket], upgrade_units: {text}")).unwrap().upgrade.units.unwrap();
        let by = |per| UpgradeCount::Bytes { per: NonZeroU64::new(per).unwrap() };
        let cases = [
            ("{ messages: client }", UpgradeCount::Messages, Side::Client),
            ("{ messages: both }", UpgradeCount::Messages, Side::Both),
            ("{ bytes: server }", by(1), Side::Server),
            ("{ bytes: both, per: 1024 }", by(1024), Side::Both),
        ];
        for (text, count, from) in cases {
            assert_eq!(units(text), UpgradeUnits { count, from }, "{text}");
        }
    }

    #[test]
    fn faults_name_line_and_reason() {
        let faults = [
            (", on_abort: ignore", "is not one of"),
            (", on_abort: cancel, abort_bytes: 5", "belongs to `on_abort: finish`"),
            (", abort_timeout_ms: 0", "between 1 and 86400000"),
            (", bill: later", "is not one of"),
            (", bill: on_dispatch, units: { header: X-Units }", "before there is an answer"),
            (", bill: on_dispatch, units: { bytes: both }", "before there is an answer"),
            (", upgrade: [websocket], units: { bytes: both }", "say what it costs with `upgrade_units`"),
            (", units: { bytes: all }", "is not one of"),
            (", units: { bytes: both, per: 0 }", "between 1 and"),
            (", units: { bytes: both, fixed: 1 }", "is either"),
            (", units: { fixed: 1, per: 2 }", "`per` belongs to"),
            (", bill: on_dispatch, billable: ['200']", "looks at the status"),
            (", upgrade: [h2c]", "cannot be allowed"),
            (", upgrade: [HTTP/2.0]", "cannot be allowed"),
            (", upgrade: [TLS/1.0]", "cannot be allowed"),
            (", upgrade: ['web socket']", "not the name of a protocol"),
            (", upgrade: ['']", "not the name of a protocol"),
            (", upgrade_idle_seconds: 0", "between 1 and 86400"),
            (", upgrade_units: { messages: both }", "needs `upgrade: [websocket]`"),
            (", upgrade: [websocket, x-feed], upgrade_units: { messages: both }", "no other protocol"),
            (", upgrade: [websocket], upgrade_units: {}", "is either"),
            (", upgrade: [websocket], upgrade_units: { messages: both, bytes: both }", "is either"),
            (", upgrade: [websocket], upgrade_units: { messages: both, per: 2 }", "is either"),
            (", upgrade: [websocket], upgrade_units: { bytes: all }", "is not one of"),
            (", upgrade: [websocket], upgrade_units: { bytes: both, per: 0 }", "between 1 and"),
            (", bill: on_dispatch, upgrade: [websocket], upgrade_units: { bytes: both }", "before anything has"),
        ];
        for (fields, reason) in faults {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3") && told.contains(reason), "{fields}: {told}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once_each_in_its_place() {
        let text = "\
upstreams: { a: { servers: ['127.0.0.1:1'] } }
routes:
  - name: a
    path_prefix: /
    upstream: elsewhere
    on_abort: cancel
    abort_timeout_ms: 0
    abort_bytes: 5
    bill: on_dispatch
    units: { header: X-Units }
    billable: ['2xx', '6xx', '9xx']
    upgrade: [h2c, websocket, TLS/1.0]
    upgrade_idle_seconds: 0
    timeout_ms: 0
";
        let told = Settings::parse(text, "gateway.yaml", &Overrides::default()).unwrap_err().to_string();
        let expected = [
            "5:15: route `a`: upstream `elsewhere` is not defined",
            "7:23: route `a`: `abort_timeout_ms` belongs to `on_abort: finish`",
            "8:18: route `a`: `abort_bytes` belongs to `on_abort: finish`",
            "9:11: route `a`: `bill: on_dispatch` records units",
            "11:5: route `a`: `billable` looks at the status",
            "11:23: route `a`: `6xx` is not a status",
            "11:30: route `a`: `9xx` is not a status",
            "12:15: route `a`: upgrade: `h2c`",
            "12:31: route `a`: upgrade: `TLS/1.0`",
            "13:27: route `a`: `upgrade_idle_seconds` must be between 1 and 86400",
            "14:17: route `a`: `timeout_ms` must be between 1 and 3600000",
        ];
        for expected in expected {
            assert!(told.contains(&format!("gateway.yaml:{expected}")), "{expected}\n{told}");
        }
        assert_eq!(told.lines().filter(|line| line.starts_with("gateway.yaml:")).count(), expected.len(), "{told}");
    }
}
