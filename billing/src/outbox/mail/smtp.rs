//! The SMTP server that mail is handed to.

use std::{path::Path, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use crate::{
    config::{MailConfig, MailTls},
    outbox::Outcome,
};

/// Longest that the server may take for one answer.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Answers to a password, or to its absence. They say nothing of the mail: it waits until somebody mends the settings.
const ACCESS_CODES: [u16; 4] = [530, 534, 535, 538];

/// Hands mail to one server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// The reason why the server's settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum MailServerError {
    /// The authorities cannot be read.
    #[error("cannot read `mail.ca_file` {path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// Reason.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("mail: TLS with {host}: {reason}")]
    Tls {
        /// The server.
        host: String,
        /// Reason.
        reason: String,
    },
}

impl Smtp {
    /// The server of the settings, which need not be there yet.
    pub fn new(config: &MailConfig, credentials: Option<(String, String)>) -> Result<Self, MailServerError> {
        let host = &config.server.host;
        let tls = match config.tls {
            MailTls::None => Tls::None,
            MailTls::Starttls => Tls::Required(parameters(host, config.ca_file.as_deref())?),
            MailTls::Implicit => Tls::Wrapper(parameters(host, config.ca_file.as_deref())?),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(config.server.port)
            .tls(tls)
            .timeout(Some(ANSWER_TIME_LIMIT));
        let builder = match credentials {
            Some((user, password)) => builder.credentials(Credentials::new(user, password)),
            None => builder,
        };
        Ok(Self { transport: builder.build() })
    }

    /// Hands over one mail.
    pub(super) async fn send(&self, mail: Message) -> Outcome {
        match self.transport.send(mail).await {
            Ok(response) => {
                let said: Vec<&str> = response.message().collect();
                Outcome::Delivered(format!("{} {}", response.code(), said.join(" ")))
            }
            Err(error) => outcome(&error),
        }
    }
}

/// An answer 5xx about the mail is the end of it; all else may get better.
fn outcome(error: &Error) -> Outcome {
    let text = chain(error);
    let code = error.status().map(u16::from);
    if error.is_permanent() && !code.is_some_and(|code| ACCESS_CODES.contains(&code)) {
        return Outcome::Refused(format!("refused: {text}"));
    }
    Outcome::Failed(text)
}

fn parameters(host: &str, authorities: Option<&Path>) -> Result<TlsParameters, MailServerError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = authorities {
        let refuse = |reason: String| MailServerError::Authorities { path: file.display().to_string(), reason };
        let pem = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| refuse(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| MailServerError::Tls { host: host.to_owned(), reason: chain(&error) })
}

/// The error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let said = one.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = one.source();
    }
    text
}
