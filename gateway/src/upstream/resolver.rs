//! Looking names up: `/etc/hosts` first, then DNS, then whatever else the system is set up for.
//!
//! DNS is asked here rather than through the system's resolver, as that one tells neither for how
//! long an answer counts nor the records of a service. The system's files are read anew each time,
//! so that a changed one counts at once.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::{
        op::Query,
        rr::{Name, RData, RecordType, rdata::SRV},
    },
};
use tokio::{net::lookup_host, task::JoinSet, time::timeout};

use super::endpoint::Endpoint;
use crate::config::{AddressFamily, DnsSettings, Host, ServerAddress};

/// Longest time for one answer of a DNS server, which is then asked once more, or another one is.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Longest time for all of a look-up.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(15);

/// Most servers of a service that are looked up.
const TARGETS_MAX: usize = 256;

/// The largest weight that a server has.
const WEIGHT_MAX: u32 = 100;

/// The path of the system's own names.
const HOSTS: &str = "/etc/hosts";

/// The servers behind a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) endpoints: Vec<Endpoint>,
    /// Time for which the answer counts; none if nobody says.
    pub(super) ttl: Option<Duration>,
}

/// Finds the servers behind names.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    /// Every server behind a name.
    async fn resolve(&self, server: &ServerAddress, dns: &DnsSettings) -> Result<Answer, String>;
}

/// Looks names up over the network and in the system's files.
pub(super) struct NetworkResolver;

/// Addresses of a name, and for how long they count.
type Addresses = (Vec<IpAddr>, Option<Duration>);

#[async_trait]
impl Resolve for NetworkResolver {
    async fn resolve(&self, server: &ServerAddress, dns: &DnsSettings) -> Result<Answer, String> {
        let look_up = async {
            match &server.host {
                Host::Address(address) => Ok(Answer { endpoints: vec![endpoint(*address, server.port)], ttl: None }),
                Host::Name(name) => {
                    let (addresses, ttl) = addresses(name, dns).await?;
                    let endpoints = addresses.into_iter().map(|address| endpoint(address, server.port));
                    Ok(Answer { endpoints: endpoints.collect(), ttl })
                }
                Host::Service(name) => service(name, dns).await,
            }
        };
        timeout(LOOKUP_PATIENCE, look_up).await.unwrap_or_else(|_| Err("no DNS server answered in time".into()))
    }
}

fn endpoint(address: IpAddr, port: u16) -> Endpoint {
    SocketAddr::new(address, port).into()
}

/// The addresses of a name.
async fn addresses(name: &str, dns: &DnsSettings) -> Result<Addresses, String> {
    if !dns.servers.is_empty() {
        return ask(name, dns).await;
    }
    let of_hosts = in_hosts(name, dns.family).await;
    if !of_hosts.is_empty() {
        return Ok((of_hosts, None));
    }
    if let Ok(answer) = ask(name, dns).await {
        return Ok(answer);
    }
    // Names that no DNS server knows: mDNS, LDAP, the machine's own.
    let found = lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    Ok((found.map(|address| address.ip()).collect(), None))
}

/// The addresses of a name in the system's own file.
async fn in_hosts(name: &str, family: AddressFamily) -> Vec<IpAddr> {
    let (Ok(text), Ok(name)) = (tokio::fs::read(HOSTS).await, Name::from_utf8(name)) else { return Vec::new() };
    let mut hosts = Hosts::default();
    if hosts.read_hosts_conf(text.as_slice()).is_err() {
        return Vec::new();
    }
    let lookups =
        record_types(family).iter().filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), *kind)));
    lookups
        .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
        .collect()
}

const fn record_types(family: AddressFamily) -> &'static [RecordType] {
    match family {
        AddressFamily::Any => &[RecordType::A, RecordType::AAAA],
        AddressFamily::Ipv4 => &[RecordType::A],
        AddressFamily::Ipv6 => &[RecordType::AAAA],
    }
}

/// The addresses of a name, by DNS.
async fn ask(name: &str, dns: &DnsSettings) -> Result<Addresses, String> {
    let found = resolver(dns)?.lookup_ip(name).await.map_err(|error| error.to_string())?;
    Ok((found.iter().collect(), Some(found.valid_until().saturating_duration_since(Instant::now()))))
}

