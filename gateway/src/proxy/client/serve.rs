//! Serving one request on a client's connection, whatever happens in it: a panic is answered, and
//! an upgraded connection ends when it has to.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use pingora_core::protocols::Stream;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{Client, Ordering, Rescued};
use crate::{
    answer::{Code, Problem},
    filter::cors::Grant,
    listen::http2,
    lock::locked,
};

/// Longest time for a client to take the answer to a request that panicked. The lender of its
/// connection closes it.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A request that panicked.
struct Panicked;

/// Serves a request. What a panic in it leaves behind is released while it unwinds; the client is
/// told with a 502, unless it has already got a part of its answer.
pub(crate) async fn serve_request<T>(
    client: Option<Arc<Client>>,
    request: impl Future<Output = Option<T>>,
) -> Option<T> {
    let Some(client) = client else {
        return request.await;
    };
    client.begin();
    let mut request = pin!(request);
    let outcome = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(context))) {
        Ok(Poll::Ready(served)) => Poll::Ready(Ok(served)),
        Ok(Poll::Pending) if client.poll_ended(context) => Poll::Ready(Ok(None)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await;
    if let Ok(served) = outcome {
        return served;
    }
    // A client that does not listen is not waited for.
    let _ = timeout(TELL_TIMEOUT, client.tell_of_panic()).await;
    None
}

impl Client {
    /// Returns true if an upgraded connection is to end. If not, the task is woken when it is.
    fn poll_ended(&self, context: &Context<'_>) -> bool {
        if !self.upgraded.load(Ordering::Acquire) {
            return false;
        }
        self.ended.register(context.waker());
        self.is_over()
    }

    async fn tell_of_panic(&self) {
        let Rescued { stream, http2, request_id, cors } = std::mem::take(&mut *locked(&self.rescued));
        if let Some((mut respond, shape)) = http2
            && let Ok((mut header, body)) = of_panic().answer(&request_id, shape)
        {
            // Fails only for headers that are none, and these were checked with the configuration.
            let _ = cors.as_ref().map(|grant| grant.write(&mut header));
            http2::answer(&mut respond, &header, body);
        }
        if let Some(mut stream) = stream.filter(|_| self.sent.load(Ordering::Acquire) == 0) {
            // The connection ends here either way.
            let _ = tell(&mut stream, &request_id, cors.as_ref()).await;
        }
    }
}

async fn tell(stream: &mut Stream, request_id: &str, cors: Option<&Grant>) -> std::io::Result<()> {
    stream.write_all(&on_the_wire(request_id, cors)).await?;
    stream.flush().await
}

/// The answer to a request that panicked.
fn of_panic() -> Problem {
    Problem::new(Code::GatewayFailed, "the gateway failed while it served this request; try again")
}

fn on_the_wire(request_id: &str, cors: Option<&Grant>) -> Bytes {
    let problem = of_panic();
    let body = problem.body(request_id);
    let mut wire = BytesMut::with_capacity(512 + body.len());
    let status = problem.status();
    wire.put_slice(format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("")).as_bytes());
    if let Ok(mut header) = problem.header(request_id, body.len()) {
        // Fails only for headers that are none, and these were checked with the configuration.
        let _ = cors.map(|grant| grant.write(&mut header));
        for (name, value) in &header.headers {
            wire.put_slice(name.as_str().as_bytes());
            wire.put_slice(b": ");
            wire.put_slice(value.as_bytes());
            wire.put_slice(b"\r\n");
        }
    }
    wire.put_slice(b"connection: close\r\n\r\n");
    wire.put_slice(&body);
    wire.freeze()
}
