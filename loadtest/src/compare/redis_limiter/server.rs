//! Listener and connections: HTTP/1 with the settings of the gateway's API.

use std::{convert::Infallible, sync::Arc, sync::atomic::Ordering};

use http::{HeaderName, Method, Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::{
    Limiter, LimiterError, Settings,
    answer::{self, Answer},
};

/// Path that answers 200 while Redis answers.
pub const HEALTH_PATH: &str = "/health";

/// Path of its counters, in the text format of Prometheus.
const METRICS_PATH: &str = "/metrics";

const CHECK_PATH: &str = "/check";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Room for the header of a request, in bytes.
const HEADER_MAX_BYTES: usize = 64 * 1024;

/// Answers on the address of `settings`; ends only if that fails.
pub async fn serve(settings: &Settings) -> Result<(), LimiterError> {
    let limiter = Arc::new(Limiter::connect(settings).await?);
    let listener = TcpListener::bind(settings.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, Arc::clone(&limiter)));
    }
}

async fn connection(stream: TcpStream, limiter: Arc<Limiter>) {
    let service = service_fn(move |request| answer(Arc::clone(&limiter), request));
    let connection = http1::Builder::new()
        .max_buf_size(HEADER_MAX_BYTES)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever breaks off a connection has no use for an answer.
    let _ = connection.await;
}

async fn answer(limiter: Arc<Limiter>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::POST, CHECK_PATH) => check(&limiter, &request).await,
        (&Method::GET, HEALTH_PATH) => health(&limiter).await,
        (&Method::GET, METRICS_PATH) => answer::plain(StatusCode::OK, metrics(&limiter)),
        _ => answer::plain(StatusCode::NOT_FOUND, "there is POST /check"),
    })
}

async fn check(limiter: &Limiter, request: &Request<Incoming>) -> Answer {
    let Some(secret) = request.headers().get(API_KEY) else {
        return answer::plain(StatusCode::BAD_REQUEST, "X-Api-Key is missing");
    };
    match limiter.decide(secret.as_bytes()).await {
        Ok(verdict) => answer::verdict(limiter, &verdict),
        Err(error) => answer::plain(StatusCode::SERVICE_UNAVAILABLE, format!("Redis: {error}")),
    }
}

async fn health(limiter: &Limiter) -> Answer {
    match redis::cmd("PING").query_async::<()>(&mut limiter.connection.clone()).await {
        Ok(()) => answer::plain(StatusCode::OK, "ok"),
        Err(error) => answer::plain(StatusCode::SERVICE_UNAVAILABLE, format!("Redis: {error}")),
    }
}

fn metrics(limiter: &Limiter) -> String {
    let (allowed, denied) = (limiter.allowed.load(Ordering::Relaxed), limiter.denied.load(Ordering::Relaxed));
    format!(
        "# TYPE redis_limiter_decisions_total counter\n\
         redis_limiter_decisions_total{{outcome=\"allow\"}} {allowed}\n\
         redis_limiter_decisions_total{{outcome=\"deny\"}} {denied}\n"
    )
}
