//! The conditions for another try of a request that a server did not answer properly.

use std::time::Duration;

/// Retries of the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Most tries after the first.
    pub most: usize,
    /// Faults that are followed by another try.
    pub on: RetryOn,
    /// Longest silence of a server in a try that another may follow, if shorter than otherwise.
    pub per_try: Option<Duration>,
}

/// Faults that are followed by another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each fault is named or not, whatever is said of the others")]
pub struct RetryOn {
    /// No connection could be made: the server has not got the request.
    pub connect: bool,
    /// The connection broke, or what came is not HTTP.
    pub reset: bool,
    /// The server was silent for too long.
    pub timeout: bool,
    /// 502.
    pub bad_gateway: bool,
    /// 503.
    pub unavailable: bool,
    /// 504.
    pub gateway_timeout: bool,
}

impl RetryOn {
    /// Returns true if an answer with this status is followed by another try.
    pub const fn covers(self, status: u16) -> bool {
        match status {
            502 => self.bad_gateway,
            503 => self.unavailable,
            504 => self.gateway_timeout,
            _ => false,
        }
    }
}
