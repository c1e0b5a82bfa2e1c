//! The section `routes`: which requests go where, and what they cost.

use std::{sync::Arc, time::Duration};

use common::config::{Step, did_you_mean, quoted};
use http::{HeaderName, Method};

use super::{
    UpstreamSettings,
    check::{Check, NAME_RULE, TIMEOUT_MAX_MS, is_name, is_path},
    file::{RouteFile, UnitsFile},
};
use crate::route::{Billable, HostPattern, RouteSettings, Spelling, Spellings, UNITS_MAX, Units};

/// Silence of a server whose upstream is not known, for the checks of the route's other settings.
const UNKNOWN_SILENCE: Duration = Duration::from_mins(1);

/// Methods that can be routed.
pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// The check of one route, whose faults name it.
pub(super) struct RouteCheck<'a, 'tree> {
    pub(super) check: &'a Check<'tree>,
    pub(super) file: &'a RouteFile,
}

impl Check<'_> {
    pub(super) fn routes(&self, files: &[RouteFile], upstreams: &[Arc<UpstreamSettings>]) -> Vec<RouteSettings> {
        if files.is_empty() && !self.tree().has_removed(&[Step::Key("routes".into())]) {
            self.note(self.about("", "there are no routes: add at least one"));
        }
        let mut routes: Vec<RouteSettings> = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            self.inside(index, || {
                let route = RouteCheck { check: self, file };
                if files[..index].iter().any(|earlier| earlier.name == file.name) {
                    route.refuse("name", "is defined twice: names are unique");
                }
                let Some(found) = route.route(upstreams) else { return };
                if let Some(same) = routes.iter().find(|earlier| same_requests(earlier, &found)) {
                    return route.refuse("path_prefix", &format!("matches the same requests as route `{}`", same.name));
                }
                routes.push(found);
            });
        }
        routes
    }
}

impl RouteCheck<'_, '_> {
    /// Notes a fault of a setting of the route.
    pub(super) fn refuse(&self, field: &str, reason: &str) {
        self.refuse_value(field, "", reason);
    }

    /// Notes a fault of a setting that is `value`, or in whose list `value` is.
    pub(super) fn refuse_value(&self, field: &str, value: &str, reason: &str) {
        let reason = format!("route {}: {reason}", quoted(&self.file.name));
        self.check.note(self.check.about_value(field, value, reason));
    }

