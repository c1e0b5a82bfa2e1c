//! The header fields of a request: their form, and those that say where it ends and whom it is for.

use super::{
    bytes::{is_token, is_value, number, trim},
    refused, target,
};
use crate::{
    answer::{Code, Problem},
    config::{HEADER_COUNT_MAX, SizeLimits},
    listen::body::Framing,
};

/// Longest name of a field, in bytes.
pub(in crate::listen) const NAME_MAX_BYTES: usize = 256;

/// The fields that were read so far.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the fields read so far")]
pub(super) struct Fields {
    count: usize,
    /// Bytes of names and values.
    bytes: usize,
    has_host: bool,
    is_chunked: bool,
    length: Option<u64>,
    upgrades: bool,
    /// `Expect` with another value than the one that is known.
    expects_more: bool,
}

impl Fields {
    /// Reads one line.
    pub(super) fn read(&mut self, line: &[u8], sizes: &SizeLimits) -> Result<(), Problem> {
        if matches!(line, [b' ' | b'\t', ..]) {
            return Err(refused("a header is continued on a second line: write it on one"));
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(refused("a line of the header has no colon"));
        };
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !is_token(name) {
            return Err(refused(match name {
                [] => "a header has no name",
                [.., b' ' | b'\t'] => "there is a space between the name of a header and its colon",
                _ => "the name of a header has a character that no name may have",
            }));
        }
        // With the spaces around it but for one: a line that is not complete must be measured in
        // the same way.
        let length = (line.len() - colon - 1).saturating_sub(1);
        self.count += 1;
        self.bytes += name.len() + length;
        self.check_sizes(name, length, sizes)?;
        if !is_value(value) {
            return Err(of_field(name, "has a control character in its value"));
        }
        self.note(name, value)
    }

    /// Refuses a line that is too long, whatever follows.
    pub(super) fn check_begun(&self, line: &[u8], sizes: &SizeLimits) -> Result<(), Problem> {
        let (name, value) = match memchr::memchr(b':', line) {
            // Its last byte may be the CR that ends it.
            Some(colon) => (&line[..colon], (line.len() - colon - 1).saturating_sub(2)),
            None => (line, 0),
        };
        if value > sizes.header_value_bytes || name.len() > NAME_MAX_BYTES {
            return self.check_sizes(name, value, sizes);
        }
        if self.bytes + name.len() + value > sizes.header_bytes { Err(too_large(sizes)) } else { Ok(()) }
    }

    fn check_sizes(&self, name: &[u8], value: usize, sizes: &SizeLimits) -> Result<(), Problem> {
        if name.len() > NAME_MAX_BYTES {
            let detail = format!("the name of a header has more than {NAME_MAX_BYTES} bytes");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        if value > sizes.header_value_bytes {
            let most = sizes.header_value_bytes;
            let detail = format!("the value of `{}` has {value} bytes or more; at most {most} are allowed", told(name));
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        if self.count > HEADER_COUNT_MAX {
            let detail = format!("there are more than {HEADER_COUNT_MAX} headers");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        if self.bytes > sizes.header_bytes { Err(too_large(sizes)) } else { Ok(()) }
    }

    /// Keeps what matters for framing and routing.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Problem> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => self.host(value),
            6 if is("expect") => {
                self.expects_more |= !value.eq_ignore_ascii_case(b"100-continue");
                Ok(())
            }
            7 if is("upgrade") => {
                self.upgrades = true;
                Ok(())
            }
            14 if is("content-length") => self.content_length(value),
            17 if is("transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Problem> {
        if std::mem::replace(&mut self.has_host, true) {
            return Err(refused("there is more than one `Host`"));
        }
        if target::is_host(value) {
            return Ok(());
        }
        Err(refused("`Host` is not a host name with an optional port"))
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Problem> {
        if self.length.is_some() {
            return Err(refused("there is more than one `Content-Length`"));
        }
        match number(value) {
            Some(length) if i64::try_from(length).is_ok() => {
                self.length = Some(length);
                Ok(())
            }
            _ => Err(refused("`Content-Length` is not one decimal number")),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Problem> {
        if std::mem::replace(&mut self.is_chunked, true) {
            return Err(refused("there is more than one `Transfer-Encoding`"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        Err(refused("`Transfer-Encoding` is not `chunked`, the only one that is supported"))
    }

    /// Returns the framing of the body, once every field is read.
    pub(super) fn framing(&self, is_1_0: bool) -> Result<Framing, Problem> {
        if !self.has_host && !is_1_0 {
            return Err(refused("there is no `Host`"));
        }
        // HTTP/1.0 knows neither the expectation nor the upgrade.
        if self.expects_more && !is_1_0 {
            return Err(Problem::new(Code::ExpectationFailed, "`Expect` is not `100-continue`"));
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(refused("there are both `Content-Length` and `Transfer-Encoding`")),
            (true, None) if is_1_0 => Err(refused("HTTP/1.0 has no `Transfer-Encoding`")),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::Length(0)),
        }
    }

    pub(super) const fn upgrades(&self) -> bool {
        self.upgrades
    }
}

fn too_large(sizes: &SizeLimits) -> Problem {
    let detail = format!("all headers together have more than {} bytes", sizes.header_bytes);
    Problem::new(Code::HeadersTooLarge, detail)
}

fn of_field(name: &[u8], fault: &str) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the header `{}` {fault}", told(name)))
}

/// The name of a field as a client is told: a token, and not all of a long one.
fn told(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(64)]).to_ascii_lowercase()
}
