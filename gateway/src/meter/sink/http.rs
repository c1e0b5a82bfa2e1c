//! The sink that delivers to `billing` over HTTP.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use common::{
    key::IngestToken,
    tls::ClientTls,
    usage::{BATCH_CONTENT_TYPE, BATCH_PATH, BATCH_STREAM_HEADER, UsageBatch},
};
use http::{HeaderValue, StatusCode, header};
use reqwest::{Certificate, Client, Identity, Url, redirect};
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{error, info};

use super::{error::SinkError, usage_sink::UsageSink};
use crate::outage::with_causes;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time for `billing` to book a batch. A batch that takes longer is offered again, and
/// booked once.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which files of certificates are looked at.
const FILES_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Most characters of a refusal's body that are kept.
const REASON_MAX_CHARS: usize = 300;

/// Delivers usage to `billing` over HTTP.
pub struct HttpSink {
    client: ArcSwap<Client>,
    tls: ClientTls,
    /// Stands for the content of the files that the first client was made with.
    tls_digest: u64,
    url: Url,
    authorization: HeaderValue,
}

/// Receipt for a batch, which need not be kept any longer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Receipt {
    /// The batch is booked up to this number.
    Booked { next_seq: u64 },
    /// The batch can never be booked and was put aside, for this reason.
    DeadLetter { dead_letter: String },
}

impl HttpSink {
    /// Makes a sink for `base_url`, such as `http://127.0.0.1:8090`, with these settings for TLS. A
    /// rustls provider must be installed.
    pub fn new(base_url: &str, tls: ClientTls, token: &IngestToken) -> Result<Self, SinkError> {
        let mut url = Url::parse(base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none())
            .ok_or_else(|| SinkError::Url { url: base_url.chars().take(200).collect() })?;
        url.set_path(&format!("{}{BATCH_PATH}", url.path().trim_end_matches('/')));
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SinkError::Setup("no rustls provider is installed".into()));
        }
        let (client, tls_digest) = connect(&tls)?;
        let client = ArcSwap::from_pointee(client);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|error| SinkError::Setup(error.to_string()))?;
        authorization.set_sensitive(true);
        Ok(Self { client, tls, tls_digest, url, authorization })
    }

    /// Follows the files of the TLS settings until stopped. Files that cannot be used change
    /// nothing.
    pub async fn follow_files(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        if self.tls == ClientTls::default() {
            return;
        }
        let mut seen = self.tls_digest;
        loop {
            tokio::select! {
                // Fails only if the process has lost whoever would tell, and so ends as well.
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(FILES_POLL_INTERVAL) => {}
            }
            let sink = Arc::clone(&self);
            // Reading files blocks.
            let read = tokio::task::spawn_blocking(move || {
                let digest = sink.tls.digest();
                (digest != seen).then(|| (digest, connect(&sink.tls)))
            });
            let Ok(Some((digest, client))) = read.await else { continue };
            seen = digest;
            match client {
                Ok((client, digest)) => {
                    seen = digest;
                    self.client.store(Arc::new(client));
                    info!(event = "certificates_replaced", listener = "usage.sink_tls");
                }
                Err(reason) => {
                    let consequence = "the certificates in force stay";
                    error!(event = "certificates_refused", listener = "usage.sink_tls", %reason, consequence);
                }
            }
        }
    }
}

/// A client with the certificates that the files have now, and the number that stands for their
/// content.
fn connect(tls: &ClientTls) -> Result<(Client, u64), SinkError> {
    let setup = |error: reqwest::Error| SinkError::Setup(with_causes(&error));
    // A redirected POST would arrive as a GET. The environment's proxy is not meant for usage.
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(DELIVERY_TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy();
    let files = tls.load().map_err(|fault| SinkError::Setup(fault.to_string()))?;
    if let Some(pem) = files.authorities {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(setup)?);
    }
    if let Some(pem) = files.identity {
        builder = builder.identity(Identity::from_pem(&pem).map_err(setup)?);
    }
    Ok((builder.build().map_err(setup)?, files.digest))
}

#[async_trait::async_trait]
impl UsageSink for HttpSink {
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError> {
        let client = self.client.load_full();
        let request = client
            .post(self.url.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, BATCH_CONTENT_TYPE)
            .header(BATCH_STREAM_HEADER, batch.stream.to_string())
            .body(batch.encode());
        let away = |error: reqwest::Error| SinkError::Away(with_causes(&error));
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body = response.text().await.map_err(away)?;
        Ok(match judge(status, &body)? {
            Receipt::Booked { next_seq } => next_seq,
            Receipt::DeadLetter { dead_letter } => {
                let (stream, first_seq, entries) = (&batch.stream, batch.first_seq, batch.entries.len());
                error!(event = "usage_batch_dead", %stream, first_seq, entries, reason = dead_letter);
                batch.end_seq()
            }
        })
    }
}

/// Reads the receipt out of an answer, or the reason why there is none.
fn judge(status: StatusCode, body: &str) -> Result<Receipt, SinkError> {
    let reason = || body.chars().filter(|character| !character.is_control()).take(REASON_MAX_CHARS).collect();
    if status.is_success() {
        // A server that answers without a receipt is not `billing`.
        let receipt = serde_json::from_str::<Receipt>(body);
        return receipt
            .map_err(|error| SinkError::Busy { status: status.as_u16(), reason: format!("no receipt: {error}") });
    }
    let may_pass =
        [StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    if status.is_client_error() && !may_pass.contains(&status) {
        return Err(SinkError::Refused { status: status.as_u16(), reason: reason() });
    }
    Err(SinkError::Busy { status: status.as_u16(), reason: reason() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_receipt_frees_a_batch() {
        let booked = judge(StatusCode::OK, r#"{"next_seq": 7, "booked": 7}"#);
        assert!(matches!(booked, Ok(Receipt::Booked { next_seq: 7 })));
        let buried = judge(StatusCode::ACCEPTED, r#"{"dead_letter": "no"}"#);
        assert!(matches!(buried, Ok(Receipt::DeadLetter { dead_letter }) if dead_letter == "no"));
        assert!(matches!(judge(StatusCode::OK, "{}"), Err(SinkError::Busy { .. })));
        assert!(matches!(judge(StatusCode::OK, "<html>"), Err(SinkError::Busy { .. })));
        assert!(matches!(judge(StatusCode::FOUND, ""), Err(SinkError::Busy { .. })));
    }

    #[test]
    fn client_errors_are_refusals_and_other_errors_are_retried() {
        for status in [400, 403, 404, 413, 415, 422] {
            let verdict = judge(StatusCode::from_u16(status).unwrap(), "no\n");
            assert!(matches!(verdict, Err(SinkError::Refused { .. })), "{status}");
        }
        for status in [401, 408, 409, 429, 500, 502, 503] {
            let verdict = judge(StatusCode::from_u16(status).unwrap(), "later");
            assert!(matches!(verdict, Err(SinkError::Busy { .. })), "{status}");
        }
    }
}
