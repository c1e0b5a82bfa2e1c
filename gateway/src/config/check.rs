//! Checks that look at the whole file: names that must exist or be unique, numbers that must make sense.

use std::{
    cell::RefCell,
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use common::{
    config::{ConfigError, Fault, Place, Step, Tree, quoted},
    usage::StreamId,
};

use super::{
    Overrides, ProcessSettings, Settings, SizeLimits, UpstreamSettings,
    file::{GatewayFile, LimitsFile},
    upstream::file::UpstreamFile,
};

/// Longest name of a route or an upstream.
const NAME_MAX_BYTES: usize = 64;

/// Most worker threads.
pub(super) const THREADS_MAX: usize = 1_024;

/// Longest time-out, in milliseconds.
pub(super) const TIMEOUT_MAX_MS: u64 = 3_600_000;

/// Longest path of a socket, in bytes: the operating system's limit.
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// The file being checked. Faults are noted, and checking goes on, so that all of them are told.
pub(super) struct Check<'a> {
    tree: &'a Tree,
    /// The way to the section that is being checked.
    section: RefCell<Vec<Step>>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Check<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, section: RefCell::default(), faults: RefCell::default() }
    }

    /// Everything that was noted.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

impl Check<'_> {
    /// The settings, if all of the file makes sense.
    pub(super) fn settings(&self, file: GatewayFile, overrides: &Overrides) -> Option<Settings> {
        let sizes = self.inside("limits", || self.noted(self.sizes(&file.limits)));
        let clients = self.clients(&file.trusted_proxies, &file.limits.failed_credentials);
        let connections = self.inside("connections", || self.noted(self.connections(&file.connections)));
        let upstreams = self.inside("upstreams", || self.upstreams(&file));
        let routes = self.inside("routes", || self.routes(&file.routes, &upstreams));
        let process = self.noted(self.process(file, overrides)).flatten();
        Some(Settings { process: process?, sizes: sizes?, clients, connections: connections?, upstreams, routes })
    }

    fn process(&self, file: GatewayFile, overrides: &Overrides) -> Result<Option<ProcessSettings>, ConfigError> {
        let threads = match file.threads {
            None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            Some(threads) => self.within("threads", threads, 1, THREADS_MAX)?,
        };
        let listen = self.address("listen", &file.listen)?;
        let admin = self.address("admin", &file.admin)?;
        if listen == admin && listen.port() != 0 {
            self.note(self.at("admin", &file.admin, "is the same address as `listen`: use another port"));
        }
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
        let decision = self.inside("decision", || self.noted(self.decision(file.decision, threads, &[listen, admin])));
        let journal = usage.as_ref().map_or(Path::new(""), |usage| &usage.journal);
        let upgrade_socket = self.noted(self.upgrade_socket(file.upgrade_socket, journal, &name));
        let snapshot = self.noted(self.snapshot(file.snapshot, journal, &name));
        let drain = self.within("upgrade_drain_seconds", file.upgrade_drain_seconds, 1, 3_600)?;
        let (Some(bank), Some(usage), Some(decision)) = (bank, usage, decision) else { return Ok(None) };
        let (Some(upgrade_socket), Some(snapshot)) = (upgrade_socket, snapshot) else { return Ok(None) };
        Ok(Some(ProcessSettings {
            name,
            listen,
            admin,
            threads,
            store,
            pepper_file: file.pepper_file,
            bank,
            usage,
            decision,
            upgrade_socket,
            snapshot,
            upgrade_drain: Duration::from_secs(drain),
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

    /// The address, or any other once the fault is noted.
    #[expect(clippy::unnecessary_wraps, reason = "checks are written alike, whether they go on after a fault or not")]
    pub(super) fn address(&self, field: &str, value: &str) -> Result<SocketAddr, ConfigError> {
        Ok(value.parse().unwrap_or_else(|_| {
            self.note(self.at(field, value, "is not an address: write IP and port, as in 127.0.0.1:8080"));
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        }))
    }

    /// The value; the fault is noted if it is too small or too large.
    #[expect(clippy::unnecessary_wraps, reason = "checks are written alike, whether they go on after a fault or not")]
    pub(super) fn within<T: PartialOrd + Display + Copy>(
        &self,
        field: &str,
        value: T,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        if !(least..=most).contains(&value) {
            let reason = format!("`{field}` is {value}; it must be between {least} and {most}");
            self.note(self.about_value(field, &value.to_string(), reason));
        }
        Ok(value)
    }

    /// A fault in `field: value` of this section.
    pub(super) fn at(&self, field: &str, value: &str, reason: &str) -> ConfigError {
        self.about_value(field, value, format!("`{field}`: {} {reason}", quoted(value)))
    }

    /// A fault of this section's setting `field`, or of the section itself if it has none of this name.
    pub(super) fn about(&self, field: &str, reason: impl Into<String>) -> ConfigError {
        self.about_value(field, "", reason)
    }

    /// A fault of this section's setting `field`, in the `value` that it has or that is in its list.
    pub(super) fn about_value(&self, field: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Fault(self.tree.place(&self.section.borrow(), field, Some(value)).fault(reason))
    }

    /// A fault that is not in the file.
    pub(super) fn outside(reason: impl Into<String>) -> ConfigError {
        ConfigError::Fault(Place::OUTSIDE.fault(reason))
    }

    /// Checks something in the section under a key, or in an item of a list.
    pub(super) fn inside<T>(&self, step: impl Into<Step>, check: impl FnOnce() -> T) -> T {
        self.section.borrow_mut().push(step.into());
        let checked = check();
        self.section.borrow_mut().pop();
        checked
    }

    /// The file as it was read.
    pub(super) const fn tree(&self) -> &Tree {
        self.tree
    }

    /// Returns true if this section has a setting of this name.
    pub(super) fn has(&self, setting: &str) -> bool {
        self.tree.keys(&self.section.borrow()).contains(&setting)
    }

    /// Returns true if something in this section could not be read, which is told already.
    pub(super) fn is_unusable(&self) -> bool {
        self.tree.has_removed(&self.section.borrow())
    }

    /// Notes a fault.
    pub(super) fn note(&self, error: ConfigError) {
        let fault = match error {
            ConfigError::Fault(fault) => fault,
            other => Place::START.fault(other.to_string()),
        };
        self.faults.borrow_mut().push(fault);
    }

    /// The value, or none once the fault is noted.
    pub(super) fn noted<T>(&self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|error| self.note(error)).ok()
    }
}

pub(super) const NAME_RULE: &str = "use 1 to 64 characters of A-Z, a-z, 0-9, - _ and . for names";

pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
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
