//! Failures of forwarding: Pingora's errors as problems for clients.

use pingora_core::{Error, ErrorSource, ErrorType};
use tracing::warn;

use super::context::Context;
use crate::{
    answer::{Code, Problem},
    listen,
    upstream::cause,
};

/// The place of a failure, for the log.
#[derive(Default)]
pub(super) struct Place<'a> {
    pub(super) route: Option<&'a str>,
    pub(super) upstream: Option<&'a str>,
    /// The server that was tried last, as the configuration says it.
    pub(super) server: Option<String>,
    /// Its address.
    pub(super) address: Option<String>,
    /// The words of the operating system or the TLS library.
    pub(super) cause: Option<String>,
}

impl<'a> Place<'a> {
    /// The server is told if it is the server that failed.
    pub(super) fn of(context: &'a Context, error: &Error) -> Self {
        let route = context.route.as_ref().map(|route| &*route.name);
        if *error.esource() != ErrorSource::Upstream {
            return Self { route, ..Self::default() };
        }
        let server = context.tried.last();
        Self {
            route,
            upstream: context.upstream.as_ref().map(|upstream| &*upstream.settings().name),
            server: server.map(|server| server.configured().to_string()),
            address: server.map(|server| server.address().to_string()),
            cause: Some(cause::of(error)),
        }
    }

    /// Logs the failure: for good with its code, or before another server is tried.
    pub(super) fn tell(&self, context: &Context, error: &Error, code: Option<Code>) {
        let Self { route, upstream, server, address, cause } = self;
        warn!(
            event = if code.is_some() { "request_failed" } else { "request_retried" },
            request_id = context.request_id,
            code = code.map(Code::as_str),
            source = error.esource().as_str(),
            kind = error.etype().as_str(),
            route,
            upstream,
            server,
            address,
            cause
        );
    }
}

/// The problem behind an error; none if the client is gone.
pub(super) fn problem(error: &Error) -> Option<Problem> {
    if let Some(problem) = listen::problem_behind(error) {
        return Some(problem);
    }
    match error.esource() {
        ErrorSource::Upstream => Some(of_upstream(error.etype())),
        ErrorSource::Downstream => of_client(error.etype()),
        ErrorSource::Internal | ErrorSource::Unset => {
            Some(Problem::new(Code::Internal, "the request could not be forwarded"))
        }
    }
}

/// Returns true if the problem is a fault of the upstream.
pub(super) const fn is_of_upstream(code: Code) -> bool {
    matches!(code, Code::UpstreamUnavailable | Code::UpstreamFailed | Code::UpstreamTimeout)
}

fn of_upstream(kind: &ErrorType) -> Problem {
    use ErrorType as Kind;
    match kind {
        Kind::ConnectTimedout | Kind::TLSHandshakeTimedout => {
            Problem::new(Code::UpstreamTimeout, "the upstream did not accept a connection in time")
        }
        Kind::ReadTimedout | Kind::WriteTimedout => {
            Problem::new(Code::UpstreamTimeout, "the upstream stayed silent for too long")
        }
        Kind::ConnectRefused | Kind::ConnectNoRoute | Kind::ConnectError | Kind::SocketError | Kind::BindError => {
            Problem::new(Code::UpstreamUnavailable, "the upstream accepts no connection")
        }
        Kind::TLSHandshakeFailure | Kind::InvalidCert | Kind::HandshakeError | Kind::TLSWantX509Lookup => {
            Problem::new(Code::UpstreamUnavailable, "no secure connection to the upstream could be made")
        }
        Kind::ReadError | Kind::WriteError | Kind::ConnectionClosed => {
            Problem::new(Code::UpstreamFailed, "the upstream broke the connection before it had answered")
        }
        _ => Problem::new(Code::UpstreamFailed, "the upstream's answer is not valid HTTP"),
    }
}

fn of_client(kind: &ErrorType) -> Option<Problem> {
    use ErrorType as Kind;
    match kind {
        Kind::ReadError | Kind::WriteError | Kind::WriteTimedout | Kind::ConnectionClosed => None,
        Kind::ReadTimedout => Some(Problem::new(Code::RequestTimeout, "the request body took too long to arrive")),
        _ => Some(Problem::new(Code::InvalidRequest, "the request is not valid HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: ErrorType, source: ErrorSource) -> Option<&'static str> {
        problem(&Error::create(kind, source, None, None)).map(|problem| problem.code().as_str())
    }

    #[test]
    fn each_failure_has_its_code() {
        let cases = [
            (ErrorType::ConnectRefused, ErrorSource::Upstream, Some("upstream_unavailable")),
            (ErrorType::ConnectTimedout, ErrorSource::Upstream, Some("upstream_timeout")),
            (ErrorType::ReadTimedout, ErrorSource::Upstream, Some("upstream_timeout")),
            (ErrorType::ConnectionClosed, ErrorSource::Upstream, Some("upstream_failed")),
            (ErrorType::InvalidHTTPHeader, ErrorSource::Upstream, Some("upstream_failed")),
            (ErrorType::InvalidCert, ErrorSource::Upstream, Some("upstream_unavailable")),
            (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream, Some("invalid_request")),
            (ErrorType::ReadTimedout, ErrorSource::Downstream, Some("request_timeout")),
            (ErrorType::ConnectionClosed, ErrorSource::Downstream, None),
            (ErrorType::WriteError, ErrorSource::Downstream, None),
            (ErrorType::InternalError, ErrorSource::Internal, Some("internal_error")),
        ];
        for (kind, source, expected) in cases {
            assert_eq!(code(kind.clone(), source.clone()), expected, "{kind:?} {source:?}");
        }
    }
}
