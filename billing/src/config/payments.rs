//! The section `payments`: accounts of issuers with payment providers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use common::id::TenantId;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::payment::{
    Provider, Providers,
    stripe::{self, Stripe, StripeSetupError},
};

/// The `payments` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentsConfig {
    /// Accounts with Stripe, one for each issuer that has one.
    pub stripe: Vec<StripeAccount>,
}

/// The account of an issuer with Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StripeAccount {
    /// The tenant that is paid into it.
    #[schemars(with = "String")]
    pub issuer: TenantId,
    /// File that holds its secret key, as in `sk_live_...`.
    pub secret_key_file: PathBuf,
    /// Files that hold the secrets with which it signs webhooks: two while one is replaced.
    #[serde(default)]
    pub webhook_secret_files: Vec<PathBuf>,
    /// Address of the API.
    #[serde(default = "base_url")]
    pub base_url: String,
}

/// The reason for which payments cannot be collected as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    /// A file cannot be read.
    #[error("payments.stripe: {file}: {source}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file holds no secret.
    #[error("payments.stripe: {} holds no secret: write it there, and nothing else", .0.display())]
    Empty(PathBuf),
    /// An issuer has two accounts.
    #[error("payments.stripe: {0} has two accounts: name it once")]
    Twice(TenantId),
    /// An account cannot be used.
    #[error("payments.stripe: {0}")]
    Stripe(#[from] StripeSetupError),
}

fn base_url() -> String {
    stripe::BASE_URL.to_owned()
}

impl PaymentsConfig {
    /// The providers, with the secrets of the files.
    pub fn providers(&self) -> Result<Providers, PaymentsError> {
        for (place, account) in self.stripe.iter().enumerate() {
            if self.stripe.iter().skip(place + 1).any(|other| other.issuer == account.issuer) {
                return Err(PaymentsError::Twice(account.issuer));
            }
        }
        let open = |account: &StripeAccount| Ok(Arc::new(account.open()?) as Provider);
        let accounts: Result<Vec<Provider>, PaymentsError> = self.stripe.iter().map(open).collect();
        Ok(Providers::new(accounts?))
    }
}

impl StripeAccount {
    fn open(&self) -> Result<Stripe, PaymentsError> {
        let key = secret(&self.secret_key_file)?;
        let signing: Result<Vec<String>, PaymentsError> =
            self.webhook_secret_files.iter().map(|file| secret(file)).collect();
        Ok(Stripe::new(&self.base_url, self.issuer, key, signing?)?)
    }
}

/// The secret in a file, without white space around it.
fn secret(file: &Path) -> Result<String, PaymentsError> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|source| PaymentsError::File { file: file.to_owned(), source })?;
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) || !text.is_ascii() {
        return Err(PaymentsError::Empty(file.to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(issuer: u128, file: &Path) -> StripeAccount {
        StripeAccount {
            issuer: TenantId::from_u128(issuer),
            secret_key_file: file.to_owned(),
            webhook_secret_files: Vec::new(),
            base_url: base_url(),
        }
    }

    #[test]
    fn accounts_that_cannot_be_used_are_told_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let [key, empty, missing] = ["key", "empty", "missing"].map(|name| directory.path().join(name));
        std::fs::write(&key, "sk_test_1\n").unwrap();
        std::fs::write(&empty, "\n").unwrap();
        let refused = |accounts: Vec<StripeAccount>| {
            PaymentsConfig { stripe: accounts }.providers().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refused(vec![account(1, &key), account(2, &key)]), "");
        assert!(refused(vec![account(1, &key), account(1, &key)]).contains("has two accounts"));
        assert!(refused(vec![account(1, &empty)]).contains("holds no secret"));
        assert!(refused(vec![account(1, &missing)]).contains("missing"));
        let nowhere = StripeAccount { base_url: "nowhere".into(), ..account(1, &key) };
        assert!(refused(vec![nowhere]).contains("is not the URL of an API"));
    }
}
