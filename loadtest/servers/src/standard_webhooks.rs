//! The verifier of webhooks that the authors of the Standard Webhooks specification publish for
//! Python: what receivers use.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::{error::ServerError, python};

const REQUIREMENTS: &str = include_str!("../standardwebhooks/requirements.txt");

/// Reads a secret and a message as JSON, and prints the reason for which it does not verify.
const VERIFY: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
order = json.load(sys.stdin)
try:
    Webhook(order['secret']).verify(order['body'], order['headers'])
except WebhookVerificationError as error:
    print(error or 'not verified')
";

/// Verifies a message, given as a JSON object with `secret`, `headers` and `body`; gives the reason for
/// which it does not verify, if it does not.
pub fn verify_webhook(order: &str) -> Result<Option<String>, ServerError> {
    let python = python::programs("standardwebhooks", REQUIREMENTS)?.join("python");
    let io = |what: &str| ServerError::io(format!("{what} the verifier of webhooks"));
    let mut child = Command::new(python)
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("start"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(order.as_bytes()).map_err(io("write to"))?;
    }
    let output = child.wait_with_output().map_err(io("wait for"))?;
    if !output.status.success() {
        let (what, status) = ("the verifier of webhooks".to_owned(), output.status.to_string());
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(ServerError::Failed { what, status, output });
    }
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((!said.is_empty()).then_some(said))
}
