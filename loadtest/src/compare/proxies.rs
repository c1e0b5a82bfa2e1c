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
    fleet::{self, GatewayOptions, GatewayProcess, Launch, ServerProcess, UsageSink, wait_ready},
    load::Request,
};

/// What every request asks for.
const PATH: &str = "/v1/hello";

/// Ten keys for each of ten tenants, with every kind of limit, each too high ever to refuse.
pub(super) const CLIENTELE: Clientele = Clientele {
    tenants: 10,
    keys_per_tenant: 10,
    plans: r#"
plans:
  - id: loadtest
    name: Load test
    currency: USD
    flat_fee: "999.00"
    charges:
      - { meter: requests, included: 50000000, tiers: [{ price: { amount: "2.00", per: 1000000 } }] }
    quotas:
      - { meter: requests, per_month: 1000000000000 }
    limits:
      tenant: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
      key: { per_second: 10000000, per_minute: 600000000, per_day: 864000000000 }
"#,
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
    let mut process = ServerProcess::start(Launch {
        name: "passthrough".into(),
        program: fleet::binary("passthrough")?,
        arguments: vec![
            "--listen".into(),
            address.to_string().into(),
            "--upstream".into(),
            site.upstream_address.to_string().into(),
        ],
        directory: site.directory().to_owned(),
        cores: Some(site.cores.contestant()),
    })?;
    wait_ready(&mut process, address, "/").await?;
    Ok(Contestant { kind: Kind::Pingora, address, process: Some(process), requests: requests(site), metrics: None })
}

async fn start_nginx(site: &Site) -> Result<Contestant, CompareError> {
    let address = fleet::free_address()?;
    let process = nginx::start(site.directory(), address, site.upstream_address, site.cores.contestant()).await?;
    Ok(Contestant { kind: Kind::Nginx, address, process: Some(process), requests: requests(site), metrics: None })
}

async fn start_gateway(site: &Site) -> Result<Contestant, CompareError> {
    let sink = UsageSink::Http(site.billing.url());
    let options = GatewayOptions {
        cores: Some(site.cores.contestant()),
        ..GatewayOptions::new(site.directory(), site.billing.store(), sink, site.upstream_address)
    };
    let gateway = GatewayProcess::start(options).await?;
    Ok(Contestant {
        kind: Kind::Gateway,
        address: gateway.address(),
        process: Some(gateway.process),
        requests: requests(site),
        metrics: None,
    })
}
