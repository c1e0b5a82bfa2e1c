//! The section `decision`: where others ask whether a request may pass, and what may be reserved.

use std::{net::SocketAddr, time::Duration};

use common::{config::ConfigError, tls::TlsFile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ProcessTls,
    check::{Check, THREADS_MAX},
};

/// The value that switches a listener off.
const OFF: &str = "off";

/// Longest life of a reservation, in seconds.
const RESERVATION_MAX_SECONDS: u64 = 3_600;

/// Most reservations at once; each takes some hundreds of bytes.
const RESERVATIONS_MAX: usize = 10_000_000;

/// Part of the reservations that one key may have open, unless the file says otherwise.
const KEY_SHARE: usize = 10;

/// Fewest that the share of a key is, where so many may be reserved.
const KEY_SHARE_LEAST: usize = 2;

/// Part of the reservations that one tenant may have open, unless the file says otherwise.
const TENANT_SHARE: usize = 2;

/// The section as it is written. Without it, nobody is answered.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecisionFile {
    /// Address of `POST /check` and `POST /settle`; `off` for none. (restart)
    listen: String,
    /// Address of Envoy's `RateLimitService` (v3); `off` for none. (restart)
    grpc_listen: String,
    /// TLS on both addresses. (restart)
    tls: Option<TlsFile>,
    /// Worker threads, beside those of the proxy; as many unless set. (restart)
    threads: Option<usize>,
    /// Time after which a reservation that is not settled goes back.
    reservation_seconds: u64,
    /// Most open reservations.
    reservations: usize,
    /// Most open reservations of one tenant; half of all unless set.
    reservations_per_tenant: Option<usize>,
    /// Most open reservations of one key; a tenth of all unless set.
    reservations_per_key: Option<usize>,
}

/// Most reservations that may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// In all.
    pub all: usize,
    /// Of one tenant, with all its keys.
    pub tenant: usize,
    /// Of one key.
    pub key: usize,
}

/// Listeners of the decision API, and limits on reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionSettings {
    /// Address of `POST /check` and `POST /settle`.
    pub listen: Option<SocketAddr>,
    /// Address of Envoy's `RateLimitService`, by gRPC.
    pub grpc_listen: Option<SocketAddr>,
    /// TLS on the addresses, if it is spoken.
    pub tls: Option<DecisionTls>,
    /// Threads that answer, beside those that proxy.
    pub threads: usize,
    /// Longest time between a reservation and its settlement.
    pub reservation_lasts: Duration,
    /// Most reservations at once: in all, of a tenant and of a key.
    pub shares: Shares,
}

/// TLS on the addresses of the decision API: the same files, and a protocol each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionTls {
    /// For `POST /check` and `POST /settle`, by HTTP/1.1.
    pub http: ProcessTls,
    /// For Envoy's `RateLimitService`, by HTTP/2.
    pub grpc: ProcessTls,
}

impl Default for DecisionFile {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8081".into(),
            grpc_listen: OFF.into(),
            tls: None,
            threads: None,
            reservation_seconds: 60,
            reservations: 100_000,
            reservations_per_tenant: None,
            reservations_per_key: None,
        }
    }
}

