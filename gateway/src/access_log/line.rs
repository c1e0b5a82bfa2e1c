//! The form of an access line.
//!
//! Invariant: a line is one JSON object and short, whatever its fields hold: texts end after
//! [`TEXT_MAX_BYTES`] bytes, and nothing in them is a control character.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::id::{KeyId, TenantId};

use crate::address_text;

/// Longest text of a field, in bytes; what is cut off is replaced by `…`.
const TEXT_MAX_BYTES: usize = 1_024;

/// Longest method, in bytes; no method that is in use is longer.
const METHOD_MAX_BYTES: usize = 32;

/// Longest user agent, in bytes.
const USER_AGENT_MAX_BYTES: usize = 256;

/// The fields of a line, in their order. Those that are none are left out.
#[derive(Default)]
pub(crate) struct Line<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) key: Option<KeyId>,
    pub(crate) route: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) user_agent: Option<&'a [u8]>,
    /// 0 if nothing was answered.
    pub(crate) status: u16,
    pub(crate) elapsed: Duration,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) bytes: usize,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) code: Option<&'static str>,
    pub(crate) aborted: Option<&'static str>,
    pub(crate) ended: Option<&'static str>,
    pub(crate) detail: Option<&'a str>,
}

impl Line<'_> {
    /// Writes the line, told at `now`.
    pub(super) fn write(&self, now: SystemTime, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        timestamp(now, out);
        out.push(b'"');
        text(out, "request_id", self.request_id, TEXT_MAX_BYTES);
        plain(out, "client", self.client.map(address_text::of_ip));
        plain(out, "tenant", self.tenant.map(TenantId::text));
        plain(out, "key", self.key.map(KeyId::text));
        text(out, "route", self.route, TEXT_MAX_BYTES);
        text(out, "method", beginning(self.method, METHOD_MAX_BYTES), TEXT_MAX_BYTES);
        text(out, "path", self.path, TEXT_MAX_BYTES);
        if let Some(agent) = self.user_agent {
            let agent = String::from_utf8_lossy(agent);
            text(out, "user_agent", beginning(&agent, USER_AGENT_MAX_BYTES), TEXT_MAX_BYTES);
        }
        number(out, "status", self.status);
        milliseconds(out, self.elapsed);
        plain(out, "upstream", self.upstream.map(address_text::of_socket));
        number(out, "bytes", self.bytes);
        if let Some(status) = self.grpc_status {
            number(out, "grpc_status", status);
        }
        let words = [("code", self.code), ("aborted", self.aborted), ("ended", self.ended), ("detail", self.detail)];
        for (field, value) in words {
            if let Some(value) = value {
                text(out, field, value, TEXT_MAX_BYTES);
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, field: &str, value: impl itoa::Integer) {
    name(out, field);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes plain letters.
fn plain(out: &mut Vec<u8>, field: &str, value: Option<impl AsRef<[u8]>>) {
    let Some(value) = value else { return };
    name(out, field);
    out.push(b'"');
    out.extend_from_slice(value.as_ref());
    out.push(b'"');
}

/// Milliseconds with three digits behind the point at most.
fn milliseconds(out: &mut Vec<u8>, elapsed: Duration) {
    let micros = elapsed.as_nanos().saturating_add(500) / 1_000;
    number(out, "latency_ms", micros / 1_000);
    let mut rest = micros % 1_000;
    if rest > 0 {
        out.push(b'.');
        for place in [100, 10, 1] {
            if rest > 0 {
                out.push(b'0' + u8::try_from(rest / place).unwrap_or(0));
                rest %= place;
            }
        }
    }
}

fn text(out: &mut Vec<u8>, field: &str, value: &str, most: usize) {
    name(out, field);
    out.push(b'"');
    let told = beginning(value, most);
    if told.bytes().all(is_plain) {
        out.extend_from_slice(told.as_bytes());
    } else {
        escaped(out, told);
    }
    if told.len() < value.len() {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

/// Returns true for bytes that need no escape, whatever stands beside them. The byte 0xC2 begins
/// control characters beyond ASCII, among others.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f && byte != 0xc2
}

fn escaped(out: &mut Vec<u8>, value: &str) {
    let mut out = Bytes(out);
    for letter in value.chars() {
        // Writing to memory does not fail.
        let _ = match letter {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            letter if letter.is_control() => write!(out, "\\u{:04x}", u32::from(letter)),
            letter => out.write_char(letter),
        };
    }
}

/// The text's beginning, of so many bytes at most.
fn beginning(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// RFC 3339 in UTC, to the microsecond. The second is formatted once for each thread.
fn timestamp(now: SystemTime, out: &mut Vec<u8>) {
    thread_local! {
        static SECOND: Cell<(u64, [u8; 19])> = const { Cell::new((u64::MAX, [b'0'; 19])) };
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let known = SECOND.try_with(Cell::get).unwrap_or((u64::MAX, [b'0'; 19]));
    let text = if known.0 == since.as_secs() { known.1 } else { second(since.as_secs()) };
    // A thread that ends formats for itself.
    let _ = SECOND.try_with(|second| second.set((since.as_secs(), text)));
    out.extend_from_slice(&text);
    out.push(b'.');
    let micros = since.subsec_micros();
    for place in [100_000, 10_000, 1_000, 100, 10, 1] {
        out.push(b'0' + u8::try_from(micros / place % 10).unwrap_or(0));
    }
    out.push(b'Z');
}

/// A second as in `2026-11-29T22:45:05`.
fn second(seconds: u64) -> [u8; 19] {
    let mut text = [b'0'; 19];
    let instant = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let shown = instant.unwrap_or_default().to_string();
    for (place, byte) in text.iter_mut().zip(shown.bytes()) {
        *place = byte;
    }
    text
}

/// Lets `fmt` write into bytes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn written(line: &Line<'_>, now: SystemTime) -> String {
        let mut out = Vec::new();
        line.write(now, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn read(line: &Line<'_>) -> Value {
        let text = written(line, UNIX_EPOCH);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn line_has_its_fields_in_their_order() {
        let line = Line {
            request_id: "r1",
            client: Some("198.51.100.7".parse().unwrap()),
            tenant: Some(TenantId::from_u128(1)),
            key: Some(KeyId::from_u128(2)),
            route: "api",
            method: "GET",
            path: "/a",
            user_agent: Some(b"curl/8"),
            status: 200,
            elapsed: Duration::from_nanos(1_234_567),
            upstream: Some("[::1]:80".parse().unwrap()),
            bytes: 12,
            grpc_status: Some(5),
            code: Some("c"),
            aborted: Some("a"),
            ended: Some("e"),
            detail: Some("d"),
        };
        let now = UNIX_EPOCH + Duration::from_micros(1_795_991_105_000_042);
        assert_eq!(
            written(&line, now),
            "{\"timestamp\":\"2026-11-29T22:25:05.000042Z\",\"request_id\":\"r1\",\"client\":\"198.51.100.7\",\
             \"tenant\":\"ten_00000000000000000000000001\",\"key\":\"key_00000000000000000000000002\",\
             \"route\":\"api\",\"method\":\"GET\",\"path\":\"/a\",\"user_agent\":\"curl/8\",\"status\":200,\
             \"latency_ms\":1.235,\"upstream\":\"[::1]:80\",\"bytes\":12,\"grpc_status\":5,\"code\":\"c\",\
             \"aborted\":\"a\",\"ended\":\"e\",\"detail\":\"d\"}\n"
        );
        let short = written(&Line::default(), now);
        assert!(!short.contains("client") && short.contains("\"latency_ms\":0,"), "{short}");
    }

    #[test]
    fn latency_has_no_more_digits_than_it_needs() {
        let told =
            |micros| read(&Line { elapsed: Duration::from_micros(micros), ..Line::default() })["latency_ms"].clone();
        assert_eq!(
            [0, 1, 10, 100, 1_000, 1_020].map(told),
            [json!(0), json!(0.001), json!(0.01), json!(0.1), json!(1), json!(1.02),]
        );
    }

    #[test]
    fn texts_are_cut_and_escaped() {
        let long = "é".repeat(10_000);
        let told = read(&Line { path: &long, method: &long, user_agent: Some(long.as_bytes()), ..Line::default() });
        let length = |field: &str| told[field].as_str().unwrap().len();
        assert_eq!((length("path"), length("method"), length("user_agent")), (1_024 + 3, 32, 256));
        let text = written(&Line { path: "\u{85}\u{7f}\n\"\\\u{1}", ..Line::default() }, UNIX_EPOCH);
        assert!(text.contains(r#""path":"\u0085\u007f\n\"\\\u0001""#), "{text}");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_of_json_that_says_the_same(path in "\\PC{0,300}|[\\x00-\\x7f]{0,300}", agent in any::<Vec<u8>>()) {
            let line = Line { path: &path, user_agent: Some(&agent), ..Line::default() };
            let text = written(&line, UNIX_EPOCH);
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(!text.trim_end().chars().any(char::is_control));
            let told = read(&line);
            prop_assert_eq!(told["path"].as_str().unwrap(), beginning(&path, TEXT_MAX_BYTES).to_owned() + if path.len() > TEXT_MAX_BYTES { "…" } else { "" });
        }
    }
}
