//! The secret of an API key: `sk_live_` or `sk_test_`, 26 random characters, and 6 of checksum.
//!
//! Every key matches `^sk_(test|live)_[a-z0-9]{32}$`. The checksum is the CRC-32 (IEEE) of everything before it, in
//! base 36: a typo is refused before any look-up, and a leaked key can be told from noise by scanners.

use std::fmt;

use rand::RngExt as _;

use super::Mode;

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const PREFIX_LENGTH: usize = "sk_live_".len();
const RANDOM_LENGTH: usize = 26;
const CHECKSUM_LENGTH: usize = 6;

/// Why a text cannot be a key of ours. It is told without any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither `sk_live_` nor `sk_test_`.
    #[error("key must start with sk_live_ or sk_test_")]
    Prefix,
    /// Not 40 characters in all.
    #[error("key must have {expected} characters, this has {found}", expected = Secret::LENGTH, found = .0)]
    Length(usize),
    /// Something else than a-z and 0-9 behind the prefix.
    #[error("key may only contain a-z and 0-9 after its prefix")]
    Alphabet,
    /// The last six characters do not fit the rest: most likely a typo.
    #[error("key has a wrong checksum: check it for typos or missing characters")]
    Checksum,
}

/// A well-formed key. It shows itself once, when asked by [`Secret::expose`], and never in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; Secret::LENGTH]);

impl Secret {
    /// Characters in every key.
    pub const LENGTH: usize = PREFIX_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH;

    /// A new key: 26 characters from the operating system's randomness, 134 bits.
    pub fn generate(mode: Mode) -> Self {
        let mut bytes = [0; Self::LENGTH];
        let (prefix, rest) = bytes.split_at_mut(PREFIX_LENGTH);
        prefix.copy_from_slice(match mode {
            Mode::Live => b"sk_live_",
            Mode::Test => b"sk_test_",
        });
        let mut random = rand::rng();
        for byte in &mut rest[..RANDOM_LENGTH] {
            *byte = ALPHABET[random.random_range(0..ALPHABET.len())];
        }
        let checksum = checksum(&bytes[..PREFIX_LENGTH + RANDOM_LENGTH]);
        bytes[PREFIX_LENGTH + RANDOM_LENGTH..].copy_from_slice(&checksum);
        Self(bytes)
    }

    /// Checks prefix, length, alphabet and checksum, in this order, without allocating.
    pub fn parse(text: &[u8]) -> Result<Self, SecretError> {
        if !text.starts_with(b"sk_live_") && !text.starts_with(b"sk_test_") {
            return Err(SecretError::Prefix);
        }
        let bytes: [u8; Self::LENGTH] = text.try_into().map_err(|_| SecretError::Length(text.len()))?;
        if !bytes[PREFIX_LENGTH..].iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(SecretError::Alphabet);
        }
        let (body, found) = bytes.split_at(PREFIX_LENGTH + RANDOM_LENGTH);
        if checksum(body) != found {
            return Err(SecretError::Checksum);
        }
        Ok(Self(bytes))
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        // Every constructor admits ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether usage under this key is billed, as its prefix says.
    pub fn mode(&self) -> Mode {
        if self.0.starts_with(b"sk_test_") { Mode::Test } else { Mode::Live }
    }

    /// The last four characters: enough to tell keys apart, useless to guess one.
    pub fn hint(&self) -> &str {
        &self.expose()[Self::LENGTH - 4..]
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret(sk_{}_..{})", self.mode(), self.hint())
    }
}

/// CRC-32 in base 36, most significant digit first, zero-padded: 36^6 is just above 2^31, so the top digit is cut.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(body) as usize;
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_keys_parse_and_are_never_alike() {
        for mode in [Mode::Live, Mode::Test] {
            let secret = Secret::generate(mode);
            assert_eq!(secret.mode(), mode);
            assert_eq!(Secret::parse(secret.expose().as_bytes()), Ok(secret.clone()));
            assert_ne!(secret, Secret::generate(mode));
            assert!(!format!("{secret:?}").contains(&secret.expose()[..20]));
        }
    }

    #[test]
    fn the_checksum_is_fixed_for_all_time() {
        let body = b"sk_live_00000000000000000000000000";
        assert_eq!(checksum(body), reference_checksum(body));
    }

    fn reference_checksum(body: &[u8]) -> [u8; 6] {
        let mut crc = u32::MAX;
        for byte in body {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        let mut rest = u64::from(!crc);
        let mut text = Vec::new();
        for _ in 0..6 {
            text.insert(0, char::from_digit(u32::try_from(rest % 36).unwrap(), 36).unwrap() as u8);
            rest /= 36;
        }
        text.try_into().unwrap()
    }

    #[test]
    fn each_fault_is_named() {
        let good = Secret::generate(Mode::Live).expose().to_owned();
        assert_eq!(Secret::parse(b""), Err(SecretError::Prefix));
        assert_eq!(Secret::parse(b"pk_live_x"), Err(SecretError::Prefix));
        assert_eq!(Secret::parse(&good.as_bytes()[..39]), Err(SecretError::Length(39)));
        assert_eq!(Secret::parse(format!("{good}a").as_bytes()), Err(SecretError::Length(41)));
        assert_eq!(Secret::parse(&good.replace("sk_live_", "sk_live_A").as_bytes()[..40]), Err(SecretError::Alphabet));
        let typo = format!("{}{}", &good[..39], if good.ends_with('a') { 'b' } else { 'a' });
        assert_eq!(Secret::parse(typo.as_bytes()), Err(SecretError::Checksum));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Secret::parse(&bytes);
        }

        #[test]
        fn one_changed_character_is_noticed(position in 8_usize..40, replacement in 0_usize..36) {
            let secret = Secret::generate(Mode::Test);
            let mut bytes = secret.0;
            if bytes[position] != ALPHABET[replacement] {
                bytes[position] = ALPHABET[replacement];
                prop_assert_eq!(Secret::parse(&bytes), Err(SecretError::Checksum));
            }
        }
    }
}
