//! Envoy's `RateLimitService` (v3): the filter `envoy.filters.http.ratelimit` asks by gRPC whether a request may pass.
//!
//! What Envoy knows of a request comes as entries of descriptors: `api_key` or `authorization`, `path`, `method` and
//! `host`, and `remote_address`. The entries of all descriptors describe one request, which is decided, and consumed, once. Every refusal is
//! `OVER_LIMIT`, with the problem as body: an error of gRPC would let the request pass, unless Envoy is told otherwise.

pub mod wire;

use std::{convert::Infallible, future::Future, net::IpAddr, pin::Pin, sync::Arc};

use common::listen::http::PacedBody;
use http::{Method, Request, Response, header::RETRY_AFTER};
use hyper::body::Incoming;
use tonic::{Status, body::Body, server::UnaryService};
use tonic_prost::ProstCodec;

use self::wire::{
    Code as EnvoyCode, DescriptorStatus, HeaderValue, RateLimit, RateLimitDescriptor, RateLimitRequest,
    RateLimitResponse, Unit,
};
use super::{Allowed, Decision, Mode, Question, Target, Verdict, document::check_units};
use crate::{
    answer::{Code, PROBLEM_CONTENT_TYPE, Problem, rate_headers, told_remaining},
    auth,
    limit::LimitState,
};

/// The one method there is.
pub const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Largest request, in bytes.
const REQUEST_MAX_BYTES: usize = 256 * 1024;

const SECONDS_PER_DAY: u64 = 86_400;

/// Answers one call.
pub(super) async fn answer(
    decision: Arc<Decision>,
    request: Request<PacedBody<Incoming>>,
) -> Result<Response<Body>, Infallible> {
    if request.uri().path() != SHOULD_RATE_LIMIT {
        return Ok(Status::unimplemented("there is RateLimitService/ShouldRateLimit").into_http());
    }
    let codec = ProstCodec::<RateLimitResponse, RateLimitRequest>::default();
    let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(REQUEST_MAX_BYTES);
    Ok(grpc.unary(ShouldRateLimit(decision), request).await)
}

/// The method.
struct ShouldRateLimit(Arc<Decision>);

impl UnaryService<RateLimitRequest> for ShouldRateLimit {
    type Response = RateLimitResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<RateLimitResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<RateLimitRequest>) -> Self::Future {
        let decision = Arc::clone(&self.0);
        Box::pin(async move { Ok(tonic::Response::new(respond(&decision, request.get_ref()).await)) })
    }
}

async fn respond(decision: &Decision, request: &RateLimitRequest) -> RateLimitResponse {
    let verdict = match ask(decision, request).await {
        Ok(Verdict::Allow(allowed)) => Ok(allowed),
        Ok(Verdict::Deny(refusal)) => Err(refusal.problem),
        Err(problem) => Err(problem),
    };
    match verdict {
        Ok(allowed) => admitted(&allowed, request.descriptors.len()),
        Err(problem) => denied(&problem, request.descriptors.len()),
    }
}

async fn ask(decision: &Decision, request: &RateLimitRequest) -> Result<Verdict, Problem> {
    let known = Known::of(&request.descriptors)?;
    let units = request.descriptors.iter().find_map(|descriptor| descriptor.hits_addend);
    let units = units.or_else(|| (request.hits_addend > 0).then(|| request.hits_addend.into()));
    units.map_or(Ok(()), check_units)?;
    let target = match known.path {
        None => None,
        Some(path) => Some(Target { host: known.host, path, method: known.method()? }),
    };
    let credential = auth::one_of(known.authorization.map(str::as_bytes), known.api_key.map(str::as_bytes));
    let client = known.client()?;
    decision.decide(&Question { credential, target, client, units, mode: Mode::Consume }).await
}

/// What Envoy says about a request. Entries of other names are for others.
#[derive(Default)]
struct Known<'a> {
    api_key: Option<&'a str>,
    authorization: Option<&'a str>,
    path: Option<&'a str>,
    method: Option<&'a str>,
    host: Option<&'a str>,
    remote_address: Option<&'a str>,
}

impl<'a> Known<'a> {
    fn of(descriptors: &'a [RateLimitDescriptor]) -> Result<Self, Problem> {
        let mut known = Self::default();
        for entry in descriptors.iter().flat_map(|descriptor| &descriptor.entries) {
            let place = match entry.key.as_str() {
                "api_key" => &mut known.api_key,
                "authorization" => &mut known.authorization,
                "path" => &mut known.path,
                "method" => &mut known.method,
                "host" => &mut known.host,
                "remote_address" => &mut known.remote_address,
                _ => continue,
            };
            if place.replace(&entry.value).is_some_and(|before| before != entry.value) {
                let detail = format!("the descriptors do not agree on `{}`", entry.key);
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
        }
        Ok(known)
    }

    fn client(&self) -> Result<Option<IpAddr>, Problem> {
        let address = |text: &str| {
            text.parse().map_err(|_| Problem::new(Code::InvalidRequest, "`remote_address` is not an IP address"))
        };
        self.remote_address.map(address).transpose()
    }

    fn method(&self) -> Result<Method, Problem> {
        let method = Method::from_bytes(self.method.unwrap_or("GET").as_bytes());
        method.map_err(|_| Problem::new(Code::InvalidRequest, "`method` is not a method of HTTP"))
    }
}

fn admitted(allowed: &Allowed, descriptors: usize) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: EnvoyCode::Ok.into(),
        statuses: vec![status(EnvoyCode::Ok, allowed.limits.first()); descriptors],
        response_headers_to_add: told_limits(&allowed.limits).collect(),
        raw_body: Vec::new(),
    }
}

fn denied(problem: &Problem, descriptors: usize) -> RateLimitResponse {
    let of_problem = [
        ("content-type", Some(PROBLEM_CONTENT_TYPE.to_owned())),
        (RETRY_AFTER.as_str(), problem.retry_after_seconds().map(|seconds| seconds.to_string())),
    ];
    let of_problem =
        of_problem.into_iter().filter_map(|(key, value)| Some(HeaderValue { key: key.into(), value: value? }));
    RateLimitResponse {
        overall_code: EnvoyCode::OverLimit.into(),
        statuses: vec![status(EnvoyCode::OverLimit, problem.limits().first()); descriptors],
        response_headers_to_add: told_limits(problem.limits()).chain(of_problem).collect(),
        raw_body: problem.body("").into(),
    }
}

fn told_limits(limits: &[LimitState]) -> impl Iterator<Item = HeaderValue> {
    rate_headers(limits).into_iter().filter_map(|(name, value)| {
        Some(HeaderValue { key: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned() })
    })
}

/// The limit that is closest to refusing.
fn status(code: EnvoyCode, limit: Option<&LimitState>) -> DescriptorStatus {
    let Some(limit) = limit else {
        return DescriptorStatus { code: code.into(), ..DescriptorStatus::default() };
    };
    let unit = match limit.window_seconds {
        1 => Unit::Second,
        60 => Unit::Minute,
        3_600 => Unit::Hour,
        SECONDS_PER_DAY => Unit::Day,
        _ if limit.is_quota() => Unit::Month,
        _ => Unit::Unknown,
    };
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    DescriptorStatus {
        code: code.into(),
        current_limit: Some(RateLimit {
            requests_per_unit: bounded(limit.quota),
            unit: unit.into(),
            name: limit.policy.to_owned(),
        }),
        limit_remaining: bounded(told_remaining(limit)),
        duration_until_reset: Some(wire::Duration { seconds: bounded(limit.reset_seconds).into() }),
    }
}