/// The servers of a service: the targets of its SRV records, each with all its addresses.
async fn service(name: &str, dns: &DnsSettings) -> Result<Answer, String> {
    let found = resolver(dns)?.lookup(name, RecordType::SRV).await.map_err(|error| error.to_string())?;
    let mut records: Vec<SRV> = found
        .answers()
        .iter()
        .filter_map(|record| if let RData::SRV(srv) = &record.data { Some(srv.clone()) } else { None })
        .filter(|srv| !srv.target.is_root() && srv.port != 0)
        .collect();
    if records.is_empty() {
        return Err("the service has no servers".into());
    }
    records.truncate(TARGETS_MAX);
    let mut ttl = Some(found.valid_until().saturating_duration_since(Instant::now()));
    let mut lookups = JoinSet::new();
    for (target, srv) in records.iter().map(target).zip(records.clone()) {
        let dns = dns.clone();
        lookups.spawn(async move { (addresses(&target, &dns).await, target, srv) });
    }
    let (mut endpoints, mut failure) = (Vec::new(), None);
    for (outcome, target, srv) in lookups.join_all().await {
        match outcome {
            Ok((addresses, of_addresses)) => {
                ttl = ttl.into_iter().chain(of_addresses).min();
                let weight = weight(&srv, &records);
                let of_target = |address| Endpoint {
                    address: SocketAddr::new(address, srv.port),
                    target: Some(target.as_str().into()),
                    weight: Some(weight),
                    priority: srv.priority,
                };
                endpoints.extend(addresses.into_iter().map(of_target));
            }
            Err(error) => failure = Some(format!("{target}: {error}")),
        }
    }
    // A target without addresses is left out, as long as there are others.
    match failure.filter(|_| endpoints.is_empty()) {
        Some(failure) => Err(failure),
        None => Ok(Answer { endpoints, ttl }),
    }
}

/// The name of a target, without the dot at its end.
fn target(srv: &SRV) -> String {
    let name = srv.target.to_ascii().to_ascii_lowercase();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

/// The weight of a record among those of its priority, at most 100.
fn weight(srv: &SRV, records: &[SRV]) -> u32 {
    let peers = records.iter().filter(|other| other.priority == srv.priority);
    let most = u32::from(peers.map(|other| other.weight).max().unwrap_or(0)).max(1);
    let scaled = (u32::from(srv.weight) * WEIGHT_MAX + most / 2) / most;
    if most <= WEIGHT_MAX { u32::from(srv.weight).max(1) } else { scaled.max(1) }
}

/// A resolver that asks the upstream's own DNS servers, or those that the system names.
fn resolver(dns: &DnsSettings) -> Result<TokioResolver, String> {
    let told = |error: hickory_resolver::net::NetError| error.to_string();
    let mut builder = if dns.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(told)?
    } else {
        let servers = dns.servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().timeout = ANSWER_PATIENCE;
        builder
    };
    let options = builder.options_mut();
    options.ip_strategy = match dns.family {
        AddressFamily::Any => LookupIpStrategy::Ipv4AndIpv6,
        AddressFamily::Ipv4 => LookupIpStrategy::Ipv4Only,
        AddressFamily::Ipv6 => LookupIpStrategy::Ipv6Only,
    };
    options.use_hosts_file = ResolveHosts::Never;
    // Each answer is asked for when the last one is over.
    options.cache_size = 0;
    builder.build().map_err(told)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16) -> SRV {
        SRV::new(priority, weight, 80, Name::from_utf8("One.Test.").unwrap())
    }

    #[test]
    fn weights_of_a_service_keep_their_proportion_within_a_hundred() {
        let weights = |records: &[SRV]| records.iter().map(|srv| weight(srv, records)).collect::<Vec<_>>();
        assert_eq!(weights(&[record(0, 0), record(0, 0)]), [1, 1]);
        assert_eq!(weights(&[record(0, 60), record(0, 20), record(0, 0)]), [60, 20, 1]);
        assert_eq!(weights(&[record(0, 1_000), record(0, 500), record(0, 1)]), [100, 50, 1]);
        assert_eq!(weights(&[record(0, 65_535), record(1, 7)]), [100, 7]);
        assert_eq!(target(&record(0, 0)), "one.test");
    }
}
