//! The file as a whole: every section is checked, so that all faults are told at once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use common::{config::ConfigError, usage::StreamId};

use super::{
    Overrides, ProcessSettings, Settings, SizeLimits, UpstreamSettings,
    check::{Check, THREADS_MAX},
    file::{GatewayFile, LimitsFile},
    upstream::file::UpstreamFile,
};

/// Longest path of a socket, in bytes: the operating system's limit.
const SOCKET_PATH_MAX_BYTES: usize = 107;

impl Check<'_> {
    /// The settings, if all of the file makes sense.
    pub(super) fn settings(&self, file: GatewayFile, overrides: &Overrides) -> Option<Settings> {
        let sizes = self.inside("limits", || self.noted(self.sizes(&file.limits)));
        let clients = self.clients(&file.trusted_proxies, &file.limits.failed_credentials);
        let connections = self.inside("connections", || self.noted(self.connections(&file.connections)));
        let http2 = self.inside("http2", || self.noted(self.http2(&file.http2)));
        let upstreams = self.inside("upstreams", || self.upstreams(&file));
        let token_issuers = self.inside("token_issuers", || self.token_issuers(&file.token_issuers));
        let routes = self.inside("routes", || self.routes(&file.routes, &upstreams, &file.limits));
        let authorities = self.inside("acme", || self.authorities(&file.acme));
        let listeners = self.listeners(file.listen.as_ref(), file.listeners.as_ref(), &authorities);
        let authorities = self.orders(authorities, &listeners);
        let listen: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
        let process = self.noted(self.process(file, listen, overrides)).flatten();
        Some(Settings {
            process: process?,
            listeners,
            sizes: sizes?,
            clients,
            connections: connections?,
            http2: http2?,
            upstreams,
            authorities,
            token_issuers,
            routes,
            warnings: self.warnings(),
        })
    }

    fn process(
        &self,
        file: GatewayFile,
        listen: Vec<SocketAddr>,
        overrides: &Overrides,
    ) -> Result<Option<ProcessSettings>, ConfigError> {
        let threads = match file.threads {
            None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            Some(threads) => self.within("threads", threads, 1, THREADS_MAX)?,
        };
        let admin = self.address("admin", &file.admin)?;
        if listen.contains(&admin) && admin.port() != 0 {
            self.note(self.at("admin", &file.admin, "is the same address as `listen`: use another port"));
        }
        let admin_tls = self.process_tls("admin_tls", file.admin_tls.as_ref(), "http/1.1");
        let taken: Vec<SocketAddr> = listen.iter().copied().chain([admin]).collect();
        let name = match file.name {
            None => host_name(),
            Some(name) => {
                if StreamId::new(&name, 0, 0).is_err() {
                    self.note(self.at("name", &name, "use 1 to 128 characters of A-Z, a-z, 0-9, - _ and ."));
                }
                name
            }
        };
        let store = overrides.store.clone().unwrap_or(file.store);
        let redis = file.limits.redis;
        let bank = self.inside("limits", || self.inside("redis", || self.noted(self.bank(redis, overrides))));
        let usage = self.inside("usage", || self.noted(self.usage(file.usage, overrides)));
        let decision = self.inside("decision", || self.noted(self.decision(file.decision, threads, &taken)));
        let journal = usage.as_ref().map_or(Path::new(""), |usage| &usage.journal);
        let upgrade_socket = self.noted(self.upgrade_socket(file.upgrade_socket, journal, &name));
        let snapshot = self.noted(self.snapshot(file.snapshot, journal, &name));
        let drain = self.within("upgrade_drain_seconds", file.upgrade_drain_seconds, 1, 3_600)?;
        let idle_connections = self.within("idle_connections", file.idle_connections, 1, 1_000_000)?;
        let drain_delay = self.within("drain_delay_seconds", file.drain_delay_seconds, 0, 600)?;
        let (Some(bank), Some(usage), Some(decision)) = (bank, usage, decision) else { return Ok(None) };
        let (Some(upgrade_socket), Some(snapshot)) = (upgrade_socket, snapshot) else { return Ok(None) };
        Ok(Some(ProcessSettings {
            name,
            listen,
            admin,
            admin_tls,
            threads,
            store,
            pepper_file: file.pepper_file,
            bank,
            usage,
            decision,
            upgrade_socket,
            snapshot,
            upgrade_drain: Duration::from_secs(drain),
            idle_connections,
            drain_delay: Duration::from_secs(drain_delay),
        }))
    }

    /// One per gateway, by default in its journal: what it takes over goes with it.
    fn upgrade_socket(&self, path: Option<PathBuf>, journal: &Path, name: &str) -> Result<PathBuf, ConfigError> {
        let path = path.unwrap_or_else(|| journal.join(format!("{name}.upgrade")));
        let text = path.to_string_lossy();
        if path.file_name().is_none() {
            return Err(self.at("upgrade_socket", &text, "is not a file: write it as in data/gateway.upgrade"));
        }
        if text.len() > SOCKET_PATH_MAX_BYTES {
            let reason = format!("is too long for a socket: use at most {SOCKET_PATH_MAX_BYTES} bytes");
            return Err(self.at("upgrade_socket", &text, &reason));
        }
        Ok(path)
    }

    /// One per gateway, by default in its journal.
    fn snapshot(&self, path: Option<PathBuf>, journal: &Path, name: &str) -> Result<PathBuf, ConfigError> {
        let path = path.unwrap_or_else(|| journal.join(format!("{name}.snapshot")));
        if path.file_name().is_none() {
            let text = path.to_string_lossy();
            return Err(self.at("snapshot", &text, "is not a file: write it as in data/catalog.snapshot"));
        }
        Ok(path)
    }

    fn sizes(&self, limits: &LimitsFile) -> Result<SizeLimits, ConfigError> {
        // Pingora itself reads no request header beyond 1 MiB.
        Ok(SizeLimits {
            header_bytes: self.within("header_bytes", limits.header_bytes, 1_024, 1_048_575)?,
            header_value_bytes: self.within("header_value_bytes", limits.header_value_bytes, 256, 1_048_575)?,
            path_bytes: self.within("path_bytes", limits.path_bytes, 64, 65_535)?,
            body_bytes: limits.body_bytes,
        })
    }

    fn upstreams(&self, file: &GatewayFile) -> Vec<Arc<UpstreamSettings>> {
        let upstream = |(name, upstream): (&String, &UpstreamFile)| {
            self.inside(name.as_str(), || self.noted(self.upstream(name, upstream)).map(Arc::new))
        };
        file.upstreams.iter().filter_map(upstream).collect()
    }
}

/// This machine's name, made fit for the name of a stream.
fn host_name() -> String {
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit: String = known
        .trim()
        .chars()
        .take(64)
        .map(|letter| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' })
        .collect();
    if fit.is_empty() { "gateway".into() } else { fit }
}
