//! Envoy's rate limit service, asked by a client of gRPC.

use common::key::{KeyUpdate, Secret};
use gateway::decision::envoy::{
    SERVICE, SHOULD_RATE_LIMIT,
    health::{CHECK, HealthCheckRequest, HealthCheckResponse, Serving, WATCH},
    raw::RawCodec,
    wire::{Code, Entry, HeaderValue, RateLimitDescriptor, RateLimitRequest, RateLimitResponse, Unit},
};
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::{client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{
    api::Api,
    support::{Fixture, now},
};

/// Entries of several descriptors.
type Descriptors<'a> = &'a [&'a [(&'a str, &'a str)]];

struct Client(Grpc<Channel>);

impl Client {
    async fn connect(api: &Api) -> Self {
        let channel = Channel::from_shared(format!("http://{}", api.grpc)).unwrap().connect().await.unwrap();
        Self(Grpc::new(channel))
    }

    async fn call(
        &mut self,
        path: &'static str,
        request: RateLimitRequest,
    ) -> Result<RateLimitResponse, tonic::Status> {
        self.0.ready().await.unwrap();
        let codec = ProstCodec::<RateLimitRequest, RateLimitResponse>::default();
        let answer = self.0.unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn ask(&mut self, descriptors: Descriptors<'_>, hits_addend: u32) -> RateLimitResponse {
        let descriptors = descriptors.iter().map(|entries| descriptor(entries)).collect();
        let request = RateLimitRequest { domain: "edge".into(), descriptors, hits_addend };
        self.call(SHOULD_RATE_LIMIT, request).await.unwrap()
    }

    /// A call with these bytes as its message.
    async fn raw(&mut self, message: &'static [u8]) -> RateLimitResponse {
        self.0.ready().await.unwrap();
        let request = tonic::Request::new(bytes::Bytes::from_static(message));
        let answer = self.0.unary(request, PathAndQuery::from_static(SHOULD_RATE_LIMIT), RawCodec).await.unwrap();
        prost::Message::decode(answer.into_inner()).unwrap()
    }

    async fn health(&mut self, service: &str) -> Result<Serving, tonic::Status> {
        self.0.ready().await.unwrap();
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let request = tonic::Request::new(HealthCheckRequest { service: service.into() });
        let answer = self.0.unary(request, PathAndQuery::from_static(CHECK), codec).await?;
        Ok(answer.get_ref().status())
    }

    async fn watch(&mut self, service: &str) -> tonic::Streaming<HealthCheckResponse> {
        self.0.ready().await.unwrap();
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let request = tonic::Request::new(HealthCheckRequest { service: service.into() });
        self.0.server_streaming(request, PathAndQuery::from_static(WATCH), codec).await.unwrap().into_inner()
    }
}

fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into() };
    RateLimitDescriptor { entries: entries.iter().map(entry).collect(), ..RateLimitDescriptor::default() }
}

fn header<'a>(headers: &'a [HeaderValue], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.key == name).map(|header| header.value.as_str())
}

