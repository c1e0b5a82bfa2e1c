//! The address for operators: metrics and health.
//!
//! It answers from the first moment on, also while the gateway still waits for its store.

mod health;

use std::{
    future::{Future, pending},
    net::TcpListener,
    pin::pin,
    sync::{Arc, OnceLock},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use common::{
    listen::{
        self, ConnectionLimits, Connections, ListenerMetrics, descriptors,
        http::{Deadlines, Guard, Protocol, Signals},
    },
    telemetry::{Exposition, expose},
    tls::{ListenerTls, ServerTls},
};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tracing::error;

use crate::{answer::PROBLEM_CONTENT_TYPE, limit::bank::Bank, meter::UsageSink, metrics, runtime::Gateway};

/// Room for the header of a request, in bytes; a larger one is answered 431.
const HEADER_MAX_BYTES: usize = 16 * 1024;

/// The running gateway, set once it has started.
pub type Started = Arc<OnceLock<Serving>>;

/// The parts of a running gateway that metrics and health are about.
pub struct Serving {
    /// The request path.
    pub gateway: Arc<Gateway>,
    /// Receives the usage.
    pub sink: Arc<dyn UsageSink>,
    /// The bank that shares limits with other gateways, if there is one.
    pub bank: Option<Arc<Bank>>,
}

/// Serves until `over` or the runtime ends.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    started: Started,
    over: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, over) = (watch::Sender::new(false), pin!(over));
    let signals = Signals { stopped: stop.subscribe(), closing: stop.subscribe() };
    let router = TowerToHyperService::new(router(started));
    let served = async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let protocol = Protocol::Http1 { header_bytes: HEADER_MAX_BYTES };
        listen::http::serve(listener, guard(tls.as_deref()), protocol, router, signals).await;
        Ok::<_, std::io::Error>(())
    };
    let stopped = async {
        over.await;
        stop.send_replace(true);
        pending::<()>().await;
    };
    tokio::select! {
        outcome = served => if let Err(reason) = outcome {
            error!(event = "admin_not_served", error = %reason);
        },
        () = stopped => {}
    }
}

/// Limits on the connections of operators: they are few, and have descriptors of their own.
fn guard(tls: Option<&ServerTls>) -> Guard {
    let open = metrics::gauge("tollgate_admin_connections", "Connections of operators");
    let most = descriptors::room(0).operators;
    Guard {
        connections: Connections::new(ListenerMetrics::new("admin", open)),
        limits: ConnectionLimits { most, most_per_address: most },
        deadlines: Deadlines::default(),
        tls: tls.map(|tls| ListenerTls::start("admin", tls)),
    }
}

fn router(started: Started) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(ready))
        .route("/health/ready", get(ready))
        .route("/health/live", get(live))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .with_state(started)
}

async fn show_metrics(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match expose(&prometheus::gather(), accept) {
        Ok(Exposition { content_type, text }) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(reason) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", &reason.to_string()),
    }
}

async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

async fn ready(State(started): State<Started>) -> Response {
    let report = health::Report::new(started.get());
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn nothing() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "this address serves /metrics, /health, /health/live and /health/ready")
}

async fn wrong_method() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET")
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": format!("urn:tollgate:problem:{code}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE)], body.to_string()).into_response()
}
