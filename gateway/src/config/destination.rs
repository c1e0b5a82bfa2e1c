//! The settings of a route that say what becomes of its requests: `upstream`, `split`, `redirect`
//! or `respond`.

use std::{sync::Arc, time::Duration};

use common::config::{Step, did_you_mean, quoted};
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Protocol, UpstreamSettings, route::RouteCheck};
use crate::{
    filter::split::{Basis, Split, WHOLE},
    route::{PathPattern, Target},
};

/// Silence of a server whose upstream is not known, for the checks of the route's other settings.
const UNKNOWN_SILENCE: Duration = Duration::from_mins(1);

/// One upstream's share of the requests.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareFile {
    /// Name of the upstream.
    upstream: String,
    /// Its share of the requests in percent; all together have 100.
    weight: u32,
}

impl RouteCheck<'_, '_> {
    /// Returns true if an upstream that the route may ask is spoken with by HTTP/2.
    pub(super) fn asks_http2(&self) -> bool {
        let shares = self.file.split.iter().flatten().map(|share| &share.upstream);
        let mut names = self.file.upstream.iter().chain(shares);
        names.any(|name| self.upstreams.get(name.as_str()).is_some_and(|upstream| upstream.protocol == Protocol::Http2))
    }

    /// The target of the requests of a route for these paths.
    pub(super) fn target(&self, path: Option<&PathPattern>) -> Option<Target> {
        let file = self.file;
        let settings = ["upstream", "split", "redirect", "respond"];
        let set: Vec<&str> = settings.into_iter().filter(|setting| self.check.has(setting)).collect();
        if set.is_empty() {
            self.refuse("", "`upstream` is missing: say where requests go, or use `split`, `redirect` or `respond`");
        }
        if let [first, second, ..] = *set {
            self.refuse(second, &format!("`{first}` and `{second}` exclude each other: remove one of them"));
        }
        if file.split_by.is_some() && file.split.is_none() {
            self.refuse("split_by", "`split_by` decides between the upstreams of a `split`: remove it, or add one");
        }
        if let Some(upstream) = &file.upstream {
            return self.upstream("upstream", upstream).map(|upstream| Target::Upstream(Arc::clone(&upstream.name)));
        }
        if let Some(shares) = &file.split {
            return self.split(shares).map(Target::Split);
        }
        let reply = match (&file.redirect, &file.respond) {
            (Some(redirect), _) => self.check.inside("redirect", || self.redirect(redirect, path)),
            (None, Some(respond)) => self.check.inside("respond", || self.respond(respond)),
            (None, None) => return None,
        };
        self.check_reply(
            file.redirect.as_ref().map_or_else(
                || file.respond.as_ref().is_some_and(|respond| respond.metered),
                |redirect| redirect.metered,
            ),
        );
        reply.map(|reply| Target::Reply(Arc::new(reply)))
    }

    /// Longest silence of the servers that a request may be sent to.
    pub(super) fn silence(&self, target: Option<&Target>) -> Duration {
        let of = |name: &Arc<str>| self.upstreams.get(&**name).map(|upstream| upstream.read_timeout);
        let longest = match target {
            Some(Target::Upstream(name)) => of(name),
            Some(Target::Split(split)) => split.upstreams().filter_map(of).max(),
            Some(Target::Reply(_)) | None => None,
        };
        longest.unwrap_or(UNKNOWN_SILENCE)
    }

    /// The upstream of this name, if there is one.
    fn upstream(&self, field: &str, name: &str) -> Option<&Arc<UpstreamSettings>> {
        let named = self.upstreams.get(name).copied();
        if named.is_some() {
            return named;
        }
        // One that is defined and faulty is told where it is defined.
        let known = self.check.tree().keys(&[Step::Key("upstreams".into())]);
        if !known.contains(&name) {
            let meant = did_you_mean(name, known.iter().copied());
            let all = if meant.is_empty() { format!("; defined are: {}", known.join(", ")) } else { meant };
            self.refuse_value(field, name, &format!("upstream {} is not defined{all}", quoted(name)));
        }
        None
    }

