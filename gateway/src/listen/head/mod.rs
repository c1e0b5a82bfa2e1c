//! The header of a request, read strictly and before anything else sees it (RFC 9110 and 9112).
//!
//! Invariant: what is accepted here can be read in one way only, by whatever server stands behind
//! the gateway: one space between the parts of the request line, lines that end with CR LF, one
//! `Host`, and either one `Content-Length` or `Transfer-Encoding: chunked`. Nothing is repaired.
//! Lines are checked as they arrive, and no more bytes are asked for than the limits allow.

pub(crate) mod bytes;
mod field;
mod target;
#[cfg(test)]
mod tests;

use bytes::is_token;
use field::Fields;
pub(in crate::listen) use field::NAME_MAX_BYTES;
pub use target::Target;
pub(in crate::listen) use target::{is_host, path_and_query};

use super::{body::Framing, sizes::check_path};
use crate::{
    answer::{Code, Problem},
    config::SizeLimits,
};

/// Longest method, in bytes; the longest that is registered has 17.
pub(in crate::listen) const METHOD_MAX_BYTES: usize = 32;

/// Bytes of `HTTP/1.1`.
const VERSION_BYTES: usize = 8;

/// Empty lines that may come before a request: some clients send one behind a body.
const EMPTY_LINES_MAX: u8 = 2;

/// The methods that the gateway serves, as `Allow` lists them.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The header of a request, as far as it matters for what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes before it that belong to no request.
    pub skipped: usize,
    /// Its bytes, with the empty line.
    pub length: usize,
    /// The framing of its body.
    pub framing: Framing,
    /// The form of its target.
    pub target: Target,
    /// Bytes of its method.
    pub method: usize,
    /// True if it asks for another protocol.
    pub upgrades: bool,
}

/// Reads the header of one request from bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Start of the request.
    skipped: usize,
    empty_lines: u8,
    /// Start of the line that is not complete yet.
    line: usize,
    /// Up to where there is no end of that line.
    searched: usize,
    request: Option<RequestLine>,
    fields: Fields,
}

#[derive(Debug, Clone, Copy)]
struct RequestLine {
    method: usize,
    is_head: bool,
    is_1_0: bool,
    target: Target,
}

impl HeadReader {
    /// The header, once it is complete. `bytes` begins with what it began with the last time.
    pub fn read(&mut self, bytes: &[u8], sizes: &SizeLimits) -> Result<Option<Head>, Problem> {
        while let Some(found) = bytes.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.searched + found;
            let Some((b'\r', line)) = bytes[self.line..end].split_last() else {
                return Err(refused("a line of the header does not end with CR LF"));
            };
            self.line = end + 1;
            self.searched = end + 1;
            if line.is_empty() {
                if let Some(head) = self.empty_line()? {
                    return Ok(Some(head));
                }
            } else if self.request.is_none() {
                self.request = Some(RequestLine::read(line, sizes)?);
            } else {
                self.fields.read(line, sizes)?;
            }
        }
        self.searched = bytes.len();
        self.check_begun(bytes.get(self.line..).unwrap_or_default(), sizes)?;
        Ok(None)
    }

    /// Returns true if the request is known to be one whose answer has no body.
    pub fn is_head(&self) -> bool {
        self.request.is_some_and(|request| request.is_head)
    }

    /// The header, if the empty line ends one.
    fn empty_line(&mut self) -> Result<Option<Head>, Problem> {
        let Some(request) = self.request else {
            self.empty_lines += 1;
            self.skipped = self.line;
            if self.empty_lines > EMPTY_LINES_MAX {
                return Err(refused("there are empty lines before the request line"));
            }
            return Ok(None);
        };
        let framing = self.fields.framing(request.is_1_0)?;
        Ok(Some(Head {
            skipped: self.skipped,
            length: self.line - self.skipped,
            framing,
            target: request.target,
            method: request.method,
            upgrades: self.fields.upgrades(),
        }))
    }

    /// Refuses a line that cannot become a good one any more.
    fn check_begun(&self, line: &[u8], sizes: &SizeLimits) -> Result<(), Problem> {
        if self.request.is_some() {
            return self.fields.check_begun(line, sizes);
        }
        let method = memchr::memchr(b' ', line);
        let begun = &line[..method.unwrap_or(line.len())];
        if begun != b"\r" && !line.is_empty() {
            check_method(begun)?;
        }
        let target = method.map_or(0, |end| (line.len() - end - 1).saturating_sub(VERSION_BYTES + 2));
        check_path(target, sizes)
    }
}

impl RequestLine {
    fn read(line: &[u8], sizes: &SizeLimits) -> Result<Self, Problem> {
        let Some(method) = memchr::memchr(b' ', line) else {
            check_method(line)?;
            return Err(refused("the request line is not `METHOD /path HTTP/1.1`"));
        };
        check_method(&line[..method])?;
        let rest = &line[method + 1..];
        let Some(end) = memchr::memrchr(b' ', rest) else {
            return Err(refused("the request line has no version: it must end with HTTP/1.1 or HTTP/1.0"));
        };
        let is_1_0 = is_1_0(&rest[end + 1..])?;
        let (method, target) = (&line[..method], &rest[..end]);
        if matches!(method, b"CONNECT" | b"TRACE") {
            let detail = "the gateway serves neither CONNECT nor TRACE";
            return Err(Problem::new(Code::MethodNotAllowed, detail).allow(METHODS));
        }
        check_path(target.len(), sizes)?;
        Ok(Self { method: method.len(), is_head: method == b"HEAD", is_1_0, target: target::read(method, target)? })
    }
}

fn check_method(method: &[u8]) -> Result<(), Problem> {
    if method.len() > METHOD_MAX_BYTES {
        return Err(Problem::new(
            Code::InvalidRequest,
            format!("the method is too long: at most {METHOD_MAX_BYTES} characters are allowed"),
        ));
    }
    if is_token(method) {
        return Ok(());
    }
    Err(refused("the request does not begin with a method: this is not HTTP, or there is a space too many"))
}

/// Returns true for HTTP/1.0; an error for a version that is not served.
fn is_1_0(version: &[u8]) -> Result<bool, Problem> {
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', b'1'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Problem::new(Code::VersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are supported"))
        }
        _ => Err(refused("the request line must end with HTTP/1.1 or HTTP/1.0")),
    }
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
