//! A secret that has leaked. It is read from standard input, as other users of the machine can read
//! a command line, and shells keep it in their history.

use std::io::Read as _;

use crate::error::Failure;

/// Longest input that is read, in bytes.
const LONGEST: u64 = 4_096;

/// Reads standard input as one secret of `what`.
pub(crate) fn secret<S, E>(what: &'static str, parse: impl Fn(&[u8]) -> Result<S, E>) -> Result<S, Failure> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(LONGEST).read_to_end(&mut text)?;
    parse(text.trim_ascii()).map_err(|_| Failure::NotASecret(what))
}