    fn split(&self, files: &[ShareFile]) -> Option<Arc<Split>> {
        let mut shares: Vec<(Arc<str>, u32)> = Vec::new();
        for (index, share) in files.iter().enumerate() {
            let found = self.check.inside("split", || {
                self.check.inside(index, || {
                    if files[..index].iter().any(|earlier| earlier.upstream == share.upstream) {
                        self.refuse(
                            "upstream",
                            &format!("upstream {} stands twice in `split`", quoted(&share.upstream)),
                        );
                    }
                    self.upstream("upstream", &share.upstream)
                })
            });
            shares.extend(found.map(|upstream| (Arc::clone(&upstream.name), share.weight)));
        }
        let sum: u64 = files.iter().map(|share| u64::from(share.weight)).sum();
        if sum != u64::from(WHOLE) && !self.check.inside("split", || self.check.is_unusable()) {
            let each: Vec<String> = files.iter().map(|share| format!("{} %", share.weight)).collect();
            let reason = format!(
                "the weights of `split` are percent and make {sum} % ({}): they must make 100 %",
                each.join(" + ")
            );
            self.refuse("split", &reason);
        }
        let basis = self.file.split_by.as_deref().map(|by| self.basis(by));
        let is_whole = shares.len() == files.len() && sum == u64::from(WHOLE) && basis != Some(None);
        is_whole.then(|| Arc::new(Split::new(shares, basis.flatten())))
    }

