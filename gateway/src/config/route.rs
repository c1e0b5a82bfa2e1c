//! The section `routes`: which requests go where, and what they cost.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use common::config::{Step, did_you_mean, quoted};
use http::Method;

use super::{
    HEADER_COUNT_MAX, UpstreamSettings,
    check::{Check, NAME_RULE, TIMEOUT_MAX_MS, is_name},
    file::{LimitsFile, RouteFile},
};
use crate::route::{Billable, HeaderLimits, HostPattern, Overlaps, RouteSettings, Spelling, Spellings, Target, Units};

/// Methods that can be routed.
pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// The check of one route, whose faults name it.
pub(super) struct RouteCheck<'a, 'tree> {
    pub(super) check: &'a Check<'tree>,
    pub(super) file: &'a RouteFile,
    pub(super) upstreams: &'a HashMap<&'a str, &'a Arc<UpstreamSettings>>,
    /// Limits of every route.
    pub(super) general: &'a LimitsFile,
}

impl Check<'_> {
    /// The routes. Each look-up is by name or by what a route matches: ten thousand routes are
    /// checked in about a thousand times the time of ten.
    pub(super) fn routes(
        &self,
        files: &[RouteFile],
        upstreams: &[Arc<UpstreamSettings>],
        general: &LimitsFile,
    ) -> Vec<RouteSettings> {
        if files.is_empty() && !self.tree().has_removed(&[Step::Key("routes".into())]) {
            self.note(self.about("", "there are no routes: add at least one"));
        }
        let upstreams = upstreams.iter().map(|upstream| (&*upstream.name, upstream)).collect();
        let mut names = HashSet::with_capacity(files.len());
        let mut routes: Vec<(usize, RouteSettings)> = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            self.inside(index, || {
                let route = RouteCheck { check: self, file, upstreams: &upstreams, general };
                if !names.insert(file.name.as_str()) {
                    route.refuse("name", "is defined twice: names are unique");
                }
                routes.extend(route.route().map(|found| (index, found)));
            });
        }
        let mut overlaps = Overlaps::default();
        for (index, route) in &routes {
            let Some(same) = overlaps.add(route) else { continue };
            let field = if files[*index].path.is_some() { "path" } else { "path_prefix" };
            let reason = format!("route {}: matches the same requests as route {}", quoted(&route.name), quoted(same));
            self.inside(*index, || self.note(self.about(field, reason)));
        }
        self.redirects(&routes);
        routes.into_iter().map(|(_, route)| route).collect()
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
    fn route(&self) -> Option<RouteSettings> {
        let file = self.file;
        if !is_name(&file.name) {
            self.refuse("name", NAME_RULE);
        }
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
        let (path, conditions) = (self.path(spellings), self.conditions());
        if file.strip_prefix && path.as_ref().is_some_and(|path| !path.is_below()) {
            self.refuse(
                "strip_prefix",
                "`strip_prefix` needs a prefix: use `path_prefix`, or end `path` with {rest...}",
            );
        }
        let target = self.target(path.as_ref());
        let silence = timeout.unwrap_or_else(|| self.silence(target.as_ref()));
        let (hosts, methods) = (
            self.each("hosts", &file.hosts, HostPattern::parse).collect(),
            self.each("methods", &file.methods, parse_method).collect(),
        );
        let (units, billable, lifecycle) = (self.units(), self.billable(), self.lifecycle(silence));
        let (public, cors, addresses) = (self.public(), self.cors(), self.addresses());
        let retries = self.retries();
        let (rewrite, timeouts) = (self.rewrite(path.as_ref()), self.timeouts());
        let (request_headers, response_headers) = self.header_edits();
        let is_metered = !matches!(&target, Some(Target::Reply(reply)) if !reply.metered);
        let billable = match &target {
            // What the route answers by itself was asked for.
            Some(Target::Reply(reply)) if file.billable.is_none() => Billable::only(reply.status.as_u16()),
            _ => billable,
        };
        let credentials = self.credentials();
        Some(RouteSettings {
            name: file.name.as_str().into(),
            hosts,
            methods,
            path: path?,
            conditions,
            target: target?,
            meter: file.meter.as_str().into(),
            units: units.map(|units| if is_metered { units } else { Units::Fixed(0) })?,
            billable,
            strip_prefix: file.strip_prefix,
            timeout,
            timeouts,
            body_bytes: file.body_bytes,
            header_limits: self.header_limits(),
            lifecycle,
            scope: file.scope.as_deref().map(Into::into),
            spellings,
            limits: file.limits.clone(),
            client_certificates: file.client_certificates,
            public,
            cors,
            retries,
            addresses,
            rewrite,
            request_headers,
            response_headers,
            credentials,
        })
    }

    /// Limits of its headers. A general limit that is smaller would hold before the route is known.
    fn header_limits(&self) -> Option<HeaderLimits> {
        let file = self.file;
        let within = |field: &str, value: Option<u64>, least: usize, most: usize| {
            let value = value.map(|value| usize::try_from(value).unwrap_or(usize::MAX));
            if value.is_some_and(|value| !(least..=most).contains(&value)) {
                let reason = format!("`{field}` must be between {least} and {most}, which holds for every route");
                self.refuse(field, &reason);
            }
            value
        };
        let limits = HeaderLimits {
            count: within("header_count", file.header_count, 1, HEADER_COUNT_MAX),
            bytes: within("header_bytes", file.header_bytes, 64, self.general.header_bytes),
            value_bytes: within("header_value_bytes", file.header_value_bytes, 16, self.general.header_value_bytes),
        };
        (limits != HeaderLimits::default()).then_some(limits)
    }

    fn billable(&self) -> Billable {
        let Some(patterns) = &self.file.billable else {
            return Billable::default();
        };
        let parse = |pattern: &str| Billable::parse(&[pattern]).map(|_| pattern.to_owned());
        let good: Vec<String> = self.each("billable", patterns, parse).collect();
        Billable::parse(&good).unwrap_or_default()
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

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    match text.parse::<Method>() {
        Ok(method) if METHODS.contains(&text) => Ok(method),
        _ => Err(format!("`{text}` is not a method that can be routed: use one of {}", METHODS.join(", "))),
    }
}
