//! One request to the API. After a lost connection, a request that only reads, or that creates
//! under an idempotency key, is sent once more. After `429 Too Many Requests`, the request waits as
//! long as the API says.

use std::{fmt::Display, io::Write, time::Duration};

use common::api::page::{ListDocument, WholeListDocument};
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};
use ulid::Ulid;

use super::{
    ApiBackend,
    error::{ApiError, with_causes},
};
use crate::error::Failure;

/// The header that makes a creation happen once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Most waits of one request after `429 Too Many Requests`.
const WAITS_MAX: u32 = 5;

/// Longest wait each time.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Items of one page.
const PAGE_ITEMS: usize = 1_000;

/// A request that is being put together.
pub(super) struct Call<'a> {
    api: &'a ApiBackend,
    method: Method,
    url: Url,
    body: Option<(HeaderValue, Vec<u8>)>,
    creation: Option<String>,
}

/// An answer of any status.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl ApiBackend {
    /// A request; `path` is what follows `/v1/`, part by part.
    pub(super) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        // A URL with a host has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        Call { api: self, method, url, body: None, creation: None }
    }

    pub(super) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, path)
    }

    /// A creation, which happens once however often it is sent.
    pub(super) fn create(&self, path: &[&str], body: &impl Serialize) -> Result<Call<'_>, Failure> {
        let creation = Some(format!("keyctl-{}", Ulid::generate()));
        Ok(Call { creation, ..self.call(Method::POST, path).with(body)? })
    }
}

impl Call<'_> {
    /// With this body.
    pub(super) fn with(self, body: &impl Serialize) -> Result<Self, Failure> {
        Ok(self.with_bytes("application/json", serde_json::to_vec(body)?))
    }

    /// With this body of another content type.
    pub(super) fn with_bytes(self, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some((HeaderValue::from_static(content_type), body)), ..self }
    }

    /// With this parameter, if it has a value.
    pub(super) fn query(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    /// Sends the request and reads the document in the answer.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let body = self.answer().await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Answer(error.to_string()))
    }

    /// Sends the request and gives the bytes of the answer.
    pub(super) async fn bytes(self) -> Result<Vec<u8>, ApiError> {
        self.answer().await
    }

    /// Sends the request and writes the body of the answer as it comes.
    pub(super) async fn write_to(self, sink: &mut (dyn Write + Send)) -> Result<(), Failure> {
        let mut waits = 0;
        let mut response = loop {
            let response = self.request().send().await.map_err(|error| self.unanswered(error))?;
            let wait = wait_of(response.status(), response.headers()).filter(|_| waits < WAITS_MAX);
            let Some(wait) = wait else { break response };
            waits += 1;
            tokio::time::sleep(wait).await;
        };
        if !response.status().is_success() {
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.unanswered(error))?;
            return Err(ApiError::of_answer(status, &body).into());
        }
        while let Some(piece) = response.chunk().await.map_err(|error| self.unanswered(error))? {
            sink.write_all(&piece)?;
        }
        Ok(())
    }

    /// Sends the request and ignores the body of the answer.
    pub(super) async fn done(self) -> Result<(), ApiError> {
        self.answer().await.map(drop)
    }

    /// Reads a list that comes as a whole.
    pub(super) async fn list<T: DeserializeOwned>(self) -> Result<Vec<T>, ApiError> {
        Ok(self.read::<WholeListDocument<T>>().await?.items)
    }

    /// Reads a list, page by page, up to `most` items.
    pub(super) async fn pages<T: DeserializeOwned>(self, most: usize) -> Result<Vec<T>, ApiError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < most {
            let limit = PAGE_ITEMS.min(most - items.len());
            let url = self.url.clone();
            let call = Call { url, method: self.method.clone(), body: None, creation: None, api: self.api };
            let page: ListDocument<T> = call.query("limit", Some(limit)).query("cursor", cursor).read().await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        items.truncate(most);
        Ok(items)
    }

    async fn answer(&self) -> Result<Vec<u8>, ApiError> {
        let mut may_repeat = self.method == Method::GET || self.creation.is_some();
        let mut waits = 0;
        loop {
            match self.send().await {
                Ok(answer) => match answer.wait().filter(|_| waits < WAITS_MAX) {
                    Some(wait) => {
                        waits += 1;
                        tokio::time::sleep(wait).await;
                    }
                    None if answer.status.is_success() => return Ok(answer.body),
                    None => return Err(ApiError::of_answer(answer.status, &answer.body)),
                },
                Err(error) if may_repeat && !error.is_timeout() => may_repeat = false,
                Err(error) => return Err(self.unanswered(error)),
            }
        }
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let mut request = self
            .api
            .client
            .request(self.method.clone(), self.url.clone())
            .header(AUTHORIZATION, self.api.authorization.clone());
        if let Some((content_type, body)) = &self.body {
            request = request.header(CONTENT_TYPE, content_type).body(body.clone());
        }
        if let Some(creation) = &self.creation {
            request = request.header(IDEMPOTENCY_KEY, creation);
        }
        request
    }

    async fn send(&self) -> Result<Answer, reqwest::Error> {
        let response = self.request().send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
    }

    fn unanswered(&self, error: reqwest::Error) -> ApiError {
        let has_arrived = !error.is_connect() && !error.is_builder();
        let (url, reason) = (self.api.base.to_string(), with_causes(&error.without_url()));
        if has_arrived && self.method != Method::GET {
            ApiError::Lost { url, reason }
        } else {
            ApiError::Away { url, reason }
        }
    }
}

impl Answer {
    /// Time to wait before the request is sent again, if the answer asks for it.
    fn wait(&self) -> Option<Duration> {
        wait_of(self.status, &self.headers)
    }
}

fn wait_of(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let stated = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(stated.unwrap_or(1))).filter(|wait| *wait <= WAIT_MAX)
}
