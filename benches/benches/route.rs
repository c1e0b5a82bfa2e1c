//! A request finds its route among a hundred.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

use std::{fmt::Write as _, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::{
    config::{Overrides, Settings},
    limit::Limiter,
    route::{Route, RouteError, Table, decode_path},
};
use http::Method;

const ROUTES: usize = 100;
const HOST: &str = "api.example.com";

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for (name, host) in [("any_host", None), ("exact_host", Some(HOST)), ("wildcard_host", Some("*.example.com"))] {
        let table = table(host);
        group.bench_function(name, |bencher| {
            bencher.iter(|| find(&table, black_box("/v1/resource-73/items/4711")).expect("a route").units.estimate());
        });
    }

    let table = table(Some(HOST));
    group.bench_function("no_route", |bencher| {
        bencher.iter(|| find(&table, black_box("/v2/resource-73/items/4711")).expect_err("no route"));
    });
    group.finish();
}

fn find<'a>(table: &'a Table, path: &str) -> Result<&'a Route, RouteError> {
    let path = decode_path(path).expect("a plain path");
    table.find(Some(HOST), &path, &Method::GET).map(AsRef::as_ref)
}

fn table(host: Option<&str>) -> Table {
    let mut yaml = "upstreams: { demo: { servers: ['http://127.0.0.1:9000'] } }\nroutes:\n".to_owned();
    let hosts = host.map_or_else(String::new, |host| format!("hosts: ['{host}'], "));
    for number in 0..ROUTES {
        let _ = writeln!(
            yaml,
            "  - {{ name: route-{number}, {hosts}path_prefix: /v1/resource-{number}, methods: [GET], upstream: demo }}"
        );
    }
    let settings = Settings::parse(&yaml, "bench.yaml", &Overrides::default()).expect("valid routes");
    let limiter = Limiter::new();
    let routes: Vec<_> = settings.routes.into_iter().map(|route| Arc::new(Route::new(route, &limiter))).collect();
    Table::new(&routes)
}

criterion_group!(benches, route);
criterion_main!(benches);