/// The code of the problem that is told.
fn problem(answer: &RateLimitResponse) -> String {
    assert_eq!(answer.overall_code(), Code::OverLimit);
    assert_eq!(header(&answer.response_headers_to_add, "content-type"), Some("application/problem+json"));
    let body: Value = serde_json::from_slice(&answer.raw_body).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_decided_and_billed_as_the_proxy_would() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    let bearer = format!("Bearer {}", customer.secret.expose());
    let request: &[(&str, &str)] = &[("api_key", customer.secret.expose()), ("path", "/fixed?a=b"), ("method", "POST")];
    let allowed = client.ask(&[request], 0).await;
    assert_eq!((allowed.overall_code(), allowed.statuses.len()), (Code::Ok, 1));
    let status = &allowed.statuses[0];
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!((status.code(), status.limit_remaining), (Code::Ok, 2));
    assert_eq!((limit.requests_per_unit, limit.unit(), limit.name.as_str()), (3, Unit::Minute, "key-minute"));
    assert!((1..=60).contains(&status.duration_until_reset.as_ref().unwrap().seconds));
    assert_eq!(header(&allowed.response_headers_to_add, "x-ratelimit-remaining"), Some("2"));
    assert!(header(&allowed.response_headers_to_add, "ratelimit").unwrap().contains("\"key-minute\";r=2;t="));
    assert!(allowed.raw_body.is_empty());

    // Entries of several descriptors describe one request, which is consumed once.
    let split: Descriptors<'_> = &[&[("authorization", &bearer), ("remote_address", "10.0.0.1")], &[("path", "/")]];
    let allowed = client.ask(split, 7).await;
    assert_eq!(allowed.statuses.len(), 2);
    assert!(allowed.statuses.iter().all(|status| status.code() == Code::Ok && status.limit_remaining == 1));
    assert_eq!(api.gateway.status("/", &customer.secret).await, 200);

    let denied = client.ask(&[request], 0).await;
    assert_eq!(problem(&denied), "rate_limited");
    assert_eq!(denied.statuses.iter().map(|status| status.limit_remaining).collect::<Vec<_>>(), [0]);
    assert!(header(&denied.response_headers_to_add, "retry-after").is_some());
    api.end().await;
    let mut found: Vec<_> = fixture
        .billing
        .records(customer.tenant)
        .iter()
        .map(|record| (record.route.to_string(), record.units, record.status))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("all".to_owned(), 1, 200), ("all".to_owned(), 7, 200), ("fixed".to_owned(), 5, 200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_request_is_over_limit_and_no_grpc_error() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    let good = customer.secret.expose();
    let stranger = Secret::generate(common::key::Mode::Live);
    let cases: [(Descriptors<'_>, u32, &str); 10] = [
        (&[], 0, "missing_credential"),
        (&[&[("path", "/")]], 0, "missing_credential"),
        (&[&[("api_key", "")]], 0, "malformed_key"),
        (&[&[("api_key", stranger.expose())]], 0, "unknown_key"),
        (&[&[("authorization", good)]], 0, "unsupported_scheme"),
        (&[&[("api_key", good), ("authorization", "Bearer x")]], 0, "ambiguous_credential"),
        (&[&[("api_key", good), ("path", "/a/../b")]], 0, "invalid_request"),
        (&[&[("api_key", good), ("path", "/a")], &[("path", "/b")]], 0, "invalid_request"),
        (&[&[("api_key", good), ("path", "/"), ("method", "G E T")]], 0, "invalid_request"),
        (&[&[("api_key", good)]], 1_000_000_001, "invalid_request"),
    ];
    for (descriptors, hits_addend, code) in cases {
        let answer = client.ask(descriptors, hits_addend).await;
        assert_eq!(problem(&answer), code, "{code}");
        assert_eq!(answer.statuses.len(), descriptors.len());
    }
    let unknown = client.call("/envoy.service.ratelimit.v3.RateLimitService/Other", RateLimitRequest::default()).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::Unimplemented);
    assert_eq!(client.ask(&[&[("api_key", good)]], 0).await.overall_code(), Code::Ok);
    api.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_is_refused_and_bills_nothing() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    let good = descriptor(&[("api_key", customer.secret.expose())]);
    let refund = RateLimitDescriptor { is_negative_hits: true, ..descriptor(&[("path", "/")]) };
    let cases: [(Vec<RateLimitDescriptor>, u32); 3] = [
        (vec![RateLimitDescriptor { is_negative_hits: true, hits_addend: Some(1_000), ..good.clone() }], 0),
        (vec![RateLimitDescriptor { is_negative_hits: true, ..good.clone() }], 1_000),
        (vec![good.clone(), refund], 0),
    ];
    for (descriptors, hits_addend) in cases {
        let request = RateLimitRequest { domain: "edge".into(), descriptors, hits_addend };
        let answer = client.call(SHOULD_RATE_LIMIT, request).await.unwrap();
        assert_eq!(problem(&answer), "invalid_request");
        assert!(String::from_utf8_lossy(&answer.raw_body).contains("is_negative_hits"));
    }
    let of = |units| RateLimitDescriptor { hits_addend: Some(units), ..good.clone() };
    let quarrel = RateLimitRequest { domain: "edge".into(), descriptors: vec![of(1), of(2)], hits_addend: 0 };
    assert_eq!(problem(&client.call(SHOULD_RATE_LIMIT, quarrel).await.unwrap()), "invalid_request");
    let agreed = RateLimitRequest { domain: "edge".into(), descriptors: vec![of(2), of(2)], hits_addend: 9 };
    assert_eq!(client.call(SHOULD_RATE_LIMIT, agreed).await.unwrap().overall_code(), Code::Ok);
    api.end().await;
    let units: Vec<_> = fixture.billing.records(customer.tenant).iter().map(|record| record.units).collect();
    assert_eq!(units, [2]);
}

/// Key and value of a descriptor's entry.
type Pair<'a> = (&'a [u8], &'a [u8]);

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_message_is_over_limit_and_no_grpc_error() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    let good = customer.secret.expose().as_bytes();
    let odd: &[u8] = b"caf\xe9\xff";
    let cases: [(&[Pair], &str); 6] = [
        (&[(b"api_key", odd)], "malformed_key"),
        (&[(b"authorization", b"Bearer \xff\xfe")], "malformed_key"),
        (&[(b"api_key", good), (b"path", odd)], "invalid_request"),
        (&[(b"api_key", good), (b"path", b"/"), (b"host", odd)], "invalid_request"),
        (&[(b"api_key", good), (b"path", b"/"), (b"method", odd)], "invalid_request"),
        (&[(b"api_key", good), (b"remote_address", odd)], "invalid_request"),
    ];
    let request = |entries: &[Pair]| {
        let entry = |(key, value): &Pair| Entry { key: key.to_vec(), value: value.to_vec() };
        let entries = entries.iter().map(entry).collect();
        let descriptor = RateLimitDescriptor { entries, ..RateLimitDescriptor::default() };
        RateLimitRequest { domain: b"edge\xff".to_vec(), descriptors: vec![descriptor], hits_addend: 0 }
    };
    for (entries, code) in cases {
        let answer = client.call(SHOULD_RATE_LIMIT, request(entries)).await.unwrap();
        assert_eq!(problem(&answer), code, "{entries:?}");
    }
    let others = request(&[(b"api_key", good), (odd, odd), (b"user_agent", odd)]);
    assert_eq!(client.call(SHOULD_RATE_LIMIT, others).await.unwrap().overall_code(), Code::Ok);
    for message in [&b"\xff\xff\xff"[..], b"\x12\x7f", b"\x0a\x05ab"] {
        assert_eq!(problem(&client.raw(message).await), "invalid_request", "{message:?}");
    }
    api.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_grpc_until_the_gateway_drains() {
    let fixture = Fixture::new().await;
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    for service in ["", SERVICE, "grpc.health.v1.Health"] {
        assert_eq!(client.health(service).await.unwrap(), Serving::Serving, "{service}");
    }
    assert_eq!(client.health("another.Service").await.unwrap_err().code(), tonic::Code::NotFound);
    let mut unknown = client.watch("another.Service").await;
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), Serving::ServiceUnknown);
    let mut watched = client.watch(SERVICE).await;
    assert_eq!(watched.message().await.unwrap().unwrap().status(), Serving::Serving);
    api.gateway.signal("TERM");
    assert_eq!(watched.message().await.unwrap().unwrap().status(), Serving::NotServing);
    assert!(watched.message().await.unwrap().is_none(), "nothing comes after that");
    assert!(api.gateway.ended().await.success());
}

