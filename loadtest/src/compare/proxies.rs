//! The rows of the comparison of proxies: no proxy, a bare Pingora, nginx, the gateway with
//! everything on.

use super::{
    CompareError, Options,
    contestant::Contestant,
    customers::{Customers, Key},
    fixture::Fixture,
    kind::Kind,
    nginx,
};
use crate::{
    load::Request,
    processes::{self, GatewayProcess},
};

/// Path of every request.
const PATH: &str = "/v1/hello";

/// Ten keys for each of ten tenants, with every kind of limit, each too high ever to refuse.
pub(super) const CUSTOMERS: Customers = Customers {
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
pub(super) async fn start_all(fixture: &Fixture, options: &Options) -> Result<Vec<Contestant>, CompareError> {
    let upstream = Contestant {
        kind: Kind::Upstream,
        address: fixture.upstream_address,
        process: None,
        requests: requests(fixture),
        metrics: None,
    };
    let mut contestants = vec![upstream, start_pingora(fixture).await?];
    if !options.without_nginx {
        contestants.push(start_nginx(fixture).await?);
    }
    contestants.push(start_gateway(fixture).await?);
    Ok(contestants)
}

fn requests(fixture: &Fixture) -> Vec<Request> {
    let request = |key: &Key| Request::get(&key.id, PATH).bearer(&key.secret);
    fixture.keys.iter().map(request).collect()
}

async fn start_pingora(fixture: &Fixture) -> Result<Contestant, CompareError> {
    let address = processes::free_address()?;
    let (listen, upstream) = (address.to_string(), fixture.upstream_address.to_string());
    let arguments = vec!["--listen".into(), listen.into(), "--upstream".into(), upstream.into()];
    let process = fixture.launch("passthrough", arguments, address, "/").await?;
    Ok(Contestant { kind: Kind::Pingora, address, process: Some(process), requests: requests(fixture), metrics: None })
}

async fn start_nginx(fixture: &Fixture) -> Result<Contestant, CompareError> {
    let address = processes::free_address()?;
    let process =
        nginx::start(fixture.directory(), address, fixture.upstream_address, fixture.cores.contestant()).await?;
    Ok(Contestant { kind: Kind::Nginx, address, process: Some(process), requests: requests(fixture), metrics: None })
}

async fn start_gateway(fixture: &Fixture) -> Result<Contestant, CompareError> {
    let gateway = GatewayProcess::start(fixture.gateway()).await?;
    Ok(Contestant {
        kind: Kind::Gateway,
        address: gateway.address(),
        process: Some(gateway.process),
        requests: requests(fixture),
        metrics: None,
    })
}
