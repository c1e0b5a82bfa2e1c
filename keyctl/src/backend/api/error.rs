//! Failures of the API, in the same classes as those of the store.

use common::tls::TlsFault;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::class::Class;

/// Most characters that are quoted of an unexpected answer.
const ANSWER_MAX_CHARS: usize = 300;

/// Reason why the API did not do the work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The URL is not a plain HTTP URL.
    #[error("--api is not a plain http:// or https:// URL, as in https://billing.example.com")]
    Url,
    /// No token was given.
    #[error("no token for the API: give --token TOKEN or set TOLLGATE_API_TOKEN")]
    TokenMissing,
    /// The token cannot be sent.
    #[error("the token has characters that no header can have")]
    Token,
    /// A certificate without its key, or the other way round.
    #[error("a certificate and its key go together: give --client-cert FILE and --client-key FILE, or neither")]
    HalfIdentity,
    /// A file of certificates cannot be used.
    #[error("{option}: {file} {reason}")]
    File {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        file: String,
        /// Reason, which continues a sentence that begins with the file.
        reason: String,
    },
    /// The client cannot be set up.
    #[error("cannot set up a connection to the API: {0}")]
    Setup(String),
    /// The API does not answer.
    #[error("no answer from the API at {url}: {reason}")]
    Away {
        /// URL of the API.
        url: String,
        /// Error of the connection.
        reason: String,
    },
    /// The answer was lost on its way: the change may or may not have been made.
    #[error("the answer of the API at {url} was lost, so look whether it was done before you repeat it: {reason}")]
    Lost {
        /// URL of the API.
        url: String,
        /// Error of the connection.
        reason: String,
    },
    /// The API answered with a problem.
    #[error("{detail}")]
    Problem {
        /// The HTTP status.
        status: StatusCode,
        /// Explanation of the problem.
        detail: String,
    },
    /// The answer is not the expected document.
    #[error("the API's answer is not what this program expects: {0}")]
    Answer(String),
    /// The key was created, and its secret was lost with the first answer.
    #[error("{id} was created, and its secret was lost with the connection: revoke it and create another")]
    SecretLost {
        /// Id of the key.
        id: String,
    },
}

/// The part of a problem document that is shown. The other members may be of a newer API than this
/// program knows.
#[derive(Deserialize)]
struct Explanation {
    detail: String,
}

impl From<TlsFault> for ApiError {
    fn from(fault: TlsFault) -> Self {
        let option = match fault.setting {
            "certificate_file" => "--client-cert",
            "key_file" => "--client-key",
            _ => "--ca-file",
        };
        Self::File { option, file: fault.value, reason: fault.reason }
    }
}

impl ApiError {
    /// The error in an answer that is not a success.
    pub(super) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let told = serde_json::from_slice(body).map(|problem: Explanation| problem.detail);
        let detail = told.unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(body).chars().take(ANSWER_MAX_CHARS).collect();
            format!("the API answers {status}: {text}")
        });
        let detail = match status {
            StatusCode::UNAUTHORIZED => format!("the API does not take the token: {detail}"),
            _ => detail,
        };
        Self::Problem { status, detail }
    }

    /// The class that decides the exit code.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Url | Self::TokenMissing | Self::Token | Self::HalfIdentity => Class::Usage,
            Self::Problem { status, .. } => match *status {
                StatusCode::NOT_FOUND => Class::NotFound,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Class::Failed,
                status if status.is_client_error() => Class::Refused,
                _ => Class::Failed,
            },
            Self::File { .. }
            | Self::Setup(_)
            | Self::Away { .. }
            | Self::Lost { .. }
            | Self::Answer(_)
            | Self::SecretLost { .. } => Class::Failed,
        }
    }
}

/// An error with its causes, as the outermost alone says next to nothing.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_classes_of_store_errors() {
        for (status, class) in [
            (404, Class::NotFound),
            (400, Class::Refused),
            (401, Class::Refused),
            (403, Class::Refused),
            (409, Class::Refused),
            (412, Class::Refused),
            (422, Class::Refused),
            (429, Class::Failed),
            (302, Class::Failed),
            (500, Class::Failed),
            (503, Class::Failed),
        ] {
            let error = ApiError::of_answer(StatusCode::from_u16(status).unwrap(), br#"{"detail":"no tenant"}"#);
            assert_eq!(error.class(), class, "{status}");
            assert!(error.to_string().ends_with("no tenant"), "{error}");
        }
    }

    #[test]
    fn answer_of_another_server_is_quoted_in_part() {
        let error = ApiError::of_answer(StatusCode::BAD_GATEWAY, "<html>".repeat(1_000).as_bytes()).to_string();
        assert!(error.contains("502") && error.contains("<html>") && error.len() < 400, "{error}");
    }
}
