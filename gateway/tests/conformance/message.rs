//! A message of HTTP/1.1, read strictly and independently of the gateway.

use std::fmt;

/// A request or an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request line or status line.
    pub(crate) start: String,
    /// Names in lower case, and values, in their order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// True if the end of the body was seen.
    pub(crate) is_whole: bool,
    /// Start lines of the interim answers before it.
    pub(crate) interim: Vec<String>,
}

impl Message {
    /// Reads a header; the message without its body, and the bytes behind the header.
    pub(crate) fn read_head(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let mut lines = text.split("\r\n");
        let start = lines.next()?.to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, "(no colon)"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect();
        Some((Self { start, fields, ..Self::default() }, length))
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field as one list.
    fn list(&self, name: &str) -> String {
        let values = self.fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn is_problem(&self) -> bool {
        self.value("content-type") == Some("application/problem+json")
    }

    /// The first of some expectations that the message does not meet.
    ///
    /// | expectation | |
    /// |---|---|
    /// | `=GET / HTTP/1.1` | its start line |
    /// | `name: value` | it has this field; several lines count as one list (RFC 9110, section 5.3) |
    /// | `name:` | it has this field |
    /// | `-name` | it has no such field |
    /// | `>text` | its body |
    /// | `+HTTP/1.1 103 Early Hints` | an interim answer before it |
    /// | `+none` | no interim answer came before it |
    pub(crate) fn misses<'e>(&self, expected: &[&'e str]) -> Option<&'e str> {
        expected.iter().copied().find(|expectation| !self.meets(expectation))
    }

    fn meets(&self, expectation: &str) -> bool {
        let (kind, rest) = expectation.split_at(1);
        match kind {
            "=" => self.start == rest,
            "-" => self.value(rest).is_none(),
            ">" => self.body == rest,
            "+" if rest == "none" => self.interim.is_empty(),
            "+" => self.interim.iter().any(|interim| interim == rest),
            _ => match expectation.split_once(": ") {
                Some((name, value)) => self.value(name).is_some() && self.list(name) == value,
                None => self.value(expectation.trim_end_matches(':')).is_some(),
            },
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {:?} {:?} {}", self.start, self.fields, self.body, self.interim.join(", "))?;
        if self.is_whole { Ok(()) } else { formatter.write_str(" (cut off)") }
    }
}

/// The bytes of a body that is framed like this, and how many they were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Whole(String, usize),
    /// More bytes have to come.
    Partial,
    /// No recipient may read this.
    Broken(&'static str),
}

/// Reads a body in chunks: sizes in hexadecimal, no extensions, and trailers without a meaning.
pub(crate) fn read_chunks(bytes: &[u8]) -> Body {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = bytes[at..].windows(2).position(|window| window == b"\r\n") else { return Body::Partial };
        let digits = std::str::from_utf8(&bytes[at..at + end]).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(digits, 16) else { return Body::Broken("the size of a chunk") };
        at += end + 2;
        if size == 0 {
            let Some(end) = bytes[at..].windows(2).position(|window| window == b"\r\n") else { return Body::Partial };
            if end != 0 {
                return Body::Broken("a trailer");
            }
            return Body::Whole(String::from_utf8_lossy(&body).into_owned(), at + 2);
        }
        let Some(data) = bytes.get(at..at + size + 2) else { return Body::Partial };
        if !data.ends_with(b"\r\n") {
            return Body::Broken("the end of a chunk");
        }
        body.extend_from_slice(&data[..size]);
        at += size + 2;
    }
}

/// All answers on a connection that has ended. `is_head`: the first was to a HEAD.
pub(crate) fn read_answers(mut bytes: &[u8], mut is_head: bool) -> Result<Vec<Message>, String> {
    let (mut answers, mut interim) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let told = || String::from_utf8_lossy(bytes).into_owned();
        let Some((mut answer, length)) = Message::read_head(bytes) else { return Err(told()) };
        let status = answer.status();
        if !(100..=999).contains(&status) || !answer.start.starts_with("HTTP/1.1 ") {
            return Err(told());
        }
        bytes = &bytes[length..];
        if (100..200).contains(&status) && status != 101 {
            interim.push(answer.start);
            continue;
        }
        answer.interim = std::mem::take(&mut interim);
        bytes = &bytes[read_body(&mut answer, bytes, std::mem::take(&mut is_head))?..];
        answers.push(answer);
    }
    Ok(answers)
}

fn read_body(answer: &mut Message, bytes: &[u8], is_head: bool) -> Result<usize, String> {
    let (coding, length) = (answer.value("transfer-encoding"), answer.value("content-length"));
    if coding.is_some() && length.is_some() {
        return Err("an answer has both Transfer-Encoding and Content-Length".into());
    }
    if is_head || matches!(answer.status(), 204 | 304) {
        answer.is_whole = true;
        return Ok(0);
    }
    if coding.is_some() {
        return match read_chunks(bytes) {
            Body::Whole(body, length) => {
                (answer.body, answer.is_whole) = (body, true);
                Ok(length)
            }
            Body::Partial => Ok(bytes.len()),
            Body::Broken(part) => Err(format!("{part} of an answer is broken: {}", String::from_utf8_lossy(bytes))),
        };
    }
    let length = length.map(|length| length.parse::<usize>().map_err(|error| error.to_string())).transpose()?;
    let taken = length.unwrap_or(bytes.len()).min(bytes.len());
    answer.is_whole = length.is_none_or(|length| length == taken);
    answer.body = String::from_utf8_lossy(&bytes[..taken]).into_owned();
    Ok(taken)
}
