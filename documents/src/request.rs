//! Requests: a template, its data, and the files that it may show or attach.

use serde::{Deserialize, Serialize};

/// Most bytes of all files of a request together.
const FILES_MAX_BYTES: usize = 16 << 20;

/// The part of a request that is JSON. The bytes of its files follow, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestHead {
    /// The template, in typst. It reads its data from `data.json`.
    pub template: String,
    /// The data.
    pub data: serde_json::Value,
    /// The files that the template may read, by name.
    #[serde(default)]
    pub files: Vec<FileHead>,
    /// A text that names the document for ever, from which its PDF identifier follows.
    pub identifier: String,
    /// Time of the document in UTC: year, month, day, hour, minute, second.
    pub time: Time,
    /// The standard that the PDF keeps to.
    #[serde(default)]
    pub standard: Standard,
    /// The file that the PDF carries as its electronic invoice.
    #[serde(default)]
    pub attachment: Option<Attachment>,
}

/// Year, month, day, hour, minute and second.
pub type Time = (i32, u8, u8, u8, u8, u8);

/// A file of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHead {
    /// Its name, as the template names it.
    pub name: String,
    /// Its length.
    pub bytes: usize,
}

/// The standards of PDF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standard {
    /// PDF/A-2u: for archives, with text that can be searched.
    #[default]
    #[serde(rename = "a-2u")]
    A2u,
    /// PDF/A-3u: that, and files may be attached.
    #[serde(rename = "a-3u")]
    A3u,
}

/// An electronic invoice within a PDF, as Factur-X and ZUGFeRD say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Name of its file, which is one of the request's.
    pub file: String,
    /// The conformance level, as in `EN 16931`.
    pub level: String,
}

/// A request with the bytes of its files.
#[derive(Debug, Clone)]
pub struct Request {
    /// All but the files.
    pub head: RequestHead,
    /// The files, in the order of the head.
    pub files: Vec<Vec<u8>>,
}

/// The reason for which a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The head cannot be read.
    #[error("the head of the request cannot be read: {0}")]
    Head(String),
    /// The files are too large.
    #[error("the files of the request have {0} bytes, and at most {FILES_MAX_BYTES} are allowed")]
    TooLarge(usize),
    /// The bytes of the files are not those that the head states.
    #[error("the files of the request have {found} bytes, and the head states {stated}")]
    Length {
        /// Bytes that the head states.
        stated: usize,
        /// Bytes that came.
        found: usize,
    },
}

impl Request {
    /// Reads a request: its head, and the bytes of its files behind it.
    pub fn read(head: &[u8], mut body: &[u8]) -> Result<Self, RequestError> {
        let head: RequestHead = serde_json::from_slice(head).map_err(|error| RequestError::Head(error.to_string()))?;
        let stated = head.files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.bytes));
        if stated > FILES_MAX_BYTES {
            return Err(RequestError::TooLarge(stated));
        }
        if stated != body.len() {
            return Err(RequestError::Length { stated, found: body.len() });
        }
        let mut files = Vec::with_capacity(head.files.len());
        for file in &head.files {
            let (bytes, rest) = body.split_at(file.bytes);
            files.push(bytes.to_vec());
            body = rest;
        }
        Ok(Self { head, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(files: &str) -> String {
        format!(r#"{{"template":"","data":{{}},"identifier":"x","time":[2026,11,30,0,0,0],"files":{files}}}"#)
    }

    #[test]
    fn files_follow_the_head_in_their_order() {
        let head = head(r#"[{"name":"a","bytes":2},{"name":"b","bytes":1}]"#);
        let request = Request::read(head.as_bytes(), b"xyz").unwrap();
        assert_eq!(request.files, [b"xy".to_vec(), b"z".to_vec()]);
    }

    #[test]
    fn request_whose_files_do_not_fit_is_refused() {
        let short = Request::read(head(r#"[{"name":"a","bytes":2}]"#).as_bytes(), b"x");
        assert_eq!(short.unwrap_err(), RequestError::Length { stated: 2, found: 1 });
        let large = Request::read(head(r#"[{"name":"a","bytes":99999999}]"#).as_bytes(), b"x");
        assert_eq!(large.unwrap_err(), RequestError::TooLarge(99_999_999));
        assert!(matches!(Request::read(b"{", b"").unwrap_err(), RequestError::Head(_)));
    }
}
