//! Clients that someone else wrote: curl and openssl.

use std::{net::SocketAddr, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

/// An answer as curl got it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header, in lower case.
    pub(crate) header: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// A header of the request as the upstream got it.
    pub(crate) fn upstream_saw(&self, name: &str) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.body).unwrap();
        let values = told["headers"][name].as_array().into_iter().flatten();
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    }
}

/// Runs curl; the error is its exit code.
pub(crate) async fn curl(arguments: &[&str]) -> Result<Answer, i32> {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "30"]).args(arguments).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    if !output.status.success() {
        return Err(output.status.code().unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let header = header.to_ascii_lowercase();
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, header, body: body.to_owned() })
}

/// The output of `openssl s_client` for a handshake, whether or not it succeeds.
pub(crate) async fn handshake(address: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(arguments).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
