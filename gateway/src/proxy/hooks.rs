//! Pingora's hooks, in the order in which a request meets them. Each hands over to the room that
//! owns the work.

use std::{os::fd::RawFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora_core::{Error, ErrorType, OrErr as _, Result, protocols::Digest, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use tracing::warn;

use super::{
    Context, Proxy,
    client::Client,
    enter::Entry,
    failure, fault, framing, grpc, hop, identity, observe,
    plain::{self, REQUEST_ID},
    secured,
    timeouts::Part,
};
use crate::{
    answer::{Code, Problem},
    listen::sizes::check_body,
    route::{Bill, OnAbort},
    upstream::Choice,
};

/// Room for the headers that a request gets on its way.
const HEADERS_ADDED: usize = 12;

/// The proxy as Pingora drives it.
pub struct Hooks(pub Arc<Proxy>);

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(&self.0)
    }

    /// Nothing is compressed on the way.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.client = Client::of(session);
        context.request_id = common::origin::request_id(session.req_header().headers.get("x-request-id"));
        hop::apply_connection_header(session);
        fault::point("request_filter", session.req_header());
        let answered = match self.0.enter(session, context).await? {
            Entry::Passed => {
                let on_abort = context.route.as_ref().map(|route| route.lifecycle.on_abort);
                session.set_abort_on_close(on_abort == Some(OnAbort::Cancel));
                return Ok(false);
            }
            Entry::Answered(answer) => self.0.answer_briefly(session, answer).await,
            Entry::Replied(answer, body) => self.0.reply(session, context, answer, body).await,
            Entry::Refused(problem) => self.0.answer(session, context, &problem).await,
        };
        answered.map(|()| true).map_err(Error::into_down)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        fault::point("request_body_filter", session.req_header());
        if context.tunnel.is_some() {
            Proxy::pass_from_client(body, context).await;
            return Ok(());
        }
        context.body.received += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if let Err(problem) = context.body.limit.map_or(Ok(()), |limit| check_body(context.body.received, limit)) {
            return Err(context.fail(problem));
        }
        self.0.count_request(body.as_ref(), context).await?;
        if end_of_stream {
            context.complete();
            context.begin(Part::Header);
        }
        Ok(())
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        fault::point("upstream_peer", session.req_header());
        let Some(choice) = Proxy::choose(session, context) else {
            let detail = "the names of the upstream's servers do not resolve";
            return Err(context.fail(Problem::new(Code::UpstreamUnavailable, detail)));
        };
        if context.tried.is_empty() {
            context.admitted();
        } else {
            Proxy::pause_before(&choice, context).await;
        }
        let Choice { server, peer, load } = choice;
        context.load = load;
        context.tried.push(server);
        context.begin(Part::Request);
        Ok(peer)
    }

    /// The upstream has accepted the connection, and has seen nothing of the request. Where that is
    /// when the request is billed, no request used the connection before: the upstream cannot have
    /// closed it meanwhile.
    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: RawFd,
        _digest: Option<&Digest>,
        context: &mut Context,
    ) -> Result<()> {
        fault::point("connected_to_upstream", session.req_header());
        // A body that was sent to a connection gone stale is sent and counted again.
        context.body.received = 0;
        if let (Some(sizes), Some(route)) = (&mut context.sizes, &context.route) {
            sizes.restart(&route.units);
        }
        self.0.account_dispatch(context).map_err(|problem| context.fail(problem))?;
        context.progress.dispatched = true;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        fault::point("upstream_request_filter", session.req_header());
        let (Some(route), Some(upstream)) = (&context.route, &context.upstream) else {
            return Err(context.fail(Problem::new(Code::Internal, "a request without a route")));
        };
        let caller = context.caller.as_ref();
        if caller.is_none() && route.public.is_none() {
            return Err(context.fail(Problem::new(Code::Internal, "a request without a caller")));
        }
        let client = session.req_header().version;
        plain::edit_request(request, |parts| {
            parts.headers.reserve(HEADERS_ADDED);
            hop::strip_request(&mut parts.headers, client);
            hop::sign(&mut parts.headers, client);
        });
        hop::count_forward(request)?;
        if route.lifecycle.bill == Bill::OnDispatch {
            hop::announce_close(request)?;
        }
        if let Some(upgrade) = &context.upgrade {
            upgrade.ask(request)?;
            if let Some(client) = &context.client {
                client.set_deadline(Some(upstream.silence(route)));
            }
        }
        if let Some(call) = context.call
            && !call.write(request)?
        {
            return Err(context.fail(grpc::overdue()));
        }
        let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let (request_id, source) = (&*context.request_id, &context.source);
        let certificate = secured::certificate(session);
        identity::rewrite(request, &identity::Identity { caller, route, request_id, source, secure, certificate })?;
        let authority = || context.tried.last().map(|server| server.configured().authority());
        if let Some(rewrite) = &route.rewrite {
            rewrite.host(request, authority)?;
        }
        // A client of HTTP/1.0 may send none.
        if !request.headers.contains_key(http::header::HOST)
            && let Some(host) = authority()
        {
            request.insert_header(http::header::HOST, host)?;
        }
        route.request_headers.as_ref().map_or(Ok(()), |edits| edits.of_request(request))
    }

    /// An upstream may only switch protocols if it was asked to, and to the one that it was asked
    /// for.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        fault::point("upstream_response_filter", session.req_header());
        framing::check(response).map_err(|problem| context.fail(problem))?;
        if let Some(server) = context.tried.last().filter(|_| hop::hides_close(&response.headers)) {
            server.abandon_connections();
        }
        let is_granted = context.upgrade.as_ref().is_some_and(|upgrade| upgrade.is_granted_by(response));
        if response.status == StatusCode::SWITCHING_PROTOCOLS && !is_granted {
            let detail = "the upstream switched to a protocol that the request did not ask for";
            return Err(context.fail(Problem::new(Code::UpstreamFailed, detail)));
        }
        if response.status.is_informational() && !is_granted {
            return Ok(());
        }
        let status = response.status.as_u16();
        let judged = context.call.as_mut().map_or(Some(status), |call| call.judge(response));
        if let (Some(upstream), Some(server), Some(judged)) = (&context.upstream, context.tried.last(), judged) {
            upstream.note_answer(server, judged);
        }
        if Proxy::retries_status(session, context, status) {
            context.drops_answer = true;
            return Err(Error::new(ErrorType::HTTPStatus(status)).into_up());
        }
        if let (Some(passage), Some(judged)) = (&mut context.passage, judged) {
            passage.answered(judged);
        }
        Ok(())
    }

    /// A message of a call has come: a server that is on trial serves, however long the call lasts.
    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        let has_begun = context.call.is_some() && body.as_ref().is_some_and(|part| !part.is_empty());
        if let (Some(passage), true) = (&mut context.passage, has_begun) {
            passage.begun();
        }
        Ok(None)
    }

    fn upstream_response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        context: &mut Context,
    ) -> Result<()> {
        let Some(call) = &mut context.call else { return Ok(()) };
        call.end(trailers);
        let Some(judged) = call.judge_end(trailers) else { return Ok(()) };
        if let (Some(upstream), Some(server)) = (&context.upstream, context.tried.last()) {
            upstream.note_answer(server, judged);
        }
        if let Some(passage) = &mut context.passage {
            passage.answered(judged);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        fault::point("response_filter", session.req_header());
        let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
        if response.status.is_informational() && !switches {
            let status = response.status;
            plain::edit_answer(response, |headers| hop::strip_response(status, headers));
            return Ok(());
        }
        if let Err(problem) = hop::frame(session, response).and_then(|()| self.0.account(response, context)) {
            return Err(context.fail(problem));
        }
        context.progress.answered = true;
        context.begin(Part::Body);
        if let Some(edits) = context.route.as_ref().and_then(|route| route.response_headers.as_ref()) {
            edits.of_response(response)?;
        }
        if switches {
            self.0.open_tunnel(session, response, context)?;
        }
        if self.0.gateway.is_draining() {
            session.set_keepalive(None);
        }
        if let Some(grant) = &context.cors {
            grant.write(response)?;
        }
        secured::insist(session, response)?;
        let request_id = HeaderValue::from_str(&context.request_id);
        let request_id = request_id.or_err(ErrorType::InternalError, "a request id that is no header")?;
        plain::edit_answer(response, |headers| headers.insert(REQUEST_ID, request_id));
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        fault::point("response_body_filter", session.req_header());
        if context.tunnel.is_none() {
            self.0.count_answer(body.as_ref(), context)?;
        }
        context.begin(if end_of_stream { Part::End } else { Part::Body });
        if let (Some(_), None, Some(client)) = (&context.upgrade, &context.tunnel, &context.client) {
            // Not upgraded after all: the upstream may stay silent for as long as with any other
            // request.
            let silence = context.upstream.as_ref().zip(context.route.as_ref());
            client.set_deadline(silence.map(|(upstream, route)| upstream.silence(route)));
        }
        Ok(None)
    }

    /// The request was not sent: another server may take it, whatever its method.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(self.0.retries_connect(context, &error));
        error
    }

    /// The server has got the request, or a part of it: whether another try follows is for the route
    /// to say. Without its word, only what met a connection that had gone stale is tried again.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer: {peer}"));
        let is_decided = std::mem::take(&mut context.drops_answer);
        error.retry.decide_reuse(client_reused);
        error.set_retry(is_decided || Proxy::retries_exchange(session, context, &error));
        if error.retry() {
            context.problem = None;
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let is_overdue = context.client.as_ref().is_some_and(|client| client.is_overdue());
        if context.has_no_client() && !is_overdue && context.problem.is_none() {
            self.0.end_aborted(error, context);
        }
        let refusal = || context.client.as_ref().and_then(|client| client.refusal());
        let problem = match context.problem.take().or_else(refusal) {
            Some(problem) => Some(problem),
            None if is_overdue && context.call.is_some_and(|call| call.is_overdue()) => Some(grpc::overdue()),
            None if is_overdue => Some(Problem::new(Code::UpstreamTimeout, "the upstream has not answered in time")),
            None => failure::problem(error),
        };
        // Nothing of the gateway's own stands in another protocol.
        let is_over = |response: &ResponseHeader| !response.status.is_informational();
        let answered = context.tunnel.is_some() || session.response_written().is_some_and(is_over);
        let mut error_code = 0;
        if let Some(problem) = problem {
            if let (Some(passage), true) = (&mut context.passage, failure::is_of_upstream(problem.code())) {
                passage.failed();
            }
            failure::Place::of(context, error).tell(context, error, Some(problem.code()));
            if let (Some(caller), false) = (&context.caller, context.progress.recorded) {
                self.0.gateway.meter().refused(caller.tenant.id, caller.key.id, problem.code().as_str());
            }
            context.code = Some(problem.code());
            error_code = problem.status().as_u16();
            session.set_keepalive(None);
            let told = match (answered, context.call) {
                (false, _) => self.0.answer(session, context, &problem).await,
                (true, Some(_)) => session.as_downstream_mut().write_response_trailers(problem.trailers()).await,
                (true, None) => Ok(()),
            };
            if let Err(reason) = told {
                warn!(event = "problem_not_taken", request_id = context.request_id, kind = reason.etype().as_str());
            }
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Failures are logged above, without the query and without whatever bytes the error quotes.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        context: &Context,
        error: &Error,
        _kind: ProxyWarnLogContext,
    ) -> bool {
        failure::Place::of(context, error).tell(context, error, None);
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        let request = session.req_header();
        context.observe(Some(&observe::Exchange {
            method: request.method.as_str(),
            path: request.uri.path(),
            user_agent: request.headers.get(http::header::USER_AGENT).map(http::HeaderValue::as_bytes),
            status: session.response_written().map_or(0, |response| response.status.as_u16()),
            bytes: session.body_bytes_sent(),
        }));
    }
}
