//! The settings `units` and `upgrade_units` of a route: what an answer costs, and what passes on a
//! WebSocket.

use std::num::NonZeroU64;

use common::config::quoted;
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::RouteCheck;
use crate::route::{Bill, Bodies, Side, UNITS_MAX, Units, UpgradeCount, UpgradeUnits};

/// `{ fixed: 1 }`, `{ header: X-Usage-Units, default: 1 }`, or `{ bytes: both, per: 1024 }`.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitsFile {
    /// Units of every answer.
    pub(super) fixed: Option<u64>,
    /// The header of the answer that says the units.
    pub(super) header: Option<String>,
    /// Units that count where that header is missing or not usable; 1 unless set.
    pub(super) default: Option<u64>,
    /// The bodies whose bytes cost units, as they are on the wire: `request`, `response` or `both`.
    pub(super) bytes: Option<Bodies>,
    /// Bytes of one unit, rounded up for each body; 1 unless set.
    pub(super) per: Option<u64>,
}

/// `{ messages: both }`, or `{ bytes: both, per: 1024 }`.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpgradeUnitsFile {
    /// The side whose messages cost a unit each: `client`, `server` or `both`. Control frames cost
    /// nothing.
    messages: Option<Side>,
    /// The side whose payload bytes cost units, as they are on the wire.
    bytes: Option<Side>,
    /// Bytes of one unit, rounded up in each direction of a connection; 1 unless set.
    per: Option<u64>,
}

impl RouteCheck<'_, '_> {
    /// The units of an answer, unless the settings contradict each other.
    pub(super) fn units(&self) -> Option<Units> {
        let UnitsFile { fixed, header, default, bytes, per } = &self.file.units;
        let bounded = |field: &str, units: u64| {
            let told = || self.within(field, Some(units), 0, UNITS_MAX);
            self.check.inside("units", told).unwrap_or(units)
        };
        match (*fixed, header, *default, *bytes) {
            (_, _, _, None) if per.is_some() => {
                self.refuse("units", "`per` belongs to `units: { bytes: .. }`: remove it");
                None
            }
            (None, None, None, None) => Some(Units::Fixed(1)),
            (None, None, None, Some(bodies)) => {
                let told = || self.within("per", *per, 1, UNITS_MAX).and_then(NonZeroU64::new);
                let per = self.check.inside("units", told).unwrap_or(NonZeroU64::MIN);
                self.check_bytes();
                Some(Units::Bytes { bodies, per })
            }
            (Some(fixed), None, None, None) => Some(Units::Fixed(bounded("fixed", fixed))),
            (None, Some(header), default, None) => {
                let default = bounded("default", default.unwrap_or(1));
                let Ok(name) = header.parse::<HeaderName>() else {
                    let reason = format!("{} is not the name of a header", quoted(header));
                    self.check.inside("units", || self.refuse("header", &reason));
                    return None;
                };
                Some(Units::Header { name, default })
            }
            _ => {
                let reason = "`units` is either { fixed: 1 }, { header: X-Usage-Units, default: 1 } or { bytes: both, \
                              per: 1024 }";
                self.refuse("units", reason);
                None
            }
        }
    }

    /// Checks that the bytes of bodies can be counted.
    fn check_bytes(&self) {
        if !self.file.upgrade.is_empty() && self.file.upgrade_units.is_none() {
            let reason = "`units` of bytes count bodies, and an upgraded connection has none: say what it costs with \
                          `upgrade_units`";
            self.refuse("units", reason);
        }
    }

    /// The units of what passes on a WebSocket, if they are counted.
    pub(super) fn upgrade_units(&self) -> Option<UpgradeUnits> {
        let file = self.file.upgrade_units.as_ref()?;
        if self.file.upgrade.is_empty() || !self.file.upgrade.iter().all(|name| name.eq_ignore_ascii_case("websocket"))
        {
            let reason = "`upgrade_units` counts on WebSockets: it needs `upgrade: [websocket]` and no other protocol";
            self.refuse("upgrade_units", reason);
        }
        if self.file.bill == Bill::OnDispatch {
            let reason = "`upgrade_units` bills what passes, and `bill: on_dispatch` before anything has: remove one of \
                          them";
            self.refuse("upgrade_units", reason);
        }
        let told = || self.within("per", file.per, 1, UNITS_MAX).and_then(NonZeroU64::new);
        let per = self.check.inside("upgrade_units", told).unwrap_or(NonZeroU64::MIN);
        match (file.messages, file.bytes) {
            (Some(from), None) if file.per.is_none() => Some(UpgradeUnits { count: UpgradeCount::Messages, from }),
            (None, Some(from)) => Some(UpgradeUnits { count: UpgradeCount::Bytes { per }, from }),
            _ => {
                let reason = "`upgrade_units` is either { messages: both } or { bytes: both, per: 1024 }; `client` and \
                              `server` count one side";
                self.refuse("upgrade_units", reason);
                None
            }
        }
    }
}