    /// The value; the fault is noted if it is too small or too large.
    pub(super) fn within(&self, field: &str, value: Option<u64>, least: u64, most: u64) -> Option<u64> {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            self.refuse(field, &format!("`{field}` must be between {least} and {most}"));
        }
        value
    }

    /// Each item of a list that makes sense; the faults of the others are noted.
    pub(super) fn each<T>(
        &self,
        field: &str,
        items: &[String],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> impl Iterator<Item = T> {
        items.iter().filter_map(move |item| parse(item).map_err(|reason| self.refuse_value(field, item, &reason)).ok())
    }

    /// The route, if all of it makes sense.
    fn route(&self, upstreams: &[Arc<UpstreamSettings>]) -> Option<RouteSettings> {
        let file = self.file;
        if !is_name(&file.name) {
            self.refuse("name", NAME_RULE);
        }
        let upstream = self.upstream(upstreams);
        if let Err(error) = common::plan::validate_meter(&file.meter) {
            self.refuse("meter", &error.to_string());
        }
        if let Err(error) = file.limits.validate() {
            self.refuse(error.limit, &format!("limits.{error}"));
        }
        if let Some(scope) = &file.scope
            && let Err(error) = common::key::validate_restrictions(std::slice::from_ref(scope), &[])
        {
            self.refuse("scope", &error.to_string());
        }
        let timeout = self.within("timeout_ms", file.timeout_ms, 1, TIMEOUT_MAX_MS).map(Duration::from_millis);
        let spellings: Spellings = self.each("allow_in_path", &file.allow_in_path, spelling).collect();
        let path_prefix =
            path_prefix(&file.path_prefix, spellings).map_err(|reason| self.refuse("path_prefix", &reason)).ok();
        let silence = timeout.or(upstream.map(|upstream| upstream.read_timeout)).unwrap_or(UNKNOWN_SILENCE);
        let (hosts, methods) = (
            self.each("hosts", &file.hosts, HostPattern::parse).collect(),
            self.each("methods", &file.methods, parse_method).collect(),
        );
        let (units, billable, lifecycle) = (self.units(), self.billable(), self.lifecycle(silence));
        let (public, cors) = (self.public(), self.cors());
        Some(RouteSettings {
            name: file.name.as_str().into(),
            hosts,
            methods,
            path_prefix: path_prefix?,
            upstream: Arc::clone(&upstream?.name),
            meter: file.meter.as_str().into(),
            units: units?,
            billable,
            strip_prefix: file.strip_prefix,
            timeout,
            body_bytes: file.body_bytes,
            lifecycle,
            scope: file.scope.as_deref().map(Into::into),
            spellings,
            limits: file.limits.clone(),
            public,
            cors,
        })
    }

    /// The route's upstream, if there is one.
    fn upstream<'s>(&self, upstreams: &'s [Arc<UpstreamSettings>]) -> Option<&'s Arc<UpstreamSettings>> {
        let file = self.file;
        let named = upstreams.iter().find(|upstream| *upstream.name == file.upstream);
        let known = self.check.tree().keys(&[Step::Key("upstreams".into())]);
        if named.is_none() && !known.contains(&file.upstream.as_str()) {
            let meant = did_you_mean(&file.upstream, known.iter().copied());
            let all = if meant.is_empty() { format!("; defined are: {}", known.join(", ")) } else { meant };
            self.refuse("upstream", &format!("upstream {} is not defined{all}", quoted(&file.upstream)));
        }
        // One that is defined and faulty is told where it is defined.
        named
    }

    fn billable(&self) -> Billable {
        let Some(patterns) = &self.file.billable else {
            return Billable::default();
        };
        let parse = |pattern: &str| Billable::parse(&[pattern]).map(|_| pattern.to_owned());
        let good: Vec<String> = self.each("billable", patterns, parse).collect();
        Billable::parse(&good).unwrap_or_default()
    }

    fn units(&self) -> Option<Units> {
        let UnitsFile { fixed, header, default } = &self.file.units;
        let bounded = |field: &str, units: u64| {
            let told = || self.within(field, Some(units), 0, UNITS_MAX);
            self.check.inside("units", told).unwrap_or(units)
        };
        match (*fixed, header, *default) {
            (None, None, None) => Some(Units::Fixed(1)),
            (Some(fixed), None, None) => Some(Units::Fixed(bounded("fixed", fixed))),
            (None, Some(header), default) => {
                let default = bounded("default", default.unwrap_or(1));
                let Ok(name) = header.parse::<HeaderName>() else {
                    let reason = format!("{} is not the name of a header", quoted(header));
                    self.check.inside("units", || self.refuse("header", &reason));
                    return None;
                };
                Some(Units::Header { name, default })
            }
            _ => {
                self.refuse("units", "`units` is either { fixed: 1 } or { header: X-Usage-Units, default: 1 }");
                None
            }
        }
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

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    match text.parse::<Method>() {
        Ok(method) if METHODS.contains(&text) => Ok(method),
        _ => Err(format!("`{text}` is not a method that can be routed: use one of {}", METHODS.join(", "))),
    }
}

/// Returns true if some request would fit both routes equally well.
fn same_requests(one: &RouteSettings, other: &RouteSettings) -> bool {
    let hosts =
        (one.hosts.is_empty() && other.hosts.is_empty()) || one.hosts.iter().any(|host| other.hosts.contains(host));
    let methods = one.methods.is_empty()
        || other.methods.is_empty()
        || one.methods.iter().any(|method| other.methods.contains(method));
    hosts && methods && one.path_prefix == other.path_prefix
}
