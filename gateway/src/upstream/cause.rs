//! The cause of a server's failure, in words for the log: from Pingora's nested errors to the one
//! that tells.
//!
//! Invariant: nothing that a server sent is quoted, except what a certificate says.

use std::{error::Error as StdError, io};

use pingora_core::{Error, ErrorType};

/// Longest text of a cause, in characters.
const CAUSE_MAX_CHARS: usize = 300;

/// Before the cause of a handshake that fails on either side.
const HANDSHAKE: &str = "TLS handshake failed: ";

/// Before the cause of a failed handshake in Pingora's text, which keeps nothing else of it.
const CAUSE_MARK: &str = "cause: ";

/// Behind the cause of a failed handshake in Pingora's text.
const SNI_MARK: &str = ", SNI: ";

/// Returns the reason for which a server could not be reached or did not answer.
pub(crate) fn of(error: &Error) -> String {
    use ErrorType as Kind;
    let text = match error.etype() {
        Kind::TLSHandshakeFailure | Kind::InvalidCert | Kind::HandshakeError => {
            let cause = root(error).unwrap_or_else(|| handshake(error));
            if cause.starts_with(HANDSHAKE) { cause } else { format!("{HANDSHAKE}{}", explained(&cause)) }
        }
        Kind::ConnectTimedout | Kind::TLSHandshakeTimedout => "no connection in time".to_owned(),
        Kind::ReadTimedout => "no answer in time".to_owned(),
        Kind::WriteTimedout => "the server does not read".to_owned(),
        Kind::HTTPStatus(status) => format!("the server answered {status}"),
        kind => root(error).unwrap_or_else(|| kind.as_str().to_owned()),
    };
    text.chars().take(CAUSE_MAX_CHARS).collect()
}

/// A short word for metrics.
pub(crate) fn kind(error: &Error) -> &'static str {
    use ErrorType as Kind;
    match error.etype() {
        Kind::ConnectTimedout | Kind::TLSHandshakeTimedout => "timeout",
        Kind::ConnectRefused => "refused",
        Kind::ConnectNoRoute => "no_route",
        Kind::TLSHandshakeFailure | Kind::InvalidCert | Kind::HandshakeError => "tls",
        _ => "other",
    }
}

/// Returns the reason for which the other side broke TLS off, if it did. In TLS 1.3 a server says
/// so only after the client's side of the handshake is over: it comes with the first read.
pub(super) fn alert(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(inner, rustls::Error::AlertReceived(_)).then(|| explained(&format!("{HANDSHAKE}{inner}")))
}

/// Returns the words of the operating system or the TLS library, if they are in the chain of
/// causes.
fn root(error: &Error) -> Option<String> {
    let mut current: Option<&(dyn StdError + 'static)> =
        error.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static));
    let mut found = None;
    while let Some(cause) = current {
        if let Some(inner) = cause.downcast_ref::<Box<Error>>() {
            current = inner.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static));
            continue;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            found = Some(alert(error).unwrap_or_else(|| error.to_string()));
        }
        current = cause.source();
    }
    found
}

/// The cause in the text of a failed handshake.
fn handshake(error: &Error) -> String {
    let mut error = error;
    while let Some(inner) = error.cause.as_deref().and_then(|cause| cause.downcast_ref::<Box<Error>>()) {
        error = inner;
    }
    let text = error.context.as_ref().map_or(error.etype().as_str(), |context| context.as_str());
    let text = text.rsplit_once(CAUSE_MARK).map_or(text, |(_, cause)| cause);
    text.rsplit_once(SNI_MARK).map_or(text, |(cause, _)| cause).trim().to_owned()
}

/// The cause, and what to do about it where one thing is likely.
fn explained(cause: &str) -> String {
    let advice = [
        ("UnknownIssuer", "no trusted authority vouches for the certificate: set `tls.ca_file`"),
        ("CertificateRequired", "the server asks for a client certificate: set `tls.client_certificate_file`"),
        ("alert: UnknownCA", "the server does not trust the authority of `tls.client_certificate_file`"),
        ("InvalidContentType", "the server does not speak TLS: write it as http://"),
    ];
    match advice.iter().find(|(mark, _)| cause.contains(mark)) {
        Some((_, advice)) => format!("{cause} ({advice})"),
        None => cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::OrErr as _;

    use super::*;

    fn refused() -> io::Error {
        io::Error::from(io::ErrorKind::ConnectionRefused)
    }

    #[test]
    fn cause_is_what_the_system_said_however_deep() {
        let direct: Result<(), _> = Err(refused()).or_err(ErrorType::ConnectRefused, "connect");
        let direct = direct.unwrap_err();
        assert_eq!((of(&direct).as_str(), kind(&direct)), ("connection refused", "refused"));
        let nested = direct.more_context("Fail to connect to addr: x");
        assert_eq!(of(&nested), "connection refused");
        let bare = Error::new(ErrorType::ConnectionClosed);
        assert_eq!((of(&bare).as_str(), kind(&bare)), ("ConnectionClosed", "other"));
    }

    #[test]
    fn alert_after_the_handshake_is_told_as_its_failure() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let read: Result<(), _> =
            Err(io::Error::new(io::ErrorKind::InvalidData, alert)).or_err(ErrorType::ReadError, "");
        let told = of(&read.unwrap_err());
        assert!(told.starts_with("TLS handshake failed: received fatal alert: CertificateRequired ("), "{told}");
        assert!(told.contains("client_certificate_file"), "{told}");
    }

    #[test]
    fn cause_of_a_handshake_is_taken_out_of_the_text_with_advice() {
        let text = "TLS connect() failed:  TLSHandshakeFailure context: tls connect error cause: invalid peer \
                    certificate: UnknownIssuer, SNI: a.test";
        let told = of(&Error::explain(ErrorType::TLSHandshakeFailure, text));
        assert!(told.starts_with("TLS handshake failed: invalid peer certificate: UnknownIssuer ("), "{told}");
        assert!(told.contains("tls.ca_file") && !told.contains("SNI"), "{told}");
        let long = of(&Error::explain(ErrorType::TLSHandshakeFailure, "é".repeat(1_000)));
        assert_eq!(long.chars().count(), CAUSE_MAX_CHARS);
    }
}
