//! The target of a request and the host that it is for.

use std::net::Ipv6Addr;

use super::bytes::{is_host_name, is_path, is_query};
use crate::answer::{Code, Problem};

/// The form in which a target is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`.
    Absolute {
        /// Bytes before the host.
        scheme: usize,
        /// Bytes of the host, with its port.
        host: usize,
    },
    /// `*`: the server itself.
    Asterisk,
}

const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

/// Longest host name with its port, in bytes.
const HOST_MAX_BYTES: usize = 300;

/// Reads a target.
pub(super) fn read(method: &[u8], target: &[u8]) -> Result<Target, Problem> {
    match target {
        [b'/', ..] => path_and_query(target).map(|()| Target::Origin),
        b"*" if method == b"OPTIONS" => Ok(Target::Asterisk),
        b"*" => Err(refused("the target `*` is for OPTIONS only")),
        b"" => Err(refused("the request line has no target, or more than one space between its parts")),
        _ => absolute(target),
    }
}

fn absolute(target: &[u8]) -> Result<Target, Problem> {
    let begins = |scheme: &&[u8]| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    let Some(scheme) = SCHEMES.iter().find(|scheme| begins(scheme)) else {
        return Err(refused("the target must be a path that begins with a slash, or a URL with http:// or https://"));
    };
    let rest = &target[scheme.len()..];
    let host = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if !is_host(&rest[..host]) {
        return Err(refused("the target's host is not a host name with an optional port"));
    }
    path_and_query(&rest[host..])?;
    Ok(Target::Absolute { scheme: scheme.len(), host })
}

/// Checks a path with its query.
pub(in crate::listen) fn path_and_query(bytes: &[u8]) -> Result<(), Problem> {
    let end = memchr::memchr(b'?', bytes).unwrap_or(bytes.len());
    if is_path(&bytes[..end]) && bytes.get(end + 1..).is_none_or(is_query) {
        return Ok(());
    }
    let detail = match bytes.iter().find(|byte| !byte.is_ascii_graphic()) {
        Some(b' ') => "the target has a space in it, or the request line more than two: write %20",
        Some(byte) if byte.is_ascii() => "the target has a control character in it",
        Some(_) => "the target has a character in it that is not ASCII: write its UTF-8 bytes as %XX",
        None if bytes.contains(&b'#') => "the target has a fragment: leave out `#` and what follows, or write %23",
        None => "the target has a character in it that must be written as %XX",
    };
    Err(refused(detail))
}

/// Returns true if the bytes are one host, with an optional port.
pub(in crate::listen) fn is_host(bytes: &[u8]) -> bool {
    if bytes.len() > HOST_MAX_BYTES {
        return false;
    }
    if let [b'[', rest @ ..] = bytes {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        let literal = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        return literal.is_some() && is_port(&rest[end + 1..]);
    }
    let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
    is_host_name(&bytes[..end]) && is_port(&bytes[end..])
}

/// Returns true if the bytes are nothing, or a colon and a port.
fn is_port(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [b':', digits @ ..] => {
            (1..=5).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && u16::try_from(digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0'))).is_ok()
        }
        _ => false,
    }
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
