//! The answer to a client whose connection ends before its request has reached a handler: a problem
//! document (RFC 9457).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Most time for a client to read the answer and close its side.
const TELL_DEADLINE: Duration = Duration::from_secs(1);

/// An answer without a request.
pub(super) struct Refusal {
    status: u16,
    reason: &'static str,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
    /// Further headers, each with its line end.
    headers: &'static str,
}

/// There is no room for the connection.
pub(super) const FULL: Refusal = Refusal {
    status: 503,
    reason: "Service Unavailable",
    code: "too_many_connections",
    title: "Too many connections",
    detail: "as many connections are open as there may be, each with a request under way",
    headers: "retry-after: 1\r\n",
};

/// The header of a request has begun and was not complete in time.
pub(super) const LATE: Refusal = Refusal {
    status: 408,
    reason: "Request Timeout",
    code: "request_timeout",
    title: "The request took too long to arrive",
    detail: "the header of the request was not complete in time",
    headers: "",
};

impl Refusal {
    /// The answer as it is sent.
    fn message(&self) -> String {
        let Self { status, reason, code, title, detail, headers } = self;
        let body = serde_json::json!({
            "type": format!("urn:tollgate:problem:{code}"),
            "title": title,
            "status": status,
            "code": code,
            "detail": detail,
        })
        .to_string();
        let length = body.len();
        format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
             cache-control: no-store\r\n{headers}connection: close\r\n\r\n{body}"
        )
    }

    /// Tells as far as the socket takes it at once: nobody waits for a client for which there is no
    /// room.
    pub(super) fn tell_at_once(&self, stream: &TcpStream) {
        let _ = stream.try_write(self.message().as_bytes());
    }

    /// Tells, and waits a moment for the client to close its side: closing before would destroy the
    /// answer on its way if bytes of the client are still to be read.
    pub(super) async fn tell(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let told = async {
            stream.write_all(self.message().as_bytes()).await?;
            stream.shutdown().await?;
            let mut thrown_away = [0; 1024];
            while stream.read(&mut thrown_away).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Whoever does not take the answer does without.
        let _ = timeout(TELL_DEADLINE, told).await;
    }
}
