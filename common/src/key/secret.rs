//! The secret of an API key: `sk_live_` or `sk_test_`, 26 random characters, and 6 of checksum.
//!
//! Every key matches `^sk_(test|live)_[a-z0-9]{32}$`. With the checksum, a typo is refused before
//! any look-up, and a leaked key can be told from noise by scanners.

use std::fmt;

use super::{
    Mode,
    secret_text::{self, TextError},
};

const PREFIX_LENGTH: usize = "sk_live_".len();

/// The reason why a text is no key, found without any look-up.
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

/// A well-formed key. It shows itself once, when asked by [`Secret::expose`], and never in debug
/// output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; Secret::LENGTH]);

impl Secret {
    /// Characters in every key.
    pub const LENGTH: usize = PREFIX_LENGTH + secret_text::LENGTH;

    /// A new key: 26 characters from the operating system's randomness, 134 bits.
    pub fn generate(mode: Mode) -> Self {
        let mut bytes = [0; Self::LENGTH];
        bytes[..PREFIX_LENGTH].copy_from_slice(match mode {
            Mode::Live => b"sk_live_",
            Mode::Test => b"sk_test_",
        });
        secret_text::fill(&mut bytes, PREFIX_LENGTH);
        Self(bytes)
    }

    /// Checks prefix, length, alphabet and checksum, in this order, without allocating.
    pub fn parse(text: &[u8]) -> Result<Self, SecretError> {
        if !text.starts_with(b"sk_live_") && !text.starts_with(b"sk_test_") {
            return Err(SecretError::Prefix);
        }
        Ok(Self(secret_text::check(text, PREFIX_LENGTH)?))
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        // Every constructor admits ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the mode that the prefix names; it decides whether usage is billed.
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

impl From<TextError> for SecretError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Length { found, .. } => Self::Length(found),
            TextError::Alphabet => Self::Alphabet,
            TextError::Checksum => Self::Checksum,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::secret_text::{ALPHABET, checksum},
        *,
    };

    #[test]
    fn generated_keys_parse_and_differ() {
        for mode in [Mode::Live, Mode::Test] {
            let secret = Secret::generate(mode);
            assert_eq!(secret.mode(), mode);
            assert_eq!(Secret::parse(secret.expose().as_bytes()), Ok(secret.clone()));
            assert_ne!(secret, Secret::generate(mode));
            assert!(!format!("{secret:?}").contains(&secret.expose()[..20]));
        }
    }

    #[test]
    fn checksum_is_stable() {
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
    fn each_malformed_key_names_its_fault() {
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
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Secret::parse(&bytes);
        }

        #[test]
        fn one_changed_character_fails_checksum(position in 8_usize..40, replacement in 0_usize..36) {
            let secret = Secret::generate(Mode::Test);
            let mut bytes = secret.0;
            if bytes[position] != ALPHABET[replacement] {
                bytes[position] = ALPHABET[replacement];
                prop_assert_eq!(Secret::parse(&bytes), Err(SecretError::Checksum));
            }
        }
    }
}
