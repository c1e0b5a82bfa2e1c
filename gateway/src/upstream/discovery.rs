//! The addresses behind the names of servers, looked up again and again.
//!
//! Invariant: a name that resolved once keeps its last addresses for as long as `dns.keep_seconds`
//! says, whatever the resolver does; a name that does not resolve is a server that is down, and
//! never the end of a configuration.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{
    Upstream,
    endpoint::Endpoint,
    resolver::{Answer, Resolve},
};
use crate::config::{DnsSettings, Host, ServerAddress, UpstreamSettings};

/// Time from a failed look-up to the next while a name has no address at all, and least time
/// between two look-ups.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two look-ups if neither the file nor the answer says one, and while a name with
/// addresses does not resolve.
const USUAL_INTERVAL: Duration = Duration::from_secs(10);

/// Longest time between two look-ups, whatever the answer says.
const LONGEST_INTERVAL: Duration = Duration::from_mins(5);

/// A server of the configuration, and the addresses that it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) endpoints: Vec<Endpoint>,
    /// The reason for which the last look-up failed; none if it succeeded, or there was none.
    pub(super) failure: Option<String>,
    failing_since: Option<Instant>,
}

/// The change that a look-up made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// The addresses are others.
    Moved,
    /// The name does not resolve any more, and its last addresses serve on.
    Failing,
    /// The name does not resolve, and has no addresses.
    Gone,
    /// The name resolves again, to the addresses that it had.
    Back,
}

impl Found {
    /// The state before the first look-up: an address is its own.
    pub(super) fn before_lookup(server: &ServerAddress) -> Self {
        let endpoints = match server.host {
            Host::Address(address) => vec![SocketAddr::new(address, server.port).into()],
            Host::Name(_) | Host::Service(_) => Vec::new(),
        };
        Self { endpoints, failure: None, failing_since: None }
    }

    /// Takes the answer of a look-up. Addresses outlive failures for `keep`.
    fn take(&mut self, answer: Result<Vec<Endpoint>, String>, keep: Duration, now: Instant) -> Change {
        match answer {
            Ok(endpoints) => {
                let failed = self.failure.take().is_some();
                self.failing_since = None;
                if endpoints != self.endpoints {
                    self.endpoints = endpoints;
                    Change::Moved
                } else if failed {
                    Change::Back
                } else {
                    Change::Nothing
                }
            }
            Err(failure) => {
                let is_new = self.failure.replace(failure).is_none();
                let since = *self.failing_since.get_or_insert(now);
                if self.endpoints.is_empty() {
                    return if is_new { Change::Gone } else { Change::Nothing };
                }
                if now.duration_since(since) >= keep {
                    self.endpoints.clear();
                    return Change::Gone;
                }
                if is_new { Change::Failing } else { Change::Nothing }
            }
        }
    }
}

/// Looks a name up: the servers behind it with addresses of the wanted family in a fixed order, at
/// least one, or why there is none.
pub(super) async fn look_up(
    resolver: &dyn Resolve,
    server: &ServerAddress,
    dns: &DnsSettings,
) -> Result<Answer, String> {
    let mut answer = resolver.resolve(server, dns).await?;
    let endpoints = &mut answer.endpoints;
    if endpoints.is_empty() {
        return Err("the name has no addresses".into());
    }
    endpoints.retain(|endpoint| dns.family.includes(&endpoint.address));
    if endpoints.is_empty() {
        return Err("the name has no addresses of the family that `dns.family` names".into());
    }
    endpoints.sort_unstable();
    // Two names of one service may lead to one address.
    endpoints.dedup_by_key(|endpoint| endpoint.address);
    Ok(answer)
}

/// Looks one name up for as long as the upstream is in use.
pub(super) async fn keep_looking_up(
    upstream: Weak<Upstream>,
    index: usize,
    resolver: Arc<dyn Resolve>,
    wake: Arc<Notify>,
) {
    loop {
        let Some(settings) = upstream.upgrade().map(|upstream| Arc::clone(upstream.settings())) else { return };
        let answer = look_up(&*resolver, &settings.servers[index].address, &settings.dns).await;
        let Some(current) = upstream.upgrade() else { return };
        let ttl = answer.as_ref().ok().and_then(|answer| answer.ttl);
        let has_addresses = current.found(index, answer.map(|answer| answer.endpoints));
        drop(current);
        tokio::select! {
            () = sleep(pause(&settings.dns, ttl, has_addresses)) => {}
            () = wake.notified() => {}
        }
    }
}

/// Time until the next look-up of a name whose answer counts for `ttl`.
fn pause(dns: &DnsSettings, ttl: Option<Duration>, has_addresses: bool) -> Duration {
    let usual = dns.interval.unwrap_or_else(|| match ttl {
        Some(ttl) => ttl.clamp(LEAST_INTERVAL, LONGEST_INTERVAL),
        None => USUAL_INTERVAL,
    });
    if has_addresses { usual } else { usual.min(LEAST_INTERVAL) }
}

