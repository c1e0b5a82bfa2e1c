//! HTTP by hand, for what no client or server library does on purpose.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::DEADLINE;

/// One side of a connection.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    /// Breaks the connection off, as a client that crashed.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends what the other side is willing to take; it may close at any time.
    pub(crate) async fn send_as_far_as_taken(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Ends this side; the other one may still send.
    pub(crate) async fn end_sending(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads until `part` has come, and gives everything up to its end.
    pub(crate) async fn read_until(&mut self, part: &str) -> String {
        let wanted = part.as_bytes();
        loop {
            if let Some(start) = self.read.windows(wanted.len()).position(|window| window == wanted) {
                let rest = self.read.split_off(start + wanted.len());
                let found = std::mem::replace(&mut self.read, rest);
                return String::from_utf8_lossy(&found).into_owned();
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert_ne!(self.receive().await, 0, "closed before {part:?}: {so_far}");
        }
    }

    /// The header of the next request; none if the other side closes before one comes, however late.
    pub(crate) async fn header(&mut self) -> Option<String> {
        while self.read.is_empty() {
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.read.extend_from_slice(&buffer[..count]);
        }
        Some(self.read_until("\r\n\r\n").await)
    }

    /// Returns true if `part` comes before the other side closes.
    pub(crate) async fn has_until(&mut self, part: &str) -> bool {
        let wanted = part.as_bytes();
        while !self.read.windows(wanted.len()).any(|window| window == wanted) {
            if self.receive().await == 0 {
                return false;
            }
        }
        true
    }

    /// Sends, and tells whether the other side takes it.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = tokio::time::timeout(DEADLINE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("taken or refused in time").is_ok()
    }

    /// Sends nothing more, and still reads.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Exactly so many bytes.
    pub(crate) async fn read_exactly(&mut self, count: usize) -> String {
        while self.read.len() < count {
            let missing = count - self.read.len();
            assert_ne!(self.receive().await, 0, "closed with {missing} bytes missing");
        }
        let rest = self.read.split_off(count);
        String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).into_owned()
    }

    /// Everything until the other side closes or resets.
    pub(crate) async fn read_to_end(&mut self) -> String {
        while self.receive().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    async fn receive(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut buffer)).await.expect("bytes in time");
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count
    }
}

/// A listener whose connections the test serves itself.
pub(crate) struct RawUpstream {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl RawUpstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection on which a request comes, and the request's header; health checks only
    /// connect.
    pub(crate) async fn request(&self) -> (Wire, String) {
        loop {
            let accepted = tokio::time::timeout(DEADLINE, self.listener.accept()).await.expect("a connection in time");
            let mut wire = Wire::new(accepted.unwrap().0);
            if wire.receive().await > 0 {
                let header = wire.read_until("\r\n\r\n").await;
                return (wire, header);
            }
        }
    }
}
