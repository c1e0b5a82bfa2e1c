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
    config::{ConfigError, Fault, Place, Step, Tree, did_you_mean, quoted},
    usage::StreamId,
};
use http::{HeaderName, Method};

use super::{
    Billable, HostPattern, Overrides, ProcessSettings, Route, Settings, SizeLimits, UNITS_MAX, Units, UpstreamSettings,
    file::{GatewayFile, LimitsFile, RouteFile, UnitsFile},
    lifecycle,
    upstream::file::UpstreamFile,
};
use crate::{
    limit::{RateOwner, Rates},
    route::{Spelling, Spellings},
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

    fn routes(&self, files: &[RouteFile], upstreams: &[Arc<UpstreamSettings>]) -> Vec<Arc<Route>> {
        if files.is_empty() && !self.tree.has_removed(&[Step::Key("routes".into())]) {
            self.note(self.about("", "there are no routes: add at least one"));
        }
        let mut routes: Vec<Arc<Route>> = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            self.inside(index, || {
                let refuse = |field: &str, reason: String| {
                    self.note(self.about(field, format!("route {}: {reason}", quoted(&file.name))));
                };
                if files[..index].iter().any(|earlier| earlier.name == file.name) {
                    return refuse("name", "is defined twice: names are unique".into());
                }
                let Some(route) = self.route(file, upstreams) else { return };
                if let Some(same) = routes.iter().find(|earlier| same_requests(earlier, &route)) {
                    return refuse("path_prefix", format!("matches the same requests as route `{}`", same.name));
                }
                routes.push(Arc::new(route));
            });
        }
        routes
    }

    /// The route, if all of it makes sense.
    fn route(&self, file: &RouteFile, upstreams: &[Arc<UpstreamSettings>]) -> Option<Route> {
        let told = |field: &str, value: &str, reason: String| {
            self.note(self.about_value(field, value, format!("route {}: {reason}", quoted(&file.name))));
        };
        let scalar = |field: &str, reason: String| told(field, "", reason);
        if !is_name(&file.name) {
            scalar("name", NAME_RULE.into());
        }
        let upstream = self.upstream_of(file, upstreams);
        if let Err(error) = common::plan::validate_meter(&file.meter) {
            scalar("meter", error.to_string());
        }
        let billable = match &file.billable {
            None => Some(Billable::default()),
            Some(patterns) => Billable::parse(patterns).map_err(|reason| scalar("billable", reason)).ok(),
        };
        if file.timeout_ms.is_some_and(|timeout| !(1..=TIMEOUT_MAX_MS).contains(&timeout)) {
            scalar("timeout_ms", format!("`timeout_ms` must be between 1 and {TIMEOUT_MAX_MS}"));
        }
        if let Err(error) = file.limits.validate() {
            scalar(error.limit, format!("limits.{error}"));
        }
        if let Some(scope) = &file.scope
            && let Err(error) = common::key::validate_restrictions(std::slice::from_ref(scope), &[])
        {
            scalar("scope", error.to_string());
        }
        let spelling = |name: &String| spelling(name).map_err(|reason| told("allow_in_path", name, reason)).ok();
        let spellings: Spellings = file.allow_in_path.iter().filter_map(spelling).collect();
        let host = |host: &String| HostPattern::parse(host).map_err(|reason| told("hosts", host, reason)).ok();
        let method = |method: &String| parse_method(method).map_err(|reason| told("methods", method, reason)).ok();
        let prefix = path_prefix(&file.path_prefix, spellings).map_err(|reason| scalar("path_prefix", reason)).ok();
        let units = units(&file.units).map_err(|reason| scalar("units", reason)).ok();
        let timeout = file.timeout_ms.map(Duration::from_millis);
        let upstream = upstream?;
        let lifecycle = lifecycle::lifecycle(file, timeout.unwrap_or(upstream.read_timeout))
            .map_err(|reason| scalar("", reason))
            .ok();
        Some(Route {
            name: file.name.as_str().into(),
            hosts: file.hosts.iter().filter_map(host).collect(),
            methods: file.methods.iter().filter_map(method).collect(),
            path_prefix: prefix?,
            upstream: Arc::clone(&upstream.name),
            meter: file.meter.as_str().into(),
            units: units?,
            billable: billable?,
            strip_prefix: file.strip_prefix,
            timeout,
            body_bytes: file.body_bytes,
            lifecycle: lifecycle?,
            scope: file.scope.as_deref().map(Into::into),
            spellings,
            limits: Rates::new(RateOwner::Route, &file.limits),
        })
    }

    /// The route's upstream, if there is one.
    fn upstream_of<'s>(
        &self,
        file: &RouteFile,
        upstreams: &'s [Arc<UpstreamSettings>],
    ) -> Option<&'s Arc<UpstreamSettings>> {
        let named = upstreams.iter().find(|upstream| *upstream.name == file.upstream);
        let known = self.tree.keys(&[Step::Key("upstreams".into())]);
        if named.is_none() && !known.contains(&file.upstream.as_str()) {
            let meant = did_you_mean(&file.upstream, known.iter().copied());
            let all = if meant.is_empty() { format!("; defined are: {}", known.join(", ")) } else { meant };
            let (name, upstream) = (quoted(&file.name), quoted(&file.upstream));
            self.note(self.about("upstream", format!("route {name}: upstream {upstream} is not defined{all}")));
        }
        // One that is defined and faulty is told where it is defined.
        named
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

    /// Whether something in this section could not be read, which is told already.
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

