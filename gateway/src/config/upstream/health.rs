//! The section `health` of an upstream: how its servers are checked.

use std::time::Duration;

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Statuses;
use crate::config::check::{Check, is_path};

/// Longest name of a service of gRPC, in bytes.
const SERVICE_MAX_BYTES: usize = 256;

/// Health checks of the servers of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Time from the end of one check to the next.
    pub interval: Duration,
    /// Longest time for one check.
    pub timeout: Duration,
    /// Checks in a row that fail until a server counts as down.
    pub unhealthy_after: u32,
    /// Checks in a row that succeed until a server that was down counts as up.
    pub healthy_after: u32,
    /// The question to a server once a connection is made, and a handshake if it speaks TLS.
    pub question: Question,
    /// The name of the host in checks, instead of the server's own.
    pub host: Option<String>,
}

/// The question of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// None: a connection is enough.
    Connection,
    /// A path, which must answer with one of the statuses.
    Http {
        /// The path.
        path: String,
        /// Good statuses.
        statuses: Statuses,
    },
    /// The health protocol of gRPC, for a service or, if it has no name, for the whole server.
    Grpc {
        /// The service.
        service: String,
    },
}

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HealthFile {
    /// Time between two checks.
    interval_seconds: u64,
    /// Longest wait for an answer.
    timeout_ms: u64,
    /// Failed checks in a row until a server is down.
    unhealthy_after: u32,
    /// Good checks in a row until it is up again.
    healthy_after: u32,
    /// The path that is asked for; without it, connecting suffices.
    path: Option<String>,
    /// Statuses that are healthy.
    #[schemars(with = "Option<Vec<crate::config::schema::Text>>")]
    statuses: Option<Vec<String>>,
    /// Name of the service that gRPC's health protocol is asked for.
    grpc: Option<String>,
    /// The `Host` of checks.
    host: Option<String>,
}

impl Default for HealthFile {
    fn default() -> Self {
        Self {
            interval_seconds: 2,
            timeout_ms: 2_000,
            unhealthy_after: 3,
            healthy_after: 2,
            path: None,
            statuses: None,
            grpc: None,
            host: None,
        }
    }
}

impl Check<'_> {
    pub(super) fn health(&self, file: &HealthFile) -> Result<HealthSettings, ConfigError> {
        let is_authority = |host: &str| !host.contains('@') && host.parse::<http::uri::Authority>().is_ok();
        if let Some(host) = file.host.as_ref().filter(|host| !is_authority(host)) {
            self.note(self.at("host", host, "is not a host: write it as in api.example.com or api.example.com:8080"));
        }
        if file.host.is_some() && file.path.is_none() && file.grpc.is_none() && !self.is_unusable() {
            self.note(self.about("host", "`health.host` needs `health.path`: without it, no request is sent"));
        }
        Ok(HealthSettings {
            interval: self.within("interval_seconds", file.interval_seconds, 1, 3_600).map(Duration::from_secs)?,
            timeout: self.within("timeout_ms", file.timeout_ms, 1, 60_000).map(Duration::from_millis)?,
            unhealthy_after: self.within("unhealthy_after", file.unhealthy_after, 1, 100)?,
            healthy_after: self.within("healthy_after", file.healthy_after, 1, 100)?,
            question: self.question(file),
            host: file.host.clone(),
        })
    }

    fn question(&self, file: &HealthFile) -> Question {
        if let Some(path) = file.path.as_ref().filter(|path| !is_path(path)) {
            self.note(self.at("path", path, "is not a path: write it as in /health"));
        }
        let statuses = file.statuses.as_ref().map(|statuses| self.statuses("statuses", statuses));
        if file.statuses.as_ref().is_some_and(Vec::is_empty) && !self.is_unusable() {
            self.note(self.about("statuses", "`health.statuses` is empty: name the good ones, as in [2xx, 401]"));
        }
        if statuses.is_some() && file.path.is_none() && !self.is_unusable() {
            self.note(self.about("statuses", "`health.statuses` needs `health.path`: without it, no request is sent"));
        }
        match (&file.path, &file.grpc) {
            (Some(_), Some(_)) => {
                self.note(self.about("grpc", "`health.grpc` and `health.path` are two questions: use one of them"));
                Question::Connection
            }
            (Some(path), None) => {
                let statuses = statuses.unwrap_or_else(Statuses::success);
                Question::Http { path: path.clone(), statuses }
            }
            (None, Some(service)) => {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                if service.len() > SERVICE_MAX_BYTES || !service.bytes().all(is_name) {
                    self.note(self.at("grpc", service, "is not a service: write it as in search.v1.Search, or \"\""));
                }
                Question::Grpc { service: service.clone() }
            }
            (None, None) => Question::Connection,
        }
    }
}
