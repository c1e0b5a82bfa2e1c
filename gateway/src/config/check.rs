//! Checks that look at the whole file: names that must exist or be unique, numbers that must make sense.

use std::{
    collections::HashSet,
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use common::{
    config::{ConfigError, line_of},
    usage::StreamId,
};
use http::{HeaderName, Method};

use super::{
    Billable, HostPattern, Overrides, ProcessSettings, Route, Settings, SizeLimits, UNITS_MAX, Units, UpstreamSettings,
    file::{GatewayFile, LimitsFile, RouteFile, UnitsFile, UpstreamFile},
    lifecycle, upstream,
};
use crate::limit::{RateOwner, Rates};

/// Longest name of a route or an upstream.
const NAME_MAX_BYTES: usize = 64;

/// Most worker threads.
pub(super) const THREADS_MAX: usize = 1_024;

/// Longest time-out, in milliseconds.
pub(super) const TIMEOUT_MAX_MS: u64 = 3_600_000;

/// Longest path of a socket, in bytes: the operating system's limit.
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// The text being checked, so that errors can name the line.
pub(super) struct Check<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
}

impl Check<'_> {
    /// The settings, if all of the file makes sense.
    pub(super) fn settings(&self, file: GatewayFile, overrides: &Overrides) -> Result<Settings, ConfigError> {
        let sizes = self.sizes(&file.limits)?;
        let clients = self.clients(&file.trusted_proxies, &file.limits.failed_credentials)?;
        let connections = self.connections(&file.connections)?;
        let upstreams = self.upstreams(&file)?;
        let routes = self.routes(&file.routes, &upstreams)?;
        let process = self.process(file, overrides)?;
        Ok(Settings { process, sizes, clients, connections, upstreams, routes })
    }

    fn process(&self, file: GatewayFile, overrides: &Overrides) -> Result<ProcessSettings, ConfigError> {
        let threads = match file.threads {
            None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            Some(threads) => self.within("threads", threads, 1, THREADS_MAX)?,
        };
        let listen = self.address("listen", &file.listen)?;
        let admin = self.address("admin", &file.admin)?;
        if listen == admin && listen.port() != 0 {
            return Err(self.at("admin", &file.admin, "is the same address as `listen`: use another port"));
        }
        let name = match file.name {
            None => host_name(),
            Some(name) => {
                StreamId::new(&name, 0, 0)
                    .map_err(|_| self.at("name", &name, "use 1 to 128 characters of A-Z, a-z, 0-9, - _ and ."))?;
                name
            }
        };
        let store = overrides.store.clone().unwrap_or(file.store);
        let bank = self.bank(file.limits.redis, overrides)?;
        let usage = self.usage(file.usage, overrides)?;
        let decision = self.decision(file.decision, threads, &[listen, admin])?;
        let upgrade_socket = self.upgrade_socket(file.upgrade_socket, &usage.journal, &name)?;
        let snapshot = self.snapshot(file.snapshot, &usage.journal, &name)?;
        let drain = self.within("upgrade_drain_seconds", file.upgrade_drain_seconds, 1, 3_600)?;
        Ok(ProcessSettings {
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
        })
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

    fn upstreams(&self, file: &GatewayFile) -> Result<Vec<Arc<UpstreamSettings>>, ConfigError> {
        file.upstreams.iter().map(|(name, upstream)| self.upstream(name, upstream).map(Arc::new)).collect()
    }

    fn upstream(&self, name: &str, upstream: &UpstreamFile) -> Result<UpstreamSettings, ConfigError> {
        let line = self.line_with(&format!("{name}:"));
        if !is_name(name) {
            return Err(self.fault(line, format!("upstream `{name}`: {NAME_RULE}")));
        }
        if upstream.servers.is_empty() {
            return Err(self.fault(line, format!("upstream `{name}` has no servers")));
        }
        let mut servers = Vec::new();
        for server in &upstream.servers {
            let found = upstream::resolve(server)
                .map_err(|reason| self.fault(self.line_with(server), format!("upstream `{name}`: {reason}")))?;
            servers.extend(found);
        }
        if servers.iter().any(|server| server.tls != servers[0].tls) {
            return Err(self.fault(line, format!("upstream `{name}` mixes http and https servers: split it in two")));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = servers.iter().find(|server| !seen.insert(server.address)) {
            return Err(self.fault(line, format!("upstream `{name}` has {} twice", twice.address)));
        }
        let path = upstream.health.path.clone();
        if let Some(path) = path.as_ref().filter(|path| !is_path(path)) {
            return Err(self.at("path", path, "is not a path: write it as in /health"));
        }
        let timeout = |field, value| self.within(field, value, 1, TIMEOUT_MAX_MS).map(Duration::from_millis);
        Ok(UpstreamSettings {
            name: name.into(),
            servers,
            connect_timeout: timeout("connect_timeout_ms", upstream.connect_timeout_ms)?,
            read_timeout: timeout("read_timeout_ms", upstream.read_timeout_ms)?,
            health_interval: self
                .within("interval_seconds", upstream.health.interval_seconds, 1, 3_600)
                .map(Duration::from_secs)?,
            health_path: path,
        })
    }

    fn routes(&self, files: &[RouteFile], upstreams: &[Arc<UpstreamSettings>]) -> Result<Vec<Arc<Route>>, ConfigError> {
        if files.is_empty() {
            return Err(self.fault(self.line_with("routes:"), "there are no routes: add at least one"));
        }
        let mut routes: Vec<Arc<Route>> = Vec::with_capacity(files.len());
        for file in files {
            let occurrence = 1 + routes.iter().filter(|route| *route.name == file.name).count();
            let line = line_of(self.text, "name", &file.name, occurrence);
            let refuse = |reason: String| self.fault(line, format!("route `{}`: {reason}", file.name));
            if occurrence > 1 {
                return Err(refuse("is defined twice: names are unique".into()));
            }
            let route = route(file, upstreams).map_err(refuse)?;
            if let Some(same) = routes.iter().find(|earlier| same_requests(earlier, &route)) {
                return Err(refuse(format!("matches the same requests as route `{}`", same.name)));
            }
            routes.push(Arc::new(route));
        }
        Ok(routes)
    }

    pub(super) fn address(&self, field: &str, value: &str) -> Result<SocketAddr, ConfigError> {
        value.parse().map_err(|_| self.at(field, value, "is not an address: write IP and port, as in 127.0.0.1:8080"))
    }

    pub(super) fn within<T: PartialOrd + Display + Copy>(
        &self,
        field: &str,
        value: T,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let line = line_of(self.text, field, &value.to_string(), 1);
        Err(self.fault(line, format!("`{field}` is {value}; it must be between {least} and {most}")))
    }

    /// A fault in `field: value`.
    pub(super) fn at(&self, field: &str, value: &str, reason: &str) -> ConfigError {
        self.fault(line_of(self.text, field, value, 1), format!("`{field}`: `{value}` {reason}"))
    }

    pub(super) fn fault(&self, line: usize, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid { file: self.file.to_owned(), line, reason: reason.into() }
    }

    /// The first line that has `part`, whole and outside of a comment; list items carry no field name to look for.
    pub(super) fn line_with(&self, part: &str) -> usize {
        let is_inside = |letter: char| letter.is_ascii_alphanumeric() || "-_.:/".contains(letter);
        let shows = |line: &str| {
            let code =
                if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
            code.match_indices(part).any(|(start, _)| {
                !code[..start].ends_with(is_inside) && !code[start + part.len()..].starts_with(is_inside)
            })
        };
        self.text.lines().position(shows).map_or(1, |index| index + 1)
    }
}

const NAME_RULE: &str = "use 1 to 64 characters of A-Z, a-z, 0-9, - _ and . for names";

fn route(file: &RouteFile, upstreams: &[Arc<UpstreamSettings>]) -> Result<Route, String> {
    if !is_name(&file.name) {
        return Err(NAME_RULE.into());
    }
    let upstream = upstreams.iter().find(|upstream| *upstream.name == file.upstream).ok_or_else(|| {
        let known: Vec<&str> = upstreams.iter().map(|upstream| &*upstream.name).collect();
        format!("upstream `{}` is not defined; defined are: {}", file.upstream, known.join(", "))
    })?;
    common::plan::validate_meter(&file.meter).map_err(|error| error.to_string())?;
    let billable = file.billable.as_ref().map_or(Ok(Billable::default()), |patterns| Billable::parse(patterns))?;
    if file.timeout_ms.is_some_and(|timeout| !(1..=TIMEOUT_MAX_MS).contains(&timeout)) {
        return Err(format!("`timeout_ms` must be between 1 and {TIMEOUT_MAX_MS}"));
    }
    file.limits.validate().map_err(|error| format!("limits.{error}"))?;
    if let Some(scope) = &file.scope {
        common::key::validate_restrictions(std::slice::from_ref(scope), &[]).map_err(|error| error.to_string())?;
    }
    let timeout = file.timeout_ms.map(Duration::from_millis);
    Ok(Route {
        name: file.name.as_str().into(),
        hosts: file.hosts.iter().map(|host| HostPattern::parse(host)).collect::<Result<_, _>>()?,
        path_prefix: path_prefix(&file.path_prefix)?,
        methods: file.methods.iter().map(|method| parse_method(method)).collect::<Result<_, _>>()?,
        upstream: Arc::clone(&upstream.name),
        meter: file.meter.as_str().into(),
        units: units(&file.units)?,
        billable,
        strip_prefix: file.strip_prefix,
        timeout,
        body_bytes: file.body_bytes,
        lifecycle: lifecycle::lifecycle(file, timeout.unwrap_or(upstream.read_timeout))?,
        scope: file.scope.as_deref().map(Into::into),
        limits: Rates::new(RateOwner::Route, &file.limits),
    })
}

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

/// The prefix without a slash at its end: `/v1/` and `/v1` serve the same paths.
fn path_prefix(text: &str) -> Result<String, String> {
    let trimmed = text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text);
    match crate::route::decode_path(trimmed) {
        Ok(decoded) if decoded == trimmed.as_bytes() && is_path(trimmed) && trimmed.len() <= 1_024 => {
            Ok(trimmed.to_owned())
        }
        Ok(_) => Err(format!("path_prefix `{text}`: write it decoded, without query, fragment or white space")),
        Err(error) => Err(format!("path_prefix `{text}`: {error}")),
    }
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

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_path(path: &str) -> bool {
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
