//! The rows of the comparison of decisions: the gateway's `POST /check`, with limits of its own and
//! with shared ones, and a limiter that asks Redis about every request.

use serde_json::{Value, json};
use servers::Redis;

use super::{
    CompareError,
    contestant::Contestant,
    customers::{Customers, Key},
    fixture::Fixture,
    kind::Kind,
    redis_limiter,
};
use crate::{
    load::Request,
    processes::{self, GatewayOptions, GatewayProcess, ProcessError},
};

/// Path of the decision API.
const PATH: &str = "/check";

/// Ten keys for each of a hundred tenants, with four limits for each request, each too high ever to
/// refuse.
pub(super) const CUSTOMERS: Customers = Customers {
    tenants: 100,
    keys_per_tenant: 10,
    terms: r"
    limits:
      tenant: { per_minute: 60000000, per_day: 86400000000 }
      key: { per_second: 1000000, per_minute: 60000000 }
",
};

/// Starts Redis, which runs beside the client, and every row.
pub(super) async fn start_all(fixture: &mut Fixture) -> Result<Vec<Contestant>, CompareError> {
    let redis = Redis::start()?;
    let url = redis.url();
    fixture.redis = Some(redis);
    let alone = json!({});
    let shared = json!({ "redis": { "url": url } });
    let check =
        |key: &Key| Request { method: "POST".into(), ..Request::get(&key.id, PATH) }.header("X-Api-Key", &key.secret);
    let peek = |key: &Key| Request { body: br#"{"mode":"peek"}"#.to_vec(), ..check(key) };
    let checks: Vec<_> = fixture.keys.iter().map(check).collect();
    let peeks = fixture.keys.iter().map(peek).collect();
    Ok(vec![
        start_gateway(fixture, Kind::Check, alone.clone(), checks.clone()).await?,
        start_gateway(fixture, Kind::Peek, alone, peeks).await?,
        start_gateway(fixture, Kind::SharedCheck, shared, checks.clone()).await?,
        start_redis_limiter(fixture, url, checks).await?,
    ])
}

async fn start_gateway(
    fixture: &Fixture,
    kind: Kind,
    limits: Value,
    requests: Vec<Request>,
) -> Result<Contestant, CompareError> {
    let address = processes::free_address()?;
    let options =
        GatewayOptions { name: kind.name().replace(", ", "-"), decision: Some(address), limits, ..fixture.gateway() };
    let gateway = GatewayProcess::start(options).await?;
    let metrics = Some(gateway.admin());
    Ok(Contestant { kind, address, process: Some(gateway.process), requests, metrics })
}

async fn start_redis_limiter(
    fixture: &Fixture,
    redis: String,
    requests: Vec<Request>,
) -> Result<Contestant, CompareError> {
    let address = processes::free_address()?;
    let caller = |key: &Key| redis_limiter::Caller {
        secret: key.secret.clone(),
        key: key.id.clone(),
        tenant: key.tenant.clone(),
    };
    let settings = redis_limiter::Settings {
        listen: address,
        redis,
        limits: fixture.limits.clone(),
        callers: fixture.keys.iter().map(caller).collect(),
    };
    let file = fixture.directory().join("redis_limiter.json");
    let failed = |source| ProcessError::File { file: file.display().to_string(), source };
    let text = serde_json::to_vec(&settings).map_err(|error| failed(error.into()))?;
    std::fs::write(&file, text).map_err(failed)?;
    let arguments = vec!["--config".into(), file.into()];
    let process = fixture.launch("redis_limiter", arguments, address, redis_limiter::HEALTH_PATH).await?;
    Ok(Contestant { kind: Kind::RedisLimiter, address, process: Some(process), requests, metrics: Some(address) })
}
