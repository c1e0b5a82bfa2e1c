//! The part of all secrets behind their prefix: 26 random characters of a-z and 0-9, and 6 of
//! checksum.
//!
//! The checksum is the CRC-32 (IEEE) of everything before it, in base 36.

use rand::RngExt as _;

pub(super) const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 26;
const CHECKSUM_LENGTH: usize = 6;

/// Characters behind the prefix.
pub(crate) const LENGTH: usize = RANDOM_LENGTH + CHECKSUM_LENGTH;

/// A fault in the text of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Not as many characters as there have to be.
    #[error("must have {expected} characters, this has {found}")]
    Length {
        /// Number required.
        expected: usize,
        /// Number found.
        found: usize,
    },
    /// Something else than a-z and 0-9 behind the prefix.
    #[error("may only contain a-z and 0-9 after its prefix")]
    Alphabet,
    /// The last six characters do not fit the rest: most likely a typo.
    #[error("has a wrong checksum: check it for typos or missing characters")]
    Checksum,
}

/// Writes randomness of the operating system and its checksum behind the prefix of `bytes`, which
/// it fills.
pub(crate) fn fill(bytes: &mut [u8], prefix: usize) {
    let body = bytes.len() - CHECKSUM_LENGTH;
    let mut random = rand::rng();
    for byte in &mut bytes[prefix..body] {
        *byte = ALPHABET[random.random_range(0..ALPHABET.len())];
    }
    let checksum = checksum(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum);
}

/// Checks length, alphabet and checksum, in this order, without allocating.
pub(crate) fn check<const N: usize>(text: &[u8], prefix: usize) -> Result<[u8; N], TextError> {
    let bytes: [u8; N] = text.try_into().map_err(|_| TextError::Length { expected: N, found: text.len() })?;
    if !bytes[prefix..].iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(TextError::Alphabet);
    }
    let (body, found) = bytes.split_at(N - CHECKSUM_LENGTH);
    if checksum(body) != found {
        return Err(TextError::Checksum);
    }
    Ok(bytes)
}

/// CRC-32 in base 36, most significant digit first, zero-padded: 36^6 is just above 2^31, so the
/// top digit is cut.
pub(super) fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(body) as usize;
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}