    fn basis(&self, text: &str) -> Option<Basis> {
        let basis = match text.split_once(' ').map_or((text, ""), |(kind, name)| (kind, name.trim())) {
            ("header", name) => name.parse::<HeaderName>().ok().map(Basis::Header),
            ("cookie", name) => name.parse::<HeaderName>().ok().map(|_| Basis::Cookie(name.into())),
            ("key", "") => Some(Basis::Key),
            ("tenant", "") => Some(Basis::Tenant),
            _ => None,
        };
        match basis {
            None => {
                let reason = format!(
                    "{} is no basis of a split: use `key`, `tenant`, `header NAME` or `cookie NAME`",
                    quoted(text)
                );
                self.refuse("split_by", &reason);
            }
            Some(Basis::Key | Basis::Tenant) if self.file.public => {
                self.refuse("split_by", &format!("`public: true` knows no {text}: use `header NAME` or `cookie NAME`"));
            }
            Some(_) => {}
        }
        basis
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Overrides, Settings},
        filter::reply::Reply,
    };

    fn of(fields: &str) -> Result<Target, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }}, b: {{ servers: ['127.0.0.1:1'], read_timeout_ms: 90000 }} }}\n\
             routes:\n  - {{ name: a, path: '/v1/{{id}}', {fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].target.clone()).map_err(|error| error.to_string())
    }

    fn reply(fields: &str) -> Arc<Reply> {
        match of(fields).unwrap() {
            Target::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_go_to_an_upstream_or_are_shared_or_answered() {
        assert_eq!(of("upstream: a"), Ok(Target::Upstream("a".into())));
        let shares = [("a".into(), 95), ("b".into(), 5)];
        let split = "split: [{ upstream: a, weight: 95 }, { upstream: b, weight: 5 }]";
        assert_eq!(of(split), Ok(Target::Split(Arc::new(Split::new(shares.clone(), None)))));
        for (by, basis) in [
            ("header X-User", Basis::Header(HeaderName::from_static("x-user"))),
            ("cookie session", Basis::Cookie("session".into())),
            ("key", Basis::Key),
            ("tenant", Basis::Tenant),
        ] {
            let expected = Split::new(shares.clone(), Some(basis));
            assert_eq!(of(&format!("{split}, split_by: {by}")), Ok(Target::Split(Arc::new(expected))), "{by}");
        }
        let moved = reply("redirect: { to: 'https://b.test/v2/{id}{query}', status: 308 }");
        assert_eq!((moved.status.as_u16(), moved.metered), (308, false));
        assert_eq!(reply("redirect: { to: '/x' }").status, 307);
        let fixed = reply("respond: { status: 503, headers: { Retry-After: 60 }, body: Soon, metered: true }");
        assert_eq!((fixed.status.as_u16(), fixed.metered, &*fixed.body), (503, true, &b"Soon"[..]));
        let names: Vec<&str> = fixed.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["retry-after", "content-type"]);
        for to in
            ["https://b.test{path}", "https://{host}{path}{query}", "https://{host}:8443/x", "http://b.test", "/{id}"]
        {
            reply(&format!("redirect: {{ to: '{to}' }}"));
        }
    }

    #[test]
    fn unmetered_answers_use_no_units() {
        let units = |fields: &str| {
            let text = format!(
                "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n  - {{ name: a, path: /, {fields} }}\n"
            );
            Settings::parse(&text, "gateway.yaml", &Overrides::default()).unwrap().routes[0].units.estimate()
        };
        assert_eq!(units("respond: {}"), 0);
        assert_eq!(units("respond: { metered: true }"), 1);
        assert_eq!(units("respond: { metered: true }, units: { fixed: 3 }"), 3);
    }

    #[test]
    fn faults_name_place_and_reason() {
        let faults = [
            ("methods: [GET]", "`upstream` is missing"),
            ("upstream: a, redirect: { to: / }", "`upstream` and `redirect` exclude each other"),
            ("upstream: a, split: [{ upstream: a, weight: 100 }]", "exclude each other"),
            ("upstream: a, split_by: key", "`split_by` decides between"),
            ("upstream: c", "upstream `c` is not defined"),
            ("split: [{ upstream: a, weight: 50 }, { upstream: bb, weight: 50 }]", "upstream `bb` is not defined"),
            ("split: [{ upstream: a, weight: 100 }, { upstream: b, weight: 10 }]", "make 110 % (100 % + 10 %)"),
            ("split: [{ upstream: a, weight: 90 }]", "make 90 %"),
            ("split: []", "make 0 %"),
            ("split: [{ upstream: a, weight: 50 }, { upstream: a, weight: 50 }]", "stands twice"),
            ("split: [{ upstream: a, weight: 100 }], split_by: 'header X Y'", "no basis of a split"),
            ("split: [{ upstream: a, weight: 100 }], split_by: ip", "no basis of a split"),
            ("split: [{ upstream: a, weight: 100 }], split_by: key, public: true", "knows no key"),
            ("redirect: { to: / , status: 200 }", "301, 302, 303, 307 or 308"),
            ("redirect: { to: 'ftp://a.test/' }", "must begin with https://"),
            ("redirect: { to: '//a.test/' }", "names no scheme"),
            ("redirect: { to: 'https://{id}.a.test/' }", "must name a whole host"),
            ("redirect: { to: 'https://a.test{id}' }", "must name a whole host"),
            ("redirect: { to: 'https:///x' }", "must name a whole host"),
            ("redirect: { to: 'https://u@a.test/x' }", "must name a whole host"),
            ("redirect: { to: 'https://{host}{id}' }", "must name a whole host"),
            ("redirect: { to: '{id}' }", "must begin with https://"),
            ("redirect: { to: '/{ids}' }", "there is no `{ids}`"),
            ("redirect: { to: '/a b' }", "without white space"),
            ("redirect: { to: /x }, strip_prefix: true", "`strip_prefix` needs"),
            ("redirect: { to: /x }, timeout_ms: 5", "`timeout_ms` needs an upstream"),
            ("respond: { status: 101 }", "between 200 and 599"),
            ("respond: { status: 204, body: x }", "has no body"),
            ("respond: { headers: { Content-Length: 5 } }", "is the gateway's own"),
            ("respond: { headers: { 'a b': c } }", "is not the name of a header"),
            ("respond: { metered: true }, public: true", "needs a caller with a key"),
            ("respond: {}, meter: tokens", "needs `metered: true`"),
            ("respond: { metered: true }, units: { header: X-Units }", "need an upstream"),
            ("respond: { metered: true }, units: { bytes: response }", "need an upstream"),
        ];
        for (fields, reason) in faults {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