impl Check<'_> {
    /// The section's settings; none if nobody is to be answered. `threads` is how many proxy,
    /// `taken` is where others than this section listen.
    pub(super) fn decision(
        &self,
        file: Option<DecisionFile>,
        threads: usize,
        taken: &[SocketAddr],
    ) -> Result<Option<DecisionSettings>, ConfigError> {
        let Some(file) = file else {
            return Ok(None);
        };
        let listen = self.listener("listen", &file.listen, taken)?;
        let with_listen: Vec<SocketAddr> = taken.iter().copied().chain(listen).collect();
        let grpc_listen = self.listener("grpc_listen", &file.grpc_listen, &with_listen)?;
        let tls = |protocol| self.process_tls("tls", file.tls.as_ref(), protocol);
        let tls = tls("http/1.1").and_then(|http| Some(DecisionTls { http, grpc: tls("h2")? }));
        let threads = match file.threads {
            None => threads,
            Some(threads) => self.within("threads", threads, 1, THREADS_MAX)?,
        };
        let seconds = self.within("reservation_seconds", file.reservation_seconds, 1, RESERVATION_MAX_SECONDS)?;
        let shares = self.shares(&file)?;
        if listen.is_none() && grpc_listen.is_none() {
            return Ok(None);
        }
        let reservation_lasts = Duration::from_secs(seconds);
        Ok(Some(DecisionSettings { listen, grpc_listen, tls, threads, reservation_lasts, shares }))
    }

    /// Returns the most reservations that may be open at once. The share of a tenant is at least
    /// that of a key.
    fn shares(&self, file: &DecisionFile) -> Result<Shares, ConfigError> {
        let all = self.within("reservations", file.reservations, 1, RESERVATIONS_MAX)?;
        let key = match file.reservations_per_key {
            Some(key) => self.within("reservations_per_key", key, 1, all)?,
            None => (all / KEY_SHARE).max(KEY_SHARE_LEAST).min(all),
        };
        let tenant = match file.reservations_per_tenant {
            Some(tenant) => self.within("reservations_per_tenant", tenant, 1, all)?,
            None => (all / TENANT_SHARE).max(key),
        };
        Ok(Shares { all, tenant, key: key.min(tenant) })
    }

    /// The address behind a setting; none if it is switched off.
    fn listener(&self, field: &str, value: &str, taken: &[SocketAddr]) -> Result<Option<SocketAddr>, ConfigError> {
        if value == OFF {
            return Ok(None);
        }
        let address = self.address(field, value)?;
        if address.port() != 0 && taken.contains(&address) {
            self.note(self.at(field, value, "is the same address as another listener's: use another port"));
        }
        Ok(Some(address))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn parse(section: &str) -> Result<Option<DecisionSettings>, String> {
        fixture::parse(&format!("{section}threads: 3\n")).map(|settings| settings.process.decision)
    }

    #[test]
    fn missing_settings_have_defaults() {
        let defaults = DecisionSettings {
            listen: Some("127.0.0.1:8081".parse().unwrap()),
            grpc_listen: None,
            tls: None,
            threads: 3,
            reservation_lasts: Duration::from_mins(1),
            shares: Shares { all: 100_000, tenant: 50_000, key: 10_000 },
        };
        assert_eq!(parse("decision: {}\n").unwrap(), Some(defaults.clone()));
        let grpc_alone =
            DecisionSettings { listen: None, grpc_listen: Some("[::1]:18081".parse().unwrap()), ..defaults };
        let found = parse("decision:\n  listen: off\n  grpc_listen: '[::1]:18081'\n").unwrap();
        assert_eq!(found, Some(grpc_alone));
    }

    #[test]
    fn shares_of_reservations_are_parts_of_all_unless_the_file_says_otherwise() {
        let shares = |all, tenant, key| Shares { all, tenant, key };
        let cases = [
            ("reservations: 1000", shares(1_000, 500, 100)),
            ("reservations: 4", shares(4, 2, 2)),
            ("reservations: 1", shares(1, 1, 1)),
            ("reservations: 10, reservations_per_key: 8", shares(10, 8, 8)),
            ("reservations: 10, reservations_per_tenant: 3, reservations_per_key: 8", shares(10, 3, 3)),
        ];
        for (fields, expected) in cases {
            let found = parse(&format!("decision: {{ {fields} }}\n")).unwrap().unwrap();
            assert_eq!(found.shares, expected, "{fields}");
        }
    }

    #[test]
    fn missing_section_switches_decision_api_off() {
        for section in ["", "decision:\n", "decision: { listen: off }\n"] {
            assert_eq!(parse(section).unwrap(), None, "{section}");
        }
    }

    #[test]
    fn faults_name_file_line_and_reason() {
        let faults = [
            ("decision:\n  listen: localhost\n", 2, "is not an address"),
            ("decision:\n  grpc_listen: on\n", 2, "is not an address"),
            ("listen: 127.0.0.1:1\ndecision:\n  grpc_listen: 127.0.0.1:1\n", 3, "use another port"),
            ("decision:\n  listen: 127.0.0.1:2\n  grpc_listen: 127.0.0.1:2\n", 3, "use another port"),
            ("decision:\n  listen: 127.0.0.1:9901\n", 2, "use another port"),
            ("decision:\n  threads: 0\n", 2, "must be between 1 and 1024"),
            ("decision:\n  reservation_seconds: 0\n", 2, "must be between 1 and 3600"),
            ("decision:\n  reservation_seconds: -1\n", 2, "is not a whole number, 0 or more"),
            ("decision:\n  reservations: 0\n", 2, "must be between 1 and 10000000"),
            ("decision:\n  reservations: 5\n  reservations_per_key: 6\n", 3, "must be between 1 and 5"),
            ("decision:\n  reservations_per_tenant: 0\n", 2, "must be between 1 and 100000"),
            ("decision:\n  port: 8081\n", 2, "is not a setting here"),
        ];
        for (section, line, reason) in faults {
            let told = parse(section).unwrap_err();
            assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{section}: {told}");
            assert!(told.contains(reason), "{section}: {told}");
        }
    }
}
