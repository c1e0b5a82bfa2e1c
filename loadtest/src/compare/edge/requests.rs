//! Requests over HTTP/2 in a closed loop, several at once on each connection.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use tokio::{task::JoinSet, time::timeout};

use super::{client::TlsClient, contestant::Count};
use crate::compare::{CompareError, customers::Key};

/// Requests at once on each connection.
pub(super) const STREAMS: u16 = 8;

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

const PATH: &str = "/v1/hello";

/// The requests under each key, ready to be sent.
#[derive(Clone)]
pub(super) struct Requests(Arc<[(String, Request<()>)]>);

impl Requests {
    pub(super) fn new(server: SocketAddr, keys: &[Key]) -> Result<Self, CompareError> {
        let request = |key: &Key| {
            let request = Request::get(format!("https://{server}{PATH}"));
            let request = request.header("authorization", format!("Bearer {}", key.secret)).body(());
            request.map(|request| (key.id.clone(), request))
        };
        let requests: Result<_, _> = keys.iter().map(request).collect();
        requests.map(Self).map_err(|error| CompareError::System {
            what: "cannot make the requests".into(),
            source: std::io::Error::other(error),
        })
    }

    /// Sends them in turn for as long, on so many connections. Also returns the answers with 200, by
    /// key.
    pub(super) async fn send(
        &self,
        server: SocketAddr,
        authority: &Path,
        connections: u16,
        span: Duration,
    ) -> Result<(Count, BTreeMap<String, u64>), CompareError> {
        let client = TlsClient::new(server, authority, b"h2", false)?;
        let mut streams = JoinSet::new();
        let begun = Instant::now();
        for connection in 0..usize::from(connections) {
            let send = connect(&client).await.map_err(|source| CompareError::System {
                what: format!("no connection of HTTP/2 to {server}"),
                source,
            })?;
            for stream in 0..usize::from(STREAMS) {
                let (requests, send) = (self.clone(), send.clone());
                let first = (connection * usize::from(STREAMS) + stream) % requests.0.len().max(1);
                streams.spawn(async move { requests.keep_sending(send, first, begun, span).await });
            }
        }
        let (mut count, mut by_key) = (Count::default(), BTreeMap::new());
        while let Some(stream) = streams.join_next().await {
            let (counted, answered) = stream.map_err(crate::load::LoadError::Client)?;
            count.add(counted);
            for (index, answers) in answered {
                *by_key.entry(self.0[index].0.clone()).or_default() += answers;
            }
        }
        count.seconds = begun.elapsed().as_secs_f64();
        Ok((count, by_key))
    }

    async fn keep_sending(
        &self,
        mut send: SendRequest<Bytes>,
        first: usize,
        begun: Instant,
        span: Duration,
    ) -> (Count, BTreeMap<usize, u64>) {
        let (mut count, mut answered) = (Count::default(), BTreeMap::new());
        for index in (0..self.0.len()).cycle().skip(first) {
            if begun.elapsed() >= span {
                break;
            }
            let exchange = timeout(PATIENCE, exchange(&mut send, self.0[index].1.clone())).await;
            match exchange.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
                Ok(StatusCode::OK) => {
                    count.done += 1;
                    *answered.entry(index).or_default() += 1;
                }
                Ok(status) => count.fail(format!("answered with {status}")),
                Err(error) => {
                    // Whatever it is, the connection is of no use any more.
                    count.fail(error);
                    break;
                }
            }
        }
        (count, answered)
    }
}

async fn connect(client: &TlsClient) -> std::io::Result<SendRequest<Bytes>> {
    let stream = client.connect().await?;
    let (send, connection) = h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
    // Its end is seen by the requests on it.
    tokio::spawn(connection);
    Ok(send)
}

/// Sends a request and reads its answer to the end.
async fn exchange(send: &mut SendRequest<Bytes>, request: Request<()>) -> Result<StatusCode, String> {
    let failed = |error: h2::Error| error.to_string();
    std::future::poll_fn(|context| send.poll_ready(context)).await.map_err(failed)?;
    let (answer, _) = send.send_request(request, true).map_err(failed)?;
    let (head, mut body) = answer.await.map_err(failed)?.into_parts();
    while let Some(data) = body.data().await {
        let data = data.map_err(failed)?;
        // Fails only for a stream that is over.
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(head.status)
}
