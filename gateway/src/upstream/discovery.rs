//! The addresses behind the names of servers, looked up again and again.
//!
//! Invariant: a name that resolved once keeps its last addresses for as long as `dns.keep_seconds`
//! says, whatever the resolver does; a name that does not resolve is a server that is down, and
//! never the end of a configuration.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::Upstream;
use crate::config::{AddressFamily, Host, ServerAddress, UpstreamSettings};

/// Time from a failed look-up to the next while a name has no address at all, if the interval is
/// longer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Finds the addresses of names.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    /// Every address of a name, with this port.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system: `/etc/hosts`, DNS, and whatever else it is set up for.
pub(super) struct SystemResolver;

/// A server of the configuration, and the addresses that it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
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

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

impl Found {
    /// The state before the first look-up: an address is its own.
    pub(super) fn before_lookup(server: &ServerAddress) -> Self {
        let addresses = match server.host {
            Host::Address(address) => vec![SocketAddr::new(address, server.port)],
            Host::Name(_) => Vec::new(),
        };
        Self { addresses, failure: None, failing_since: None }
    }

    /// Takes the answer of a look-up. Addresses outlive failures for `keep`.
    fn take(&mut self, answer: Result<Vec<SocketAddr>, String>, keep: Duration, now: Instant) -> Change {
        match answer {
            Ok(addresses) => {
                let failed = self.failure.take().is_some();
                self.failing_since = None;
                if addresses != self.addresses {
                    self.addresses = addresses;
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
                if self.addresses.is_empty() {
                    return if is_new { Change::Gone } else { Change::Nothing };
                }
                if now.duration_since(since) >= keep {
                    self.addresses.clear();
                    return Change::Gone;
                }
                if is_new { Change::Failing } else { Change::Nothing }
            }
        }
    }
}

/// Looks a name up: its addresses of the wanted family in a fixed order, at least one, or why there
/// is none.
pub(super) async fn look_up(
    resolver: &dyn Resolve,
    server: &ServerAddress,
    family: AddressFamily,
) -> Result<Vec<SocketAddr>, String> {
    let Host::Name(name) = &server.host else { return Ok(Found::before_lookup(server).addresses) };
    let mut addresses = resolver.resolve(name, server.port).await.map_err(|error| error.to_string())?;
    if addresses.is_empty() {
        return Err("the name has no addresses".into());
    }
    addresses.retain(|address| match family {
        AddressFamily::Any => true,
        AddressFamily::Ipv4 => address.is_ipv4(),
        AddressFamily::Ipv6 => address.is_ipv6(),
    });
    if addresses.is_empty() {
        return Err("the name has no addresses of the family that `dns.family` names".into());
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
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
        let answer = look_up(&*resolver, &settings.servers[index].address, settings.dns.family).await;
        let Some(current) = upstream.upgrade() else { return };
        let has_addresses = current.found(index, answer);
        drop(current);
        let pause = if has_addresses { settings.dns.interval } else { settings.dns.interval.min(RETRY_INTERVAL) };
        tokio::select! {
            () = sleep(pause) => {}
            () = wake.notified() => {}
        }
    }
}

impl Upstream {
    /// Takes the answer of a look-up. Returns whether the name has addresses now.
    pub(super) fn found(&self, index: usize, answer: Result<Vec<SocketAddr>, String>) -> bool {
        let settings = self.settings();
        let (change, now_known) = self.change_servers(|found| {
            let found = &mut found[index];
            let change = found.take(answer, settings.dns.keep, Instant::now());
            (matches!(change, Change::Moved | Change::Gone), (change, found.clone()))
        });
        self.looked_up(index);
        tell(settings, &settings.servers[index].address, &change, &now_known);
        !now_known.addresses.is_empty()
    }
}

/// One line whenever something about a name changes.
fn tell(settings: &UpstreamSettings, server: &ServerAddress, change: &Change, found: &Found) {
    let (upstream, error) = (&*settings.name, found.failure.as_deref());
    let addresses = found.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
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
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    struct Fixed(Vec<SocketAddr>);

    #[async_trait]
    impl Resolve for Fixed {
        async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn look_up_gives_each_address_of_the_family_once_in_order() {
        let server = ServerAddress::parse("a.test:80").unwrap();
        let resolver = Fixed(addresses(&["10.0.0.2:80", "[::1]:80", "10.0.0.1:80", "10.0.0.2:80"]));
        let cases = [
            (AddressFamily::Any, addresses(&["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"])),
            (AddressFamily::Ipv4, addresses(&["10.0.0.1:80", "10.0.0.2:80"])),
            (AddressFamily::Ipv6, addresses(&["[::1]:80"])),
        ];
        for (family, expected) in cases {
            assert_eq!(look_up(&resolver, &server, family).await, Ok(expected), "{family:?}");
        }
        let only_ipv4 = Fixed(addresses(&["10.0.0.2:80"]));
        assert!(look_up(&only_ipv4, &server, AddressFamily::Ipv6).await.unwrap_err().contains("dns.family"));
        assert!(look_up(&Fixed(Vec::new()), &server, AddressFamily::Any).await.unwrap_err().contains("no addresses"));
    }

    #[test]
    fn name_keeps_its_last_addresses_for_the_stated_time_and_takes_new_ones_at_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let keep = Duration::from_mins(1);
        let failure = || Err("no such name".to_owned());
        let (one, two) = (addresses(&["10.0.0.1:80"]), addresses(&["10.0.0.2:80"]));
        let mut found = Found::default();
        assert_eq!(found.take(failure(), keep, at(0)), Change::Gone);
        assert_eq!(found.take(failure(), keep, at(100)), Change::Nothing);
        assert_eq!(found.take(Ok(one.clone()), keep, at(101)), Change::Moved);
        assert_eq!(found.take(Ok(one.clone()), keep, at(102)), Change::Nothing);
        assert_eq!(found.take(failure(), keep, at(110)), Change::Failing);
        assert_eq!(found.take(failure(), keep, at(169)), Change::Nothing);
        assert_eq!(found.addresses, one);
        assert_eq!(found.take(Ok(one.clone()), keep, at(169)), Change::Back);
        assert_eq!(found.take(failure(), keep, at(200)), Change::Failing);
        assert_eq!(found.take(failure(), keep, at(260)), Change::Gone);
        assert!(found.addresses.is_empty());
        assert_eq!(found.take(failure(), keep, at(261)), Change::Nothing);
        assert_eq!(found.take(Ok(two.clone()), keep, at(262)), Change::Moved);
        assert_eq!((found.addresses, found.failure), (two, None));
    }
}
