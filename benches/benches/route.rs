//! A request finds its route among ten, a hundred and ten thousand, and as many are checked.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

use std::{fmt::Write as _, hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::{
    config::{Overrides, Settings},
    limit::Limiter,
    route::{Headers, RequestView, Route, RouteError, Table},
};
use http::{HeaderMap, Method};

const ROUTES: usize = 100;
const HOST: &str = "api.example.com";

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for (name, host) in [("any_host", None), ("exact_host", Some(HOST)), ("wildcard_host", Some("*.example.com"))] {
        let table = table(host, ROUTES);
        group.bench_function(name, |bencher| {
            bencher.iter(|| find(&table, black_box("/v1/resource-43/items/4711")).expect("a route").units.estimate());
        });
    }
    for routes in [10, 10_000] {
        let table = table(None, routes);
        group.bench_function(format!("any_host/{routes}"), |bencher| {
            bencher.iter(|| find(&table, black_box("/v1/resource-3/items/4711")).expect("a route").units.estimate());
        });
        group.bench_function(format!("parameters/{routes}"), |bencher| {
            let path = "/v1/resource-3/users/4711/items/42";
            bencher.iter(|| find(&table, black_box(path)).expect("a route").units.estimate());
        });
    }

    let table = table(Some(HOST), ROUTES);
    group.bench_function("no_route", |bencher| {
        bencher.iter(|| find(&table, black_box("/v2/resource-73/items/4711")).expect_err("no route"));
    });
    group.finish();
}

/// Reading and checking a file takes time in proportion to its routes.
fn check(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check_routes");
    group.sample_size(10);
    for routes in [10, 1_000, 10_000] {
        let yaml = yaml(None, routes);
        group.throughput(Throughput::Elements(routes as u64));
        group.bench_function(routes.to_string(), |bencher| {
            bencher.iter(|| Settings::parse(&yaml, "bench.yaml", &Overrides::default()).expect("valid routes"));
        });
    }
    group.finish();
}

fn find<'a>(table: &'a Table, path: &str) -> Result<&'a Route, RouteError> {
    let headers = HeaderMap::new();
    let headers = Headers::Known(&headers);
    let request = RequestView { host: Some(HOST), path, method: &Method::GET, headers, query: None };
    table.find(&request).map(AsRef::as_ref)
}

fn table(host: Option<&str>, routes: usize) -> Table {
    let settings = Settings::parse(&yaml(host, routes), "bench.yaml", &Overrides::default()).expect("valid routes");
    let limiter = Limiter::new();
    let routes: Vec<_> = settings.routes.into_iter().map(|route| Arc::new(Route::new(route, &limiter))).collect();
    Table::new(&routes)
}

/// Half of the routes are prefixes, half have parameters.
fn yaml(host: Option<&str>, routes: usize) -> String {
    let mut yaml = "upstreams: { demo: { servers: ['http://127.0.0.1:9000'] } }\nroutes:\n".to_owned();
    let hosts = host.map_or_else(String::new, |host| format!("hosts: ['{host}'], "));
    for number in 0..routes.div_ceil(2) {
        let prefix = format!("path_prefix: /v1/resource-{number}");
        let parameters = format!("path: '/v1/resource-{number}/users/{{user}}/items/{{item}}'");
        for (kind, path) in [("below", prefix), ("item", parameters)] {
            let _ = writeln!(yaml, "  - {{ name: {kind}-{number}, {hosts}{path}, methods: [GET], upstream: demo }}");
        }
    }
    yaml
}

criterion_group!(benches, route, check);
criterion_main!(benches);
