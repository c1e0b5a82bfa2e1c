//! A body that comes in chunks (RFC 9112, section 7.1): sizes, extensions and trailers, read
//! strictly.
//!
//! Extensions and trailers have to be well-formed, are bounded, and go no further: Pingora forwards
//! the content alone.

use crate::{
    answer::{Code, Problem},
    listen::head::bytes::{is_token, is_value, trim},
};

/// Most digits of a size: more than any body needs.
const SIZE_DIGITS_MAX: u8 = 15;

/// Most bytes of the extensions of one chunk.
const EXTENSIONS_MAX_BYTES: u16 = 1_024;

/// Most bytes of all trailers.
const TRAILERS_MAX_BYTES: usize = 8 * 1024;

/// Fields that no trailer may carry: they say how a request is framed, where it goes, who sent it,
/// or how it is read.
const FORBIDDEN_TRAILERS: [&str; 18] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// Follows a body in chunks.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
    digits: u8,
    size: u64,
    extensions: u16,
    /// The trailer that is not complete yet, or the size line's rest.
    line: Vec<u8>,
    trailers: usize,
}

/// The part of a chunked body that comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension(Extension),
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// The part of a chunk extension `;name=value` that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    Escaped,
    QuotedEnd,
}

impl Chunks {
    /// Returns true if the last trailer has been read.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns the number of the bytes that belong to the body.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Problem> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            at += match self.state {
                State::Data => self.data(bytes.len() - at),
                State::Trailer => self.trailer(&bytes[at..])?,
                _ => {
                    self.state = self.byte(bytes[at])?;
                    1
                }
            };
        }
        Ok(at)
    }

    fn byte(&mut self, byte: u8) -> Result<State, Problem> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (State::Size, b';') if self.digits > 0 => Ok(State::Extension(Extension::NameStart)),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Size, _) => Err(refused("the size of a chunk is not a hexadecimal number at the end of its line")),
            (State::Extension(extension), _) => self.extension(extension, byte),
            (State::SizeEnd, b'\n') => Ok(self.begin_chunk()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::SizeEnd, _) => Err(refused("the size of a chunk does not end with CR LF")),
            (_, _) => Err(refused("a chunk has more bytes than its size says, or does not end with CR LF")),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Problem> {
        self.digits += 1;
        if self.digits > SIZE_DIGITS_MAX {
            return Err(refused("the size of a chunk has too many digits"));
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.size = self.size << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, at: Extension, byte: u8) -> Result<State, Problem> {
        use Extension::{Escaped, Name, NameStart, Quoted, QuotedEnd, Value, ValueStart};
        self.extensions += 1;
        if self.extensions > EXTENSIONS_MAX_BYTES {
            return Err(refused("the extensions of a chunk are too long"));
        }
        let is_token = is_token(&[byte]);
        Ok(State::Extension(match (at, byte) {
            (NameStart | Name, _) if is_token => Name,
            (ValueStart | Value, _) if is_token => Value,
            (Name, b'=') => ValueStart,
            (ValueStart, b'"') => Quoted,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, _) if is_value(&[byte]) => Quoted,
            (Name | Value | QuotedEnd, b';') => NameStart,
            (Name | Value | QuotedEnd, b'\r') => return Ok(State::SizeEnd),
            _ => return Err(refused("the extension of a chunk is not `;name`, `;name=value` or `;name=\"value\"`")),
        }))
    }

    fn begin_chunk(&mut self) -> State {
        self.digits = 0;
        self.extensions = 0;
        if self.size == 0 { State::Trailer } else { State::Data }
    }

    fn data(&mut self, bytes: usize) -> usize {
        let taken = bytes.min(usize::try_from(self.size).unwrap_or(usize::MAX));
        self.size -= taken as u64;
        if self.size == 0 {
            self.state = State::DataCr;
        }
        taken
    }

    /// Takes a line, or what there is of it.
    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, Problem> {
        let taken = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        self.trailers += taken;
        if self.trailers > TRAILERS_MAX_BYTES {
            return Err(Problem::new(
                Code::HeadersTooLarge,
                format!("the trailers have more than {TRAILERS_MAX_BYTES} bytes"),
            ));
        }
        self.line.extend_from_slice(&bytes[..taken]);
        match self.line.as_slice() {
            b"\r\n" => self.state = State::Done,
            [line @ .., b'\r', b'\n'] => {
                check_trailer(line)?;
                self.line.clear();
            }
            [.., b'\n'] => return Err(refused("a line behind the last chunk does not end with CR LF")),
            _ => {}
        }
        Ok(taken)
    }
}

fn check_trailer(line: &[u8]) -> Result<(), Problem> {
    let name = memchr::memchr(b':', line).map(|colon| &line[..colon]).filter(|name| is_token(name));
    let Some(name) = name else {
        return Err(refused("a line behind the last chunk is not a trailer `Name: value`"));
    };
    if !is_value(trim(&line[name.len() + 1..])) {
        return Err(refused("a trailer has a control character in its value"));
    }
    if FORBIDDEN_TRAILERS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes())) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        return Err(Problem::new(Code::InvalidRequest, format!("`{name}` may not stand in a trailer")));
    }
    Ok(())
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
