//! A call of gRPC: its deadline, and the status that it ends with.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::answer::{
    Code, Problem,
    grpc::{Shape, http_status, judged_status, status_in},
};

const TIMEOUT: &str = "grpc-timeout";

/// Most digits of a timeout.
const DIGITS_MAX: usize = 8;

/// Largest number of a timeout.
const COUNT_MAX: u128 = 99_999_999;

/// The units that a timeout is written in, with their milliseconds.
const UNITS: [(u128, char); 4] = [(1, 'm'), (1_000, 'S'), (60_000, 'M'), (3_600_000, 'H')];

/// A call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// Time at which its client gives up.
    deadline: Option<Instant>,
    /// True if its client reads trailers.
    takes_trailers: bool,
    /// The status that the upstream has ended it with.
    pub(super) status: Option<u16>,
    /// True once the server was judged by its answer.
    is_judged: bool,
}

impl Call {
    /// The call that a request is, if it is one.
    pub(super) fn of(request: &RequestHeader) -> std::result::Result<Option<Self>, Problem> {
        if Shape::of(request) != Shape::Grpc {
            return Ok(None);
        }
        let takes_trailers = request.headers.get(header::TE).is_some_and(|value| value == "trailers");
        let deadline = match request.headers.get(TIMEOUT) {
            None => None,
            Some(value) => {
                let timeout = timeout(value.as_bytes()).ok_or_else(|| {
                    Problem::new(Code::InvalidRequest, "`grpc-timeout` is not a number of up to 8 digits and a unit")
                })?;
                // One that is beyond the clock is none.
                Instant::now().checked_add(timeout)
            }
        };
        Ok(Some(Self { deadline, takes_trailers, status: None, is_judged: false }))
    }

    /// Time that is left until the client gives up.
    pub(super) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns true if the client has given up.
    pub(super) fn is_overdue(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// Tells the upstream what is left of the time, and that trailers are read. False if no time is
    /// left.
    pub(super) fn write(&self, request: &mut RequestHeader) -> Result<bool> {
        if self.takes_trailers && request.version == Version::HTTP_2 {
            request.insert_header(header::TE, HeaderValue::from_static("trailers"))?;
        }
        let Some(left) = self.left() else { return Ok(true) };
        let left = left.as_millis();
        // A client may say 99,999,999 hours, and no number is larger.
        if let Some((unit, letter)) = UNITS.into_iter().find(|(unit, _)| left / unit <= COUNT_MAX) {
            request.insert_header(TIMEOUT, format!("{}{letter}", left / unit))?;
        }
        Ok(left > 0)
    }

    /// Takes the status from trailers, or from the header of an answer without messages.
    pub(super) fn end(&mut self, headers: &HeaderMap) {
        if let Some(status) = status_in(headers) {
            self.status = Some(status);
        }
    }

    /// The status of HTTP by which the server is judged, if the header of its answer tells it: an
    /// answer of 200 is judged by the call's status, which may come with the trailers.
    pub(super) fn judge(&mut self, answer: &ResponseHeader) -> Option<u16> {
        let status = match answer.status {
            StatusCode::OK => judged_status(status_in(&answer.headers)?),
            other => other.as_u16(),
        };
        self.is_judged = true;
        Some(status)
    }

    /// The same by trailers, unless the header has told it.
    pub(super) fn judge_end(&mut self, trailers: &HeaderMap) -> Option<u16> {
        let status = status_in(trailers).filter(|_| !self.is_judged)?;
        self.is_judged = true;
        Some(judged_status(status))
    }

    /// The status of HTTP that stands for the call's in usage, if the upstream has ended it without
    /// a message.
    pub(super) fn http_status(&self) -> Option<u16> {
        self.status.map(http_status)
    }
}

/// The problem of a call whose deadline has passed.
pub(super) fn overdue() -> Problem {
    Problem::new(Code::UpstreamTimeout, "the deadline of the call (`grpc-timeout`) has passed")
}

/// The time in `grpc-timeout`: digits and a unit.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_hours(count),
        b'M' => Duration::from_mins(count),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(timeout: &str) -> RequestHeader {
        let mut request = RequestHeader::build("POST", b"/a.B/C", None).unwrap();
        request.set_version(Version::HTTP_2);
        request.insert_header("content-type", "application/grpc").unwrap();
        request.insert_header("te", "trailers").unwrap();
        if !timeout.is_empty() {
            request.insert_header("grpc-timeout", timeout.to_owned()).unwrap();
        }
        request
    }

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        for (text, milliseconds) in [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("4m", 4), ("5000u", 5)] {
            assert_eq!(timeout(text.as_bytes()), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(timeout(b"7n"), Some(Duration::from_nanos(7)));
        assert_eq!(timeout(b"99999999H"), Some(Duration::from_hours(99_999_999)));
        for wrong in ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", " 1S"] {
            assert_eq!(timeout(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Call::of(&request("1s")).unwrap_err().code(), Code::InvalidRequest);
        assert!(Call::of(&RequestHeader::build("POST", b"/", None).unwrap()).unwrap().is_none());
    }

    #[test]
    fn server_is_judged_once_and_only_by_what_it_says_of_itself() {
        let begin = Call::of(&request("")).unwrap().unwrap();
        let answer = |status: u16, call: Option<u16>| {
            let mut answer = ResponseHeader::build(status, None).unwrap();
            if let Some(call) = call {
                answer.insert_header("grpc-status", call.to_string()).unwrap();
            }
            answer
        };
        let trailers = |status: u16| answer(200, Some(status)).headers.clone();
        for (status, judged) in [(0, 200), (2, 500), (4, 200), (12, 200), (13, 500), (14, 503), (15, 500), (99, 200)] {
            let mut call = begin;
            assert_eq!(call.judge(&answer(200, Some(status))), Some(judged), "{status}");
            assert_eq!(call.judge_end(&trailers(14)), None, "{status}");
            let mut call = begin;
            assert_eq!(call.judge(&answer(200, None)), None, "{status}");
            assert_eq!(call.judge_end(&trailers(status)), Some(judged), "{status}");
        }
        let mut call = begin;
        assert_eq!(call.judge(&answer(502, None)), Some(502));
    }

    #[test]
    fn upstream_is_told_what_is_left() {
        let call = Call::of(&request("60S")).unwrap().unwrap();
        let mut sent = request("60S");
        sent.remove_header("te");
        assert!(call.write(&mut sent).unwrap());
        let told = timeout(sent.headers["grpc-timeout"].as_bytes()).unwrap();
        assert!(told < Duration::from_mins(1) && told > Duration::ZERO, "{told:?}");
        assert_eq!(sent.headers["te"], "trailers");
        let call = Call::of(&request("0m")).unwrap().unwrap();
        assert!(!call.write(&mut sent).unwrap());
        let call = Call::of(&request("99999999H")).unwrap().unwrap();
        assert!(call.write(&mut sent).unwrap());
        assert!(timeout(sent.headers["grpc-timeout"].as_bytes()).unwrap() > Duration::from_hours(9_999_999));
        let call = Call::of(&request("")).unwrap().unwrap();
        assert!(call.write(&mut request("")).unwrap() && call.left().is_none());
    }
}
