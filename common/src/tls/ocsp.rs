//! Answers of an authority about a certificate (OCSP), which a server hands on with the certificate
//! (stapling, RFC 6066). They are fetched by others, as by `openssl ocsp`, and read from files.

use std::path::Path;

use super::pem;

/// Tag of a sequence, as DER writes it.
const SEQUENCE: u8 = 0x30;

/// The status of an answer as DER writes it, before its value: an enumerated of one byte.
const STATUS: [u8; 2] = [0x0a, 0x01];

/// Reads an answer; the error continues a sentence that begins with the path of its file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let answer = pem::read(path)?;
    match status(&answer) {
        Some(0) => Ok(answer),
        Some(status) => Err(format!("holds an answer that tells nothing of the certificate (status {status})")),
        None => Err("holds no answer of OCSP in DER, as `openssl ocsp -respout` writes it".into()),
    }
}

/// The status of an answer (RFC 6960, 4.2.1): 0 if it is one about certificates.
fn status(answer: &[u8]) -> Option<u8> {
    let (tag, rest) = answer.split_first()?;
    let (length, rest) = rest.split_first()?;
    // A long length says in its first byte how many more bytes it has.
    let more = if *length < 0x80 { 0 } else { usize::from(*length & 0x7f) };
    let inside = rest.get(more..)?;
    (*tag == SEQUENCE && inside.starts_with(&STATUS)).then(|| inside.get(2).copied()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_that_of_the_answer() {
        assert_eq!(status(&[0x30, 3, 0x0a, 1, 6]), Some(6));
        assert_eq!(status(&[0x30, 0x82, 1, 0, 0x0a, 1, 0, 0xa0]), Some(0));
        for other in [&b"-----BEGIN"[..], &[], &[0x30], &[0x30, 0x82, 1], &[0x30, 3, 2, 1, 0], &[0x30, 2, 0x0a, 1]] {
            assert_eq!(status(other), None, "{other:?}");
        }
    }
}
