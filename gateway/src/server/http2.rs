//! The clients that speak HTTP/2: each request of a connection is served by a task of its own.

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use common::listen::{Connection as Open, http::Deadlines};
use h2::{RecvStream, server::SendResponse};
use http::{Method, Request, request::Parts};
use pingora_core::{
    apps::HttpServerApp as _,
    protocols::{Digest, Stream, http::ServerSession},
    server::ShutdownWatch,
};

use super::clients::Clients;
use crate::{
    answer::{Problem, grpc::Shape},
    listen::{
        Secured,
        http2::{self, Http2Connection, head},
    },
    proxy::{Client, Http2Stream, serve_request},
};

/// The properties that all requests of a connection share.
struct Origin {
    clients: Arc<Clients>,
    digest: Arc<Digest>,
    deadlines: Deadlines,
    shutdown: ShutdownWatch,
}

impl Clients {
    /// Serves a client until it goes. `ahead`: bytes of it that were read already.
    pub(super) async fn serve_http2(
        self: &Arc<Self>,
        stream: Stream,
        ahead: BytesMut,
        open: Open,
        shutdown: &ShutdownWatch,
    ) {
        let digest = Arc::new(Digest {
            ssl_digest: stream.get_ssl_digest(),
            timing_digest: stream.get_timing_digest(),
            proxy_digest: stream.get_proxy_digest(),
            socket_digest: stream.get_socket_digest(),
        });
        let gateway = self.proxy.gateway();
        let live = gateway.live();
        let deadlines = live.connections.deadlines;
        let greeting =
            Http2Connection::greet(stream, ahead, open, deadlines, &live.sizes, &live.http2, gateway.draining());
        let Some(mut connection) = greeting.await else { return };
        drop(live);
        let origin = Arc::new(Origin { clients: Arc::clone(self), digest, deadlines, shutdown: shutdown.clone() });
        while let Some(((request, respond), under_way)) = connection.next().await {
            let origin = Arc::clone(&origin);
            // On this thread, like its connection.
            tokio::spawn(async move {
                origin.serve(request, respond).await;
                drop(under_way);
            });
        }
    }
}

impl Origin {
    async fn serve(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        let shape = Shape::for_client(parts.version, &parts.headers);
        match head::read(parts) {
            Ok(request) => self.forward(request, body, respond).await,
            Err(problem) => self.refuse(&problem, shape, is_head, &mut respond, started),
        }
    }

    async fn forward(&self, request: Parts, body: RecvStream, respond: SendResponse<Bytes>) {
        let client = Arc::<Client>::default();
        let (shared, digest) = (Arc::clone(&client), Arc::clone(&self.digest));
        let stream = Http2Stream::new(request, body, respond, shared, digest, &self.deadlines);
        let session = ServerSession::new_custom(Box::new(stream));
        let request = self.clients.pingora.process_new_http(session, &self.shutdown);
        // A stream is never used again.
        let _ = serve_request(Some(client), request).await;
    }

    /// Answers a request that breaks a rule.
    fn refuse(
        &self,
        problem: &Problem,
        shape: Shape,
        is_head: bool,
        respond: &mut SendResponse<Bytes>,
        started: Instant,
    ) {
        let request_id = common::origin::request_id(None);
        // Fails only for headers that are none, and all of these are made here.
        let is_sent = problem.answer(&request_id, shape).is_ok_and(|(mut header, body)| {
            let secured = self.digest.ssl_digest.as_ref().and_then(|digest| digest.extension.get::<Secured>());
            if let Some(hsts) = secured.and_then(|secured| secured.hsts.clone()) {
                let _ = header.insert_header("Strict-Transport-Security", hsts);
            }
            let body = if is_head { Bytes::new() } else { body };
            http2::answer(respond, &header, body)
        });
        let status = if is_sent { problem.code().status().as_u16() } else { 0 };
        self.clients.proxy.observe_malformed(&request_id, problem, status, started);
    }
}
