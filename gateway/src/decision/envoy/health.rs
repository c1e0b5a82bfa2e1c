//! `grpc.health.v1`: whether Envoy and load balancers should ask this gateway. It serves until it
//! drains.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use common::listen::http::PacedBody;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep;
use tonic::{
    Status,
    body::Body,
    server::{ServerStreamingService, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{super::decide::Decision, SERVICE};

/// Tells how a service is doing now.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Tells how a service is doing now, and whenever that changes.
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Service name of the health service itself.
const HEALTH_SERVICE: &str = "grpc.health.v1.Health";

/// Time between two looks at whether the gateway drains, for a watching client.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Largest request, in bytes.
const REQUEST_MAX_BYTES: usize = 4 * 1024;

/// A question about the health of a service.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HealthCheckRequest {
    /// Its name; empty for the whole server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// The health of a service.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct HealthCheckResponse {
    /// A [`Serving`].
    #[prost(enumeration = "Serving", tag = "1")]
    pub status: i32,
}

/// Health of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Serving {
    /// Not known.
    Unknown = 0,
    /// It is.
    Serving = 1,
    /// The gateway is about to end.
    NotServing = 2,
    /// There is no such service here. Only watchers are told so; a check is an error.
    ServiceUnknown = 3,
}

/// The methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Check,
    Watch,
}

impl Method {
    /// The method at this path.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            CHECK => Some(Self::Check),
            WATCH => Some(Self::Watch),
            _ => None,
        }
    }
}

/// Answers one call.
pub(super) async fn answer(
    decision: Arc<Decision>,
    method: Method,
    request: Request<PacedBody<Incoming>>,
) -> Response<Body> {
    let codec = ProstCodec::<HealthCheckResponse, HealthCheckRequest>::default();
    let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(REQUEST_MAX_BYTES);
    match method {
        Method::Check => grpc.unary(Check(decision), request).await,
        Method::Watch => grpc.server_streaming(Watch(decision), request).await,
    }
}

fn serving(decision: &Decision, service: &str) -> Serving {
    if !["", SERVICE, HEALTH_SERVICE].contains(&service) {
        return Serving::ServiceUnknown;
    }
    if decision.is_draining() { Serving::NotServing } else { Serving::Serving }
}

fn response(serving: Serving) -> HealthCheckResponse {
    HealthCheckResponse { status: serving.into() }
}

struct Check(Arc<Decision>);

impl UnaryService<HealthCheckRequest> for Check {
    type Response = HealthCheckResponse;
    type Future = std::future::Ready<Result<tonic::Response<HealthCheckResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<HealthCheckRequest>) -> Self::Future {
        std::future::ready(match serving(&self.0, &request.get_ref().service) {
            Serving::ServiceUnknown => Err(Status::not_found("this service is not known")),
            known => Ok(tonic::Response::new(response(known))),
        })
    }
}

struct Watch(Arc<Decision>);

type Told = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

impl ServerStreamingService<HealthCheckRequest> for Watch {
    type Response = HealthCheckResponse;
    type ResponseStream = Told;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Told>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<HealthCheckRequest>) -> Self::Future {
        let (decision, service) = (Arc::clone(&self.0), request.into_inner().service);
        let told: Told = changes(decision, service).map(|serving| Ok(response(serving))).boxed();
        Box::pin(std::future::ready(Ok(tonic::Response::new(told))))
    }
}

/// The health of the service now, and whenever it changes. The stream ends when the gateway drains:
/// nothing comes after that.
fn changes(decision: Arc<Decision>, service: String) -> impl Stream<Item = Serving> + Send {
    stream::unfold(None, move |last| {
        let (decision, service) = (Arc::clone(&decision), service.clone());
        async move {
            if last == Some(Serving::NotServing) {
                return None;
            }
            loop {
                let now = serving(&decision, &service);
                // An unknown service never comes to be, but its watchers go when the gateway does.
                if decision.is_draining() && now == Serving::ServiceUnknown && last.is_some() {
                    return None;
                }
                if last != Some(now) {
                    return Some((now, Some(now)));
                }
                sleep(LOOK_EVERY).await;
            }
        }
    })
}