impl Upstream {
    /// Takes the answer of a look-up. Returns whether the name has addresses now.
    pub(super) fn found(&self, index: usize, answer: Result<Vec<Endpoint>, String>) -> bool {
        let settings = self.settings();
        let (change, now_known) = self.change_servers(|found| {
            let found = &mut found[index];
            let change = found.take(answer, settings.dns.keep, Instant::now());
            (matches!(change, Change::Moved | Change::Gone), (change, found.clone()))
        });
        self.looked_up(index);
        tell(settings, &settings.servers[index].address, &change, &now_known);
        !now_known.endpoints.is_empty()
    }
}

/// One line whenever something about a name changes.
fn tell(settings: &UpstreamSettings, server: &ServerAddress, change: &Change, found: &Found) {
    let (upstream, error) = (&*settings.name, found.failure.as_deref());
    let addresses = found.endpoints.iter().map(|endpoint| endpoint.address.to_string());
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    match change {
        Change::Nothing => {}
        Change::Moved => info!(event = "server_addresses", upstream, %server, addresses),
        Change::Back => info!(event = "server_name_resolves_again", upstream, %server, addresses),
        Change::Failing => {
            let kept_seconds = settings.dns.keep.as_secs();
            warn!(event = "server_name_unresolved", upstream, %server, error, addresses, kept_seconds);
        }
        Change::Gone => warn!(
            event = "server_name_unresolved",
            upstream,
            %server,
            error,
            "the server is down until its name resolves"
        ),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::config::AddressFamily;

    fn endpoints(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| text.parse::<SocketAddr>().unwrap().into()).collect()
    }

    fn dns(family: AddressFamily) -> DnsSettings {
        DnsSettings { servers: Vec::new(), interval: None, keep: Duration::ZERO, family }
    }

    struct Fixed(Vec<Endpoint>);

    #[async_trait]
    impl Resolve for Fixed {
        async fn resolve(&self, _server: &ServerAddress, _dns: &DnsSettings) -> Result<Answer, String> {
            Ok(Answer { endpoints: self.0.clone(), ttl: None })
        }
    }

    #[test]
    fn name_is_looked_up_again_when_its_answer_is_over_unless_the_file_says_when() {
        let seconds = Duration::from_secs;
        let by_ttl = dns(AddressFamily::Any);
        let paused = |ttl, has_addresses| pause(&by_ttl, ttl, has_addresses).as_secs();
        assert_eq!([0, 1, 30, 86_400].map(|ttl| paused(Some(seconds(ttl)), true)), [1, 1, 30, 300]);
        assert_eq!((paused(None, true), paused(None, false)), (10, 1));
        let fixed = DnsSettings { interval: Some(seconds(7)), ..by_ttl };
        assert_eq!(pause(&fixed, Some(seconds(1)), true), seconds(7));
        assert_eq!(pause(&fixed, None, false), seconds(1));
    }

    #[tokio::test]
    async fn look_up_gives_each_address_of_the_family_once_in_order() {
        let server = ServerAddress::parse("a.test:80").unwrap();
        let resolver = Fixed(endpoints(&["10.0.0.2:80", "[::1]:80", "10.0.0.1:80", "10.0.0.2:80"]));
        let cases = [
            (AddressFamily::Any, endpoints(&["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"])),
            (AddressFamily::Ipv4, endpoints(&["10.0.0.1:80", "10.0.0.2:80"])),
            (AddressFamily::Ipv6, endpoints(&["[::1]:80"])),
        ];
        for (family, expected) in cases {
            assert_eq!(
                look_up(&resolver, &server, &dns(family)).await.map(|answer| answer.endpoints),
                Ok(expected),
                "{family:?}"
            );
        }
        let only_ipv4 = Fixed(endpoints(&["10.0.0.2:80"]));
        assert!(look_up(&only_ipv4, &server, &dns(AddressFamily::Ipv6)).await.unwrap_err().contains("dns.family"));
        assert!(
            look_up(&Fixed(Vec::new()), &server, &dns(AddressFamily::Any)).await.unwrap_err().contains("no addresses")
        );
    }

    #[test]
    fn name_keeps_its_last_addresses_for_the_stated_time_and_takes_new_ones_at_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let keep = Duration::from_mins(1);
        let failure = || Err("no such name".to_owned());
        let (one, two) = (endpoints(&["10.0.0.1:80"]), endpoints(&["10.0.0.2:80"]));
        let mut found = Found::default();
        assert_eq!(found.take(failure(), keep, at(0)), Change::Gone);
        assert_eq!(found.take(failure(), keep, at(100)), Change::Nothing);
        assert_eq!(found.take(Ok(one.clone()), keep, at(101)), Change::Moved);
        assert_eq!(found.take(Ok(one.clone()), keep, at(102)), Change::Nothing);
        assert_eq!(found.take(failure(), keep, at(110)), Change::Failing);
        assert_eq!(found.take(failure(), keep, at(169)), Change::Nothing);
        assert_eq!(found.endpoints, one);
        assert_eq!(found.take(Ok(one.clone()), keep, at(169)), Change::Back);
        assert_eq!(found.take(failure(), keep, at(200)), Change::Failing);
        assert_eq!(found.take(failure(), keep, at(260)), Change::Gone);
        assert!(found.endpoints.is_empty());
        assert_eq!(found.take(failure(), keep, at(261)), Change::Nothing);
        assert_eq!(found.take(Ok(two.clone()), keep, at(262)), Change::Moved);
        assert_eq!((found.endpoints, found.failure), (two, None));
    }
}
