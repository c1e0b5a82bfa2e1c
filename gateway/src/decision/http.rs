//! `POST /check` and `POST /settle`: a decision is always a 200; what is no question is a problem.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::{
    decide::Decision,
    document::{self, CheckRequest, Settlement},
    question::Verdict,
};
use crate::{
    answer::{Code, Problem, rate_headers},
    auth,
    route::RouteError,
};

/// Largest body, in bytes: a path as long as any that can be routed, and some.
const BODY_MAX_BYTES: usize = 96 * 1024;

/// Longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer(decision: Arc<Decision>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let answered = match (request.method(), request.uri().path()) {
        (&Method::POST, "/check") => check(&decision, request).await,
        (&Method::POST, "/settle") => settle(&decision, request).await,
        (_, "/check" | "/settle") => Err(RouteError::MethodNotAllowed { allow: "POST".into() }.into()),
        _ => Err(Problem::new(Code::RouteNotFound, "this address serves POST /check and POST /settle")),
    };
    let mut answer = answered.unwrap_or_else(|problem| of_problem(&problem));
    if decision.is_draining() {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

async fn check(decision: &Decision, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    let check = CheckRequest::parse(&read(body).await?)?;
    let verdict = decision.decide(&check.question(auth::credential(&head.headers))?).await?;
    let mut answer = of_document(document::verdict(&verdict));
    let (limits, retry_after) = match &verdict {
        Verdict::Allow(allowed) => (&*allowed.limits, None),
        Verdict::Deny(refusal) => (refusal.problem.limits(), refusal.problem.retry_after_seconds()),
    };
    let headers = answer.headers_mut();
    headers.extend(rate_headers(limits));
    headers.extend(retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into())));
    Ok(answer)
}

async fn settle(decision: &Decision, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    let Settlement { id, units, status } = Settlement::parse(&read(body).await?)?;
    let settled = decision.settle(auth::credential(&head.headers), id, units, status)?;
    Ok(of_document(document::settled(id, &settled)))
}

async fn read(body: Incoming) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || Problem::new(Code::BodyTooLarge, format!("a body may have at most {BODY_MAX_BYTES} bytes"));
    if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Err(Problem::new(Code::InvalidRequest, format!("the body cannot be read: {reason}")))
        }
        Err(_) => Err(Problem::new(Code::RequestTimeout, "the body took too long to arrive")),
    }
}

fn of_document(body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, JSON);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

fn of_problem(problem: &Problem) -> Answer {
    let body = problem.body("");
    let Ok(head) = problem.header("", body.len()) else {
        // Fails only for headers that are none, and all of these are made here.
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return answer;
    };
    let mut answer = Response::from_parts(head.into(), Full::new(body));
    if problem.code() == Code::BodyTooLarge {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