fn units(file: &UnitsFile) -> Result<Units, String> {
    let bounded = |units: u64| {
        if units <= UNITS_MAX { Ok(units) } else { Err(format!("`units` may be at most {UNITS_MAX}")) }
    };
    match (file.fixed, &file.header, file.default) {
        (None, None, None) => Ok(Units::Fixed(1)),
        (Some(fixed), None, None) => Ok(Units::Fixed(bounded(fixed)?)),
        (None, Some(header), default) => {
            let name = header.parse::<HeaderName>().map_err(|_| format!("`{header}` is not the name of a header"))?;
            Ok(Units::Header { name, default: bounded(default.unwrap_or(1))? })
        }
        _ => Err("`units` is either { fixed: 1 } or { header: X-Usage-Units, default: 1 }".into()),
    }
}

/// A spelling that a route allows.
fn spelling(name: &str) -> Result<Spelling, String> {
    Spelling::from_name(name).ok_or_else(|| {
        let known = Spelling::ALL.map(Spelling::as_str);
        let meant = did_you_mean(name, known);
        format!("{} is not a spelling of paths: use some of {}{meant}", quoted(name), known.join(", "))
    })
}

/// The prefix without a slash at its end: `/v1/` and `/v1` serve the same paths.
fn path_prefix(text: &str, allowed: Spellings) -> Result<String, String> {
    let trimmed = text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text);
    let decoded = crate::route::decode_path(trimmed).map_err(|error| format!("path_prefix `{text}`: {error}"))?;
    decoded.check(allowed).map_err(|error| format!("path_prefix `{text}`: {error}"))?;
    if decoded.as_bytes() == trimmed.as_bytes() && is_path(trimmed) && trimmed.len() <= 1_024 {
        return Ok(trimmed.to_owned());
    }
    Err(format!("path_prefix `{text}`: write it decoded, without query, fragment or white space"))
}

fn parse_method(text: &str) -> Result<Method, String> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    match text.parse::<Method>() {
        Ok(method) if known.contains(&text) => Ok(method),
        _ => Err(format!("`{text}` is not a method that can be routed: use one of {}", known.join(", "))),
    }
}

/// Whether some request would fit both routes equally well.
fn same_requests(one: &Route, other: &Route) -> bool {
    let hosts =
        (one.hosts.is_empty() && other.hosts.is_empty()) || one.hosts.iter().any(|host| other.hosts.contains(host));
    let methods = one.methods.is_empty()
        || other.methods.is_empty()
        || one.methods.iter().any(|method| other.methods.contains(method));
    hosts && methods && one.path_prefix == other.path_prefix
}

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
