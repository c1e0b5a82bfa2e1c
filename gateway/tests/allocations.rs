//! Recording usage allocates nothing, once the names of route and meter were seen; finding the route
//! of a plain request allocates nothing, either.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::UsageRecord,
};
use gateway::{
    config::{Overrides, Settings},
    limit::Limiter,
    meter::{Meter, MeterSettings},
    route::{Headers, RequestView, Route, Table},
};
use http::{HeaderMap, Method};

fn record() -> UsageRecord {
    UsageRecord {
        at: Micros(1_793_491_200_000_000),
        tenant: TenantId::generate(),
        key: KeyId::generate(),
        route: "search".into(),
        meter: "requests".into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

fn open(directory: &tempfile::TempDir) -> Arc<Meter> {
    Meter::open(MeterSettings::new(directory.path(), "edge-1"), &prometheus::Registry::new()).unwrap()
}

#[test]
fn appending_a_record_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (meter, record) = (open(&directory), record());
    let first = measure(|| meter.record(&record).unwrap());
    assert!(first.count_total > 0, "new names are kept: the counter counts");
    let later = measure(|| {
        for _ in 0..10_000 {
            assert!(meter.has_room());
            meter.record(&record).unwrap();
        }
    });
    assert_eq!(later.count_total, 0, "{later:?}");
}

#[test]
fn finding_a_route_allocates_nothing() {
    let text = "upstreams: { a: { servers: ['127.0.0.1:1'] } }
routes:
  - { name: all, path_prefix: /, upstream: a }
  - { name: user, hosts: [api.test], path: '/users/{id}', methods: [GET], upstream: a }
  - { name: beta, hosts: [api.test], path: '/users/{id}', headers: { X-Beta: '1' }, query: { v: '2' }, upstream: a }
";
    let settings = Settings::parse(text, "gateway.yaml", &Overrides::default()).unwrap();
    let limiter = Limiter::new();
    let routes: Vec<_> = settings.routes.into_iter().map(|route| Arc::new(Route::new(route, &limiter))).collect();
    let table = Table::new(&routes);
    let beta: HeaderMap = [("x-beta".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
    for (path, headers, name) in
        [("/users/7", &HeaderMap::new(), "user"), ("/users/7", &beta, "beta"), ("/x/y", &beta, "all")]
    {
        let request = RequestView {
            host: Some("api.test:8080"),
            path,
            method: &Method::GET,
            headers: Headers::Known(headers),
            query: Some("q=1&v=2"),
        };
        assert_eq!(&*table.find(&request).unwrap().name, name);
        let used = measure(|| assert!(table.find(&request).is_ok()));
        assert_eq!(used.count_total, 0, "{path}: {used:?}");
    }
}
