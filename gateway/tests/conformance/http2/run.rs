//! Runs tables of cases of HTTP/2: a header as its fields, and the frames that follow it.

use crate::{
    message::Message,
    suite::Suite,
    support::http2::{DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM, field, fields},
};

/// The error code of a stream that breaks a rule.
const PROTOCOL_ERROR: u32 = 1;

/// The header that says the number of a case.
const CASE: &str = "x-case";

/// The required outcome of a case. The connection serves another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The stream is reset with `PROTOCOL_ERROR` or answered with 400 (RFC 9113, section 8.1.1), or
    /// the whole connection is given up with that reason (section 5.4.1). The upstream sees nothing.
    Malformed,
    /// The stream is reset; the upstream may have seen as much as was well-formed.
    Reset,
    /// Answered by the gateway with this status.
    Refused(u16),
    /// Answered by the upstream.
    Good,
}

pub(super) use Outcome::{Good, Malformed, Refused, Reset};

/// A frame behind the header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// A part of the body.
    Data(&'static str),
    /// The same, and the last frame.
    Last(&'static str),
    /// Trailers, as the last frame.
    Trailers(Fields),
    /// Trailers behind which more may come.
    OpenTrailers(Fields),
}

pub(super) type Fields = &'static [(&'static str, &'static str)];

/// The pseudo-headers of `GET /`.
macro_rules! get {
    ($($field:expr),* $(,)?) => {
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), $($field),*]
    };
}

/// The pseudo-headers of `POST /`.
macro_rules! post {
    ($($field:expr),* $(,)?) => {
        &[(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/"), $($field),*]
    };
}

pub(super) use {get, post};

/// A request with what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    name: &'static str,
    fields: Fields,
    parts: &'static [Part],
    outcome: Outcome,
    seen: &'static [&'static str],
}

pub(super) const fn case(name: &'static str, fields: Fields, outcome: Outcome) -> Case {
    Case { name, fields, parts: &[], outcome, seen: &[] }
}

impl Case {
    /// Sends these behind the header.
    pub(super) const fn with(mut self, parts: &'static [Part]) -> Self {
        self.parts = parts;
        self
    }

    /// Expects this of the request at the upstream; see [`Message::misses`].
    pub(super) const fn sees(mut self, expected: &'static [&'static str]) -> Self {
        self.seen = expected;
        self
    }

    /// The frames of the request, which says its number: the upstream may see an earlier one late.
    fn frames(&self, number: &str) -> Vec<Frame> {
        let block = |fields: Fields| fields.iter().flat_map(|(name, value)| field(name, value)).collect::<Vec<u8>>();
        let end = if self.parts.is_empty() { END_STREAM } else { 0 };
        let head = [block(self.fields), field(CASE, number)].concat();
        let head = Frame::new(HEADERS, END_HEADERS | end, 1, head);
        let parts = self.parts.iter().map(|part| match part {
            Part::Data(text) => Frame::new(DATA, 0, 1, *text),
            Part::Last(text) => Frame::new(DATA, END_STREAM, 1, *text),
            Part::Trailers(fields) => Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, block(fields)),
            Part::OpenTrailers(fields) => Frame::new(HEADERS, END_HEADERS, 1, block(fields)),
        });
        [head].into_iter().chain(parts).collect()
    }
}

/// Runs tables, each named by its rule; panics with all cases that fail.
pub(super) async fn run(suite: &Suite, rules: &[(&str, &[Case])]) {
    suite.upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut failed = Vec::new();
    let cases = rules.iter().flat_map(|(rule, cases)| cases.iter().map(move |case| (rule, case)));
    for (number, (rule, case)) in cases.enumerate() {
        if let Err(reason) = check(suite, case, &number.to_string()).await {
            failed.push(format!("{rule}: {}: {:?}: {reason}", case.name, case.outcome));
        }
    }
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
}

async fn check(suite: &Suite, case: &Case, number: &str) -> Result<(), String> {
    let mut client = Frames::connect(suite.gateway.address).await;
    let behind = Frame::new(HEADERS, END_HEADERS | END_STREAM, 3, fields("GET", "/behind", &[]));
    client.send(&case.frames(number)).await;
    client.send(&[behind]).await;
    let (mut status, mut reset, mut behind, mut is_over) = (None, None, None, false);
    while !is_over && (behind.is_none() || (status.is_none() && reset.is_none())) {
        let Some(frame) = client.next().await else {
            return Err(format!("the connection ended; status {status:?}, reset {reset:?}"));
        };
        match (frame.kind, frame.stream) {
            (HEADERS, 1) => status = status.or_else(|| status_of(&frame.payload)),
            (HEADERS, 3) => behind = status_of(&frame.payload),
            (RST_STREAM, 1) => reset = frame.payload.try_into().ok().map(u32::from_be_bytes),
            (GOAWAY, _) => (is_over, reset) = (true, Some(frame.reason())),
            _ => {}
        }
    }
    let seen: Vec<Message> = suite.upstream.take();
    let is_of_another = |request: &Message| request.value(CASE).is_some_and(|said| said != number);
    let is_seen = |request: &&Message| !request.start.contains("/behind") && !is_of_another(request);
    let seen: Vec<&Message> = seen.iter().filter(is_seen).collect();
    let is_right = (behind == Some(200) || is_over && case.outcome == Malformed)
        && match case.outcome {
            Reset => reset == Some(PROTOCOL_ERROR),
            Malformed => seen.is_empty() && (reset == Some(PROTOCOL_ERROR) || status == Some(400)),
            Refused(wanted) => seen.is_empty() && status == Some(wanted),
            Good => seen.len() == 1 && status == Some(200),
        };
    let told = || {
        let seen: Vec<String> = seen.iter().copied().map(Message::to_string).collect();
        format!("status {status:?}, reset {reset:?}, behind {behind:?}, seen {seen:?}")
    };
    if !is_right {
        return Err(told());
    }
    match seen.first().and_then(|seen| seen.misses(case.seen)) {
        Some(missed) => Err(format!("{missed:?} is not met: {}", told())),
        None => Ok(()),
    }
}

/// The status at the begin of an answer's header: indexed (RFC 7541, appendix A), or digits in
/// Huffman's code (appendix B).
pub(super) fn status_of(block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [first @ 0x88..=0x8E, ..] => Some(INDEXED[usize::from(first - 0x88)]),
        [0x48 | 0x08, length, digits @ ..] if length & 0x80 != 0 => {
            let coded = digits.get(..usize::from(length & 0x7F))?;
            let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
            let mut digit = || {
                let five = (0..5).try_fold(0, |code, _| Some(code << 1 | bits.next()?))?;
                // 0, 1 and 2 have five bits, the others six.
                if five < 3 { Some(five) } else { Some((five << 1 | bits.next()?) - 0b01_1001 + 3) }
            };
            Some(digit()? * 100 + digit()? * 10 + digit()?)
        }
        _ => None,
    }
}
