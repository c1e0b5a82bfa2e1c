//! Edits of headers on the way to the upstream or back. No name stands in two of the lists, so
//! their order makes no difference.

use http::{HeaderName, HeaderValue};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// Headers that are set, added and removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HeaderEdits {
    /// In place of all headers of the name.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// Beside the headers of the name.
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
    /// All headers of the name.
    pub(crate) remove: Vec<HeaderName>,
}

impl HeaderEdits {
    /// Edits a request.
    pub(crate) fn of_request(&self, request: &mut RequestHeader) -> Result<()> {
        for name in &self.remove {
            request.remove_header(name);
        }
        self.set.iter().try_for_each(|(name, value)| request.insert_header(name, value))?;
        self.add.iter().try_for_each(|(name, value)| request.append_header(name, value).map(drop))
    }

    /// Edits an answer.
    pub(crate) fn of_response(&self, response: &mut ResponseHeader) -> Result<()> {
        for name in &self.remove {
            response.remove_header(name);
        }
        self.set.iter().try_for_each(|(name, value)| response.insert_header(name, value))?;
        self.add.iter().try_for_each(|(name, value)| response.append_header(name, value).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_set_added_and_removed() {
        let name = HeaderName::from_static;
        let value = HeaderValue::from_static;
        let edits = HeaderEdits {
            set: vec![(name("x-set"), value("1")), (name("x-new"), value("2"))],
            add: vec![(name("x-add"), value("3"))],
            remove: vec![name("x-gone")],
        };
        let sent = [("X-Set", "a"), ("X-Set", "b"), ("X-Add", "c"), ("X-Gone", "d"), ("X-Gone", "e"), ("X-Kept", "f")];
        let (mut request, mut response) =
            (RequestHeader::build("GET", b"/", None).unwrap(), ResponseHeader::build(200, None).unwrap());
        for (name, value) in sent {
            request.append_header(name, value).unwrap();
            response.append_header(name, value).unwrap();
        }
        edits.of_request(&mut request).unwrap();
        edits.of_response(&mut response).unwrap();
        for headers in [&request.headers, &response.headers] {
            let mut all: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            all.sort_unstable();
            assert_eq!(all, ["x-add: 3", "x-add: c", "x-kept: f", "x-new: 2", "x-set: 1"]);
        }
    }
}
