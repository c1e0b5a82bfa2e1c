//! Answers to the authority's question whether a name is ours.
//!
//! An answer is a file of the storage, so that every gateway behind a name has it, whichever of
//! them the authority asks. HTTP-01 is answered here; TLS-ALPN-01 by the handshake
//! ([`common::tls::challenge`]).

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_http::{RequestHeader, ResponseHeader};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

use super::{Challenge, OrderError, Storage, storage};

/// The path of every question of HTTP-01.
const HTTP_PREFIX: &str = "/.well-known/acme-challenge/";

/// Longest token that is looked for, in bytes.
const TOKEN_MAX_BYTES: usize = 128;

/// Most bytes of an answer: a token, a dot and a hash.
const ANSWER_MAX_BYTES: usize = 512;

/// Returns the answer to a question of HTTP-01, looked for in `folders`. None if the request is no
/// such question, or if no gateway has offered an answer: a route may have one.
pub(crate) async fn answer(
    folders: &[PathBuf],
    request: &RequestHeader,
) -> pingora_core::Result<Option<(ResponseHeader, Bytes)>> {
    let is_question = matches!(request.method, Method::GET | Method::HEAD);
    let token = request.uri.path().strip_prefix(HTTP_PREFIX).filter(|token| is_question && is_token(token));
    let Some(token) = token else { return Ok(None) };
    for folder in folders {
        let found = tokio::fs::read(folder.join(token)).await;
        let Some(body) = found.ok().filter(|body| body.len() <= ANSWER_MAX_BYTES) else { continue };
        let mut header = ResponseHeader::build(StatusCode::OK, Some(3))?;
        header.insert_header(header::CONTENT_TYPE, "application/octet-stream")?;
        header.insert_header(header::CONTENT_LENGTH, body.len())?;
        return Ok(Some((header, body.into())));
    }
    Ok(None)
}

/// Returns true for what RFC 8555 allows as a token, which is no path.
fn is_token(text: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=TOKEN_MAX_BYTES).contains(&text.len()) && text.bytes().all(is_base64url)
}

/// Offers the answer to a challenge. `proof` is its key authorization, `digest` the SHA-256 of it.
pub(super) fn offer(
    storage: &Storage,
    challenge: Challenge,
    host: &str,
    (token, proof, digest): (&str, &str, &[u8]),
) -> Result<(), OrderError> {
    let folder = storage.challenges(challenge);
    match challenge {
        Challenge::Http01 if is_token(token) => Ok(storage::replace(&folder.join(token), proof.as_bytes())?),
        Challenge::Http01 => Err(OrderError::Refused(format!("`{}` is no token", token.escape_default()))),
        Challenge::TlsAlpn01 => {
            let pem = certificate(host, digest).map_err(|error| OrderError::Certificate(error.to_string()))?;
            Ok(storage::replace(&folder.join(format!("{host}.pem")), pem.as_bytes())?)
        }
    }
}

/// The self-signed certificate that answers TLS-ALPN-01, with its key (RFC 8737, section 3).
fn certificate(host: &str, digest: &[u8]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ACME challenge");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_offered_tokens_are_answered_and_paths_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(directory.path(), "https://ca.test/dir");
        storage.create().unwrap();
        offer(&storage, Challenge::Http01, "a.test", ("tok-en_1", "tok-en_1.thumb", &[])).unwrap();
        storage.store_account(b"secret").unwrap();
        let folders = [storage.challenges(Challenge::Http01)];
        let asked = async |method: &str, path: &str| {
            let request = RequestHeader::build(method, path.as_bytes(), None).unwrap();
            let found = answer(&folders, &request).await.unwrap();
            found.map(|(header, body)| (header.status.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
        };
        let path = format!("{HTTP_PREFIX}tok-en_1");
        assert_eq!(asked("GET", &path).await, Some((200, "tok-en_1.thumb".into())));
        assert_eq!(asked("POST", &path).await, None);
        for other in ["tok-en_2", "", "../account.json", "..%2Faccount.json", "tok-en_1/", "."] {
            assert_eq!(asked("GET", &format!("{HTTP_PREFIX}{other}")).await, None, "{other}");
        }
        assert_eq!(asked("GET", "/tok-en_1").await, None);
    }

    #[test]
    fn token_of_an_authority_is_never_used_as_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(directory.path(), "https://ca.test/dir");
        storage.create().unwrap();
        let offered = offer(&storage, Challenge::Http01, "a.test", ("../../x", "x", &[]));
        assert!(offered.unwrap_err().to_string().contains("is no token"));
    }
}
