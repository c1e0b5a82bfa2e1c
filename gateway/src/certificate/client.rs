//! Requests to the authority, sent by the HTTP client that the gateway has for everything else.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use common::tls::ClientTls;
use http::Request;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::{Certificate, Client, redirect};

use super::{AuthoritySettings, OrderError};
use crate::outage::with_causes;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of an answer. A chain of certificates has a few thousand.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// Sends requests to an authority.
pub(super) struct AuthorityClient(Client);

impl AuthorityClient {
    /// A client that trusts whom the settings name.
    pub(super) fn new(authority: &AuthoritySettings) -> Result<Self, OrderError> {
        let file = |error: &dyn std::fmt::Display| OrderError::File(format!("`ca_file`: {error}"));
        let tls = ClientTls { ca_file: authority.ca_file.clone(), identity: None };
        let authorities = tls.load().map_err(|fault| file(&fault))?.authorities;
        // Addresses of the protocol are exact: nothing is to be redirected.
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .https_only(true)
            .redirect(redirect::Policy::none());
        if let Some(pem) = authorities {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(|error| file(&error))?);
        }
        builder.build().map(Self).map_err(|error| OrderError::Away(with_causes(&error)))
    }
}

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let request = reqwest::Request::try_from(Request::from_parts(parts, body)).map_err(|error| away(&error))?;
            let mut answer = client.execute(request).await.map_err(|error| away(&error))?;
            let mut head = http::Response::new(());
            *head.status_mut() = answer.status();
            *head.headers_mut() = answer.headers().clone();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| away(&error))? {
                if body.len() + chunk.len() > ANSWER_MAX_BYTES {
                    return Err(Error::Other(format!("an answer has more than {ANSWER_MAX_BYTES} bytes").into()));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(BytesResponse { parts: head.into_parts().0, body: Box::new(Bytes::from(body)) })
        })
    }
}

fn away(error: &reqwest::Error) -> Error {
    Error::Other(with_causes(error).into())
}
