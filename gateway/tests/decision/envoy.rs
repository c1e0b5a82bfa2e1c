//! Envoy's rate limit service, asked by a client of gRPC.

use common::key::Secret;
use gateway::decision::envoy::{
    SHOULD_RATE_LIMIT,
    wire::{Code, Entry, HeaderValue, RateLimitDescriptor, RateLimitRequest, RateLimitResponse, Unit},
};
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::{client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{api::Api, support::World};

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
        let entry = |(key, value): &(&str, &str)| Entry { key: (*key).to_owned(), value: (*value).to_owned() };
        let descriptor = |entries: &&[(&str, &str)]| RateLimitDescriptor {
            entries: entries.iter().map(entry).collect(),
            hits_addend: None,
        };
        let descriptors = descriptors.iter().map(descriptor).collect();
        let request = RateLimitRequest { domain: "edge".into(), descriptors, hits_addend };
        self.call(SHOULD_RATE_LIMIT, request).await.unwrap()
    }
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
async fn a_request_is_decided_and_billed_as_the_proxy_would() {
    let world = World::new().await;
    let customer = world.customer(Some("narrow")).await;
    let api = Api::start(&world).await;
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
    let mut found: Vec<_> = world
        .billing
        .records(customer.tenant)
        .iter()
        .map(|record| (record.route.to_string(), record.units, record.status))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("all".to_owned(), 1, 200), ("all".to_owned(), 7, 200), ("fixed".to_owned(), 5, 200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_allowed_is_over_the_limit_and_never_an_error() {
    let world = World::new().await;
    let customer = world.customer(Some("roomy")).await;
    let api = Api::start(&world).await;
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
    assert_eq!(world.billing.records(customer.tenant).len(), 1);
}
