//! Another try of a request that a server did not answer properly, and the server of a request that
//! should always meet the same one.
//!
//! Invariants: nothing is tried again once a byte of an answer has gone to the client; a server gets
//! a request a second time, or another server the same one, only if repeating it does no harm; the
//! record of a request is written once, whatever the number of tries.

use std::time::Duration;

use http::HeaderName;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{Proxy, context::Context, timeouts};
use crate::{
    answer::Code,
    config::{Balance, HashBy},
    route::{Retries, Route},
    upstream::{Choice, cause, value_of},
};

/// A client promises with this header that repeating its request does no harm.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest pause before the second try on one server; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(25);

/// A fault of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Connect,
    Reset,
    Timeout,
    Status(u16),
}

impl Retries {
    fn covers(&self, fault: Fault) -> bool {
        match fault {
            Fault::Connect => self.on.connect,
            Fault::Reset => self.on.reset,
            Fault::Timeout => self.on.timeout,
            Fault::Status(status) => self.on.covers(status),
        }
    }
}

impl Proxy {
    /// The server for the next try.
    pub(super) fn choose(session: &Session, context: &Context) -> Option<Choice> {
        let (upstream, route) = context.upstream.as_ref().zip(context.route.as_ref())?;
        let value = match &upstream.settings().balance {
            Balance::RoundRobin | Balance::LeastLoaded => None,
            Balance::Hash(by) => value(by, session.req_header(), route, context),
        };
        let mut choice = upstream.choose(route, &context.tried, context.upgrade.is_some(), value)?;
        timeouts::bound(&mut choice.peer.options, route);
        if let Some(retries) = &route.retries
            && context.upgrade.is_none()
        {
            let is_repeatable = is_repeatable(session);
            if context.tried.is_empty() && is_repeatable {
                upstream.count_retriable();
            }
            // The last try has as much time as a request without retries.
            if let Some(per_try) = retries.per_try.filter(|_| is_repeatable && context.tried.len() < retries.most) {
                let silence = choice.peer.options.read_timeout;
                choice.peer.options.read_timeout = Some(silence.map_or(per_try, |silence| silence.min(per_try)));
            }
        }
        Some(choice)
    }

    /// The request was not sent: another server may take it, whatever its method.
    pub(super) fn retries_connect(&self, context: &Context, error: &Error) -> bool {
        let (Some(upstream), Some(route)) = (&context.upstream, &context.route) else { return false };
        self.connect_failures.count(upstream, error);
        if let Some(server) = context.tried.last().filter(|_| !is_own(error.etype())) {
            upstream.note_failure(server, || cause::of(error));
        }
        match &route.retries {
            None => upstream.has_untried(&context.tried),
            Some(retries) => retries.covers(Fault::Connect) && context.tried.len() <= retries.most,
        }
    }

    /// Decides whether an answer with this status is dropped for another try. Takes the retry out of
    /// the budget if so.
    pub(super) fn retries_status(session: &Session, context: &Context, status: u16) -> bool {
        let is_covered = |retries: &Retries| retries.covers(Fault::Status(status));
        context.route.as_ref().is_some_and(|route| route.retries.as_ref().is_some_and(is_covered))
            && Self::retries(session, context, Fault::Status(status))
    }

    /// The server had got the request, or a part of it, and the exchange failed. Pingora has marked
    /// the error if it met a kept connection that the server had closed.
    pub(super) fn retries_exchange(session: &Session, context: &Context, error: &Error) -> bool {
        let (fault, is_stale) = (fault(context, error), error.retry());
        // A kept connection may have been closed at any time: that says nothing of the server.
        if let (Some(_), false, Some(upstream), Some(server)) =
            (fault, is_stale, &context.upstream, context.tried.last())
        {
            upstream.note_failure(server, || cause::of(error));
        }
        if is_stale && is_untouched(session, context) && session.req_header().method.is_idempotent() {
            return true;
        }
        fault.is_some_and(|fault| Self::retries(session, context, fault))
    }

    fn retries(session: &Session, context: &Context, fault: Fault) -> bool {
        let (Some(upstream), Some(route)) = (&context.upstream, &context.route) else { return false };
        let Some(retries) = &route.retries else { return false };
        retries.covers(fault)
            && context.tried.len() <= retries.most
            && context.upgrade.is_none()
            && !context.has_no_client()
            && is_untouched(session, context)
            && is_repeatable(session)
            && upstream.take_retry()
    }

    /// Waits a little before a server gets a request once more.
    pub(super) async fn pause_before(choice: &Choice, context: &Context) {
        let tries = context.tried.iter().filter(|server| server.id() == choice.server.id()).count();
        let Some(doublings) = u32::try_from(tries).ok().and_then(|tries| tries.checked_sub(1)) else { return };
        let has_retries = context.route.as_ref().is_some_and(|route| route.retries.is_some());
        if has_retries {
            let longest = PAUSE * (1 << doublings.min(5));
            tokio::time::sleep(longest.mul_f64(f64::midpoint(rand::random(), 1.0))).await;
        }
    }
}

/// Returns true if no connection was made for a reason of this machine, such as a lack of
/// descriptors: that says nothing of the server.
const fn is_own(kind: &ErrorType) -> bool {
    matches!(kind, ErrorType::InternalError | ErrorType::SocketError | ErrorType::BindError)
}

/// The fault of a server behind an error; none if something else is at fault.
fn fault(context: &Context, error: &Error) -> Option<Fault> {
    if let Some(problem) = &context.problem {
        // The answer was refused by the gateway's own rules.
        return (problem.code() == Code::UpstreamFailed).then_some(Fault::Reset);
    }
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Some(Fault::Timeout),
        (ErrorSource::Upstream, _) => Some(Fault::Reset),
        _ => None,
    }
}

/// Returns true if nothing of an answer has gone to the client, and all of the request that was read
/// so far can be sent again.
fn is_untouched(session: &Session, context: &Context) -> bool {
    !context.progress.answered && session.response_written().is_none() && !session.as_ref().retry_buffer_truncated()
}

/// Returns true if repeating the request does no harm, by its method or by its client's word.
fn is_repeatable(session: &Session) -> bool {
    let request = session.req_header();
    let has_key = || request.headers.get(IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty());
    request.method.is_idempotent() || has_key()
}

/// The value that leads a request to its server; none if the request has none.
fn value(by: &HashBy, request: &RequestHeader, route: &Route, context: &Context) -> Option<u64> {
    let of_id = |id: u128| value_of(&id.to_be_bytes());
    match by {
        HashBy::Path(name) => route.path.value(name, request.uri.path()).map(|value| value_of(value.as_bytes())),
        HashBy::Header(name) => request.headers.get(name).map(|value| value_of(value.as_bytes())),
        HashBy::Key => context.caller.as_ref().map(|caller| of_id(caller.key.id.as_u128())),
        HashBy::Tenant => context.caller.as_ref().map(|caller| of_id(caller.tenant.id.as_u128())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lack_of_descriptors_or_ports_is_no_fault_of_a_server() {
        for own in [ErrorType::InternalError, ErrorType::SocketError, ErrorType::BindError] {
            assert!(is_own(&own), "{own:?}");
        }
        let of_server = [
            ErrorType::ConnectRefused,
            ErrorType::ConnectTimedout,
            ErrorType::ConnectNoRoute,
            ErrorType::ConnectError,
            ErrorType::TLSHandshakeFailure,
            ErrorType::TLSHandshakeTimedout,
            ErrorType::InvalidCert,
        ];
        assert!(of_server.iter().all(|kind| !is_own(kind)));
    }
}
