//! Envoy's `RateLimitService` (v3): the filter `envoy.filters.http.ratelimit` asks by gRPC whether
//! a request may pass.
//!
//! Envoy describes a request by entries of descriptors: `api_key` or `authorization`, `path`,
//! `method` and `host`, and `remote_address`. The entries of all descriptors describe one request,
//! which is decided, and consumed, once.
//!
//! Invariant: every request that is not allowed is answered `OVER_LIMIT`, with the problem as body,
//! also one that cannot be understood: an error of gRPC would let the request pass, unless Envoy is
//! told otherwise.
//!
//! Beside it, `grpc.health.v1` tells load balancers and Envoy's own health checks whether to ask
//! here.

pub mod health;
pub mod raw;
pub mod wire;

use std::{convert::Infallible, future::Future, net::IpAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use common::listen::http::PacedBody;
use http::{Method, Request, Response, header::RETRY_AFTER};
use hyper::body::Incoming;
use prost::Message as _;
use tonic::{Status, body::Body, server::UnaryService};

use self::{
    raw::RawCodec,
    wire::{
        Code as EnvoyCode, DescriptorStatus, HeaderValue, RateLimit, RateLimitDescriptor, RateLimitRequest,
        RateLimitResponse, Unit,
    },
};
use super::{
    decide::Decision,
    document::check_units,
    question::{Allowed, Mode, Question, Target, Verdict},
};
use crate::{
    answer::{Code, PROBLEM_CONTENT_TYPE, Problem, rate_headers, told_remaining},
    auth,
    limit::LimitState,
};

/// The method that Envoy calls.
pub const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// The service that Envoy calls.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";

/// Largest request, in bytes: more than Envoy makes of the largest headers that it can be told to
/// accept (8 MiB). A longer one is an error of gRPC.
const REQUEST_MAX_BYTES: usize = 16 * 1024 * 1024;

const SECONDS_PER_DAY: u64 = 86_400;

/// Answers one call.
pub(super) async fn answer(
    decision: Arc<Decision>,
    request: Request<PacedBody<Incoming>>,
) -> Result<Response<Body>, Infallible> {
    if let Some(method) = health::Method::of(request.uri().path()) {
        return Ok(health::answer(decision, method, request).await);
    }
    if request.uri().path() != SHOULD_RATE_LIMIT {
        return Ok(Status::unimplemented("this address serves RateLimitService/ShouldRateLimit and grpc.health.v1")
            .into_http());
    }
    let mut grpc = tonic::server::Grpc::new(RawCodec).max_decoding_message_size(REQUEST_MAX_BYTES);
    Ok(grpc.unary(ShouldRateLimit(decision), request).await)
}

/// The method.
struct ShouldRateLimit(Arc<Decision>);

impl UnaryService<Bytes> for ShouldRateLimit {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let decision = Arc::clone(&self.0);
        Box::pin(async move {
            let response = respond(&decision, request.into_inner()).await;
            Ok(tonic::Response::new(response.encode_to_vec().into()))
        })
    }
}

async fn respond(decision: &Decision, message: Bytes) -> RateLimitResponse {
    let request = match RateLimitRequest::decode(message) {
        Ok(request) => request,
        Err(reason) => return denied(&invalid(format!("the request cannot be read: {reason}")), 0),
    };
    let verdict = match ask(decision, &request).await {
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
    let units = units(request)?;
    let target = match text("path", known.path)? {
        None => None,
        Some(path) => Some(Target { host: text("host", known.host)?, path, method: known.method()? }),
    };
    let credential = auth::one_of(known.authorization, known.api_key);
    let client = known.client()?;
    decision.decide(&Question { credential, target, client, units, mode: Mode::Consume }).await
}

/// Returns the units that the request states: in its descriptors, which have to agree, or for all
/// of them.
fn units(request: &RateLimitRequest) -> Result<Option<u64>, Problem> {
    if request.descriptors.iter().any(|descriptor| descriptor.is_negative_hits) {
        return Err(invalid(
            "`is_negative_hits` would give back what is recorded and billed: nothing was consumed or given back. \
             Reserve with POST /check and settle what was used instead",
        ));
    }
    let mut said = request.descriptors.iter().filter_map(|descriptor| descriptor.hits_addend);
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        return Err(invalid("the descriptors do not agree on `hits_addend`: they describe one request"));
    }
    let units = first.or_else(|| (request.hits_addend > 0).then(|| request.hits_addend.into()));
    units.map_or(Ok(()), check_units)?;
    Ok(units)
}

/// The entries of a request that count here. Others are passed over.
#[derive(Default)]
struct Known<'a> {
    api_key: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    remote_address: Option<&'a [u8]>,
}

impl<'a> Known<'a> {
    fn of(descriptors: &'a [RateLimitDescriptor]) -> Result<Self, Problem> {
        let mut known = Self::default();
        for entry in descriptors.iter().flat_map(|descriptor| &descriptor.entries) {
            let (name, place) = match &*entry.key {
                b"api_key" => ("api_key", &mut known.api_key),
                b"authorization" => ("authorization", &mut known.authorization),
                b"path" => ("path", &mut known.path),
                b"method" => ("method", &mut known.method),
                b"host" => ("host", &mut known.host),
                b"remote_address" => ("remote_address", &mut known.remote_address),
                _ => continue,
            };
            if place.replace(&entry.value).is_some_and(|before| before != entry.value) {
                return Err(invalid(format!("the descriptors do not agree on `{name}`")));
            }
        }
        Ok(known)
    }

    fn client(&self) -> Result<Option<IpAddr>, Problem> {
        let address = |text: &str| text.parse().map_err(|_| invalid("`remote_address` is not an IP address"));
        text("remote_address", self.remote_address)?.map(address).transpose()
    }

    fn method(&self) -> Result<Method, Problem> {
        let method = Method::from_bytes(self.method.unwrap_or(b"GET"));
        method.map_err(|_| invalid("`method` is not a method of HTTP"))
    }
}

/// An entry that has to be text.
fn text<'a>(name: &str, value: Option<&'a [u8]>) -> Result<Option<&'a str>, Problem> {
    let text = |bytes| str::from_utf8(bytes).map_err(|_| invalid(format!("`{name}` is not UTF-8")));
    value.map(text).transpose()
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
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
