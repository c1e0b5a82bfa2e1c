//! A secret that was found where it should not be. It is read from standard input: a command line can be read by others on
//! this machine, and shells keep it.

use std::io::Read as _;

use crate::error::Failure;

/// Longest input that is read, in bytes.
const LONGEST: u64 = 4_096;

/// The one word on standard input, read as a secret of `what`.
pub(crate) fn secret<S, E>(what: &'static str, parse: impl Fn(&[u8]) -> Result<S, E>) -> Result<S, Failure> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(LONGEST).read_to_end(&mut text)?;
    parse(text.trim_ascii()).map_err(|_| Failure::NotASecret(what))
}
