//! The rows of the comparison of proxies: no proxy, a bare Pingora, nginx, the gateway with everything on.

use super::{
    CompareError, Options,
    clientele::{Clientele, Key},
    contestant::Contestant,
    kind::Kind,
    nginx,
    site::Site,
};
use crate::{
    fleet::{self, GatewayProcess},
    load::Request,
};

/// What every request asks for.
const PATH: &str = "/v1/hello";

/// Ten keys for each of ten tenants, with every kind of limit, each too high ever to refuse.
pub(super) const CLIENTELE: Clientele = Clientele {
    tenants: 10,
    keys_per_tenant: 10,
    terms: r"
    quotas:
      - { meter: requests, per_month: 1000000000000 }
    limits:
      tenant: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
      key: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
",
};

/// Starts every row; the upstream runs already.
pub(super) async fn start_all(site: &Site, options: &Options) -> Result<Vec<Contestant>, CompareError> {
    let upstream = Contestant {
        kind: Kind::Upstream,
        address: site.upstream_address,
        process: None,
        requests: requests(site),
        metrics: None,
    };
    let mut contestants = vec![upstream, start_pingora(site).await?];
    if !options.without_nginx {
        contestants.push(start_nginx(site).await?);
    }
    contestants.push(start_gateway(site).await?);
    Ok(contestants)
}

fn requests(site: &Site) -> Vec<Request> {
    let request = |key: &Key| Request::get(&key.id, PATH).bearer(&key.secret);
    site.keys.iter().map(request).collect()
}

async fn start_pingora(site: &Site) -> Result<Contestant, CompareError> {
    let address = fleet::free_address()?;
    let (listen, upstream) = (address.to_string(), site.upstream_address.to_string());
    let arguments = vec!["--listen".into(), listen.into(), "--upstream".into(), upstream.into()];
    let process = site.launch("passthrough", arguments, address, "/").await?;
    Ok(Contestant { kind: Kind::Pingora, address, process: Some(process), requests: requests(site), metrics: None })
}

async fn start_nginx(site: &Site) -> Result<Contestant, CompareError> {
    let address = fleet::free_address()?;
    let process = nginx::start(site.directory(), address, site.upstream_address, site.cores.contestant()).await?;
    Ok(Contestant { kind: Kind::Nginx, address, process: Some(process), requests: requests(site), metrics: None })
}

async fn start_gateway(site: &Site) -> Result<Contestant, CompareError> {
    let gateway = GatewayProcess::start(site.gateway()).await?;
    Ok(Contestant {
        kind: Kind::Gateway,
        address: gateway.address(),
        process: Some(gateway.process),
        requests: requests(site),
        metrics: None,
    })
}