/// The names of the entries that Envoy sends with the example of the documentation.
fn documented_entries() -> Vec<&'static str> {
    let docs = include_str!("../../../docs/gateway.md");
    let example = docs.split("rate_limits:\n").nth(1).unwrap().split("# and in the filter").next().unwrap();
    let name = |line: &'static str| {
        let keyed = line.split("descriptor_key: ").nth(1).map(|rest| rest.split([',', ' ']).next().unwrap());
        keyed.or_else(|| line.trim().strip_prefix("- ")?.strip_suffix(": {}"))
    };
    example.lines().filter_map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_example_serves_keys_that_are_bound_to_addresses() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let allowed_ips = Some(vec!["198.51.100.0/24".parse().unwrap()]);
    let update = KeyUpdate { allowed_ips, ..KeyUpdate::default() };
    fixture.store.update_key(customer.key, &update, None, now()).await.unwrap();
    let api = Api::start(&fixture).await;
    let mut client = Client::connect(&api).await;
    let known = [
        ("api_key", customer.secret.expose()),
        ("path", "/"),
        ("method", "GET"),
        ("host", "api.example.com"),
        ("remote_address", "198.51.100.9"),
    ];
    let names = documented_entries();
    let sent: Vec<_> = known.into_iter().filter(|(name, _)| names.contains(name)).collect();
    assert_eq!(client.ask(&[&sent], 0).await.overall_code(), Code::Ok, "{names:?}");
    assert_eq!(problem(&client.ask(&[&sent[..4]], 0).await), "address_not_allowed");
}
