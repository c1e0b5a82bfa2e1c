//! One request as it goes over the wire.

use std::fmt::Write as _;

use super::LoadError;

/// A request with the label under which its answers are counted: for drills, the key's id.
#[derive(Debug, Clone)]
pub struct Request {
    /// The label under which its answers are counted.
    pub label: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers; `Host` and `Content-Length` are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET.
    pub fn get(label: &str, path: &str) -> Self {
        Self { label: label.into(), method: "GET".into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Returns the request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the request with an API key.
    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    pub(super) fn validate(&self) -> Result<(), LoadError> {
        let token = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let line = |text: &String| !text.contains(['\r', '\n', '\0']);
        let headers = self.headers.iter().all(|(name, value)| token(name) && line(value));
        if token(&self.method) && token(&self.path) && headers {
            Ok(())
        } else {
            Err(LoadError::Request(format!("{} {}", self.method, self.path)))
        }
    }

    /// The bytes to send to `host`.
    pub(crate) fn encode(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
