//! One HTTP/1.1 connection that costs the client little: one send and, for small answers, one
//! receive per request.
//!
//! Bodies are read to their end and thrown away. What decides is where an answer ends: an answer
//! whose end was not seen was not received.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Room for a head or a piece of a body.
const BUFFER_BYTES: usize = 64 * 1024;

/// Most headers of an answer.
const HEADERS_MAX: usize = 96;

/// A reason why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Connect,
    /// The connection ended or was reset before the answer was complete.
    Closed,
    /// The bytes are not an HTTP/1 answer.
    Malformed,
    /// The answer took too long.
    Timeout,
}

/// An answer that was received to its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) status: u16,
    /// True if the connection takes another request.
    pub(crate) reusable: bool,
}

/// The mark of a body's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    body: Body,
    keep_alive: bool,
}

/// A connection; bytes `start..end` of the buffer were received and not consumed.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Connection {
    pub(crate) async fn open(target: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0 })
    }

    /// Sends a request and reads its answer to the end. After a failure the connection is of no use
    /// any more.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Received, Failure> {
        self.stream.write_all(request).await.map_err(|_| Failure::Closed)?;
        let head = loop {
            let head = self.head().await?;
            // 1xx answers only announce the real one.
            if head.status >= 200 || head.status == 101 {
                break head;
            }
        };
        match head.body {
            Body::Length(length) => self.skip(length).await?,
            Body::Chunked => self.skip_chunks().await?,
            Body::UntilClose => self.skip_rest().await?,
        }
        let reusable = head.keep_alive && head.body != Body::UntilClose && self.start == self.end;
        Ok(Received { status: head.status, reusable })
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer[self.start..self.end])? {
                self.start += length;
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn skip(&mut self, mut length: u64) -> Result<(), Failure> {
        loop {
            let here = length.min((self.end - self.start) as u64);
            length -= here;
            // `here` is at most what the buffer holds.
            self.start += usize::try_from(here).unwrap_or(0);
            if length == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn skip_chunks(&mut self) -> Result<(), Failure> {
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                return self.skip_trailers().await;
            }
            self.skip(size).await?;
            if !self.line_is_empty().await? {
                return Err(Failure::Malformed);
            }
        }
    }

    async fn chunk_size(&mut self) -> Result<u64, Failure> {
        loop {
            match httparse::parse_chunk_size(&self.buffer[self.start..self.end]) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.start += length;
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) => self.fill().await?,
                Err(_) => return Err(Failure::Malformed),
            }
        }
    }

    async fn skip_trailers(&mut self) -> Result<(), Failure> {
        while !self.line_is_empty().await? {}
        Ok(())
    }

    /// Consumes a line.
    async fn line_is_empty(&mut self) -> Result<bool, Failure> {
        loop {
            let received = &self.buffer[self.start..self.end];
            if let Some(length) = received.iter().position(|byte| *byte == b'\n') {
                let empty = received[..length].trim_ascii().is_empty();
                self.start += length + 1;
                return Ok(empty);
            }
            self.fill().await?;
        }
    }

    async fn skip_rest(&mut self) -> Result<(), Failure> {
        loop {
            self.start = self.end;
            if self.read().await? == 0 {
                return Ok(());
            }
        }
    }

    /// Receives more; an end of the connection is a failure.
    async fn fill(&mut self) -> Result<(), Failure> {
        if self.read().await? == 0 { Err(Failure::Closed) } else { Ok(()) }
    }

    async fn read(&mut self) -> Result<usize, Failure> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start == 0 {
                // A head or a line of more than the whole buffer.
                return Err(Failure::Malformed);
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = self.stream.read(&mut self.buffer[self.end..]).await.map_err(|_| Failure::Closed)?;
        self.end += count;
        Ok(count)
    }
}

/// The head and its length, once all of it is there.
fn parse_head(received: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(received) {
        Ok(httparse::Status::Complete(length)) => Ok(Some((read_head(&response)?, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Failure::Malformed),
    }
}

fn read_head(response: &httparse::Response<'_, '_>) -> Result<Head, Failure> {
    let status = response.code.ok_or(Failure::Malformed)?;
    let (mut length, mut chunked, mut keep_alive) = (None, false, response.version == Some(1));
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let stated = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
            let stated = stated.ok_or(Failure::Malformed)?;
            if length.replace(stated).is_some_and(|earlier| earlier != stated) {
                return Err(Failure::Malformed);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive &= !value.eq_ignore_ascii_case(b"close");
        }
    }
    let body = match length {
        _ if status < 200 || status == 204 || status == 304 => Body::Length(0),
        _ if chunked => Body::Chunked,
        Some(length) => Body::Length(length),
        None => Body::UntilClose,
    };
    Ok(Head { status, body, keep_alive })
}
