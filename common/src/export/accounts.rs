//! Names of the ledger's accounts in another program's books.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::ledger::Account;

/// The name of each account, by the names of the ledger. Accounts without one have the default of the
/// form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountMap {
    names: BTreeMap<&'static str, String>,
}

/// The reason for which a map is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("accounts: {0}: write it as in `receivable=1400,cash=1200`")]
pub struct AccountMapError(String);

impl AccountMap {
    /// The name of an account, or else `otherwise`.
    pub(super) fn name<'a>(&'a self, account: Account, otherwise: &'a str) -> &'a str {
        self.names.get(account.as_str()).map_or(otherwise, String::as_str)
    }
}

impl fmt::Display for AccountMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.names.iter().map(|(account, name)| format!("{account}={name}")).collect();
        formatter.pad(&pairs.join(","))
    }
}

impl FromStr for AccountMap {
    type Err = AccountMapError;

    /// Reads pairs of an account of the ledger and its name, with commas between.
    fn from_str(text: &str) -> Result<Self, AccountMapError> {
        let mut names = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (account, name) =
                pair.split_once('=').ok_or_else(|| AccountMapError(format!("`{pair}` has no `=`")))?;
            let account: Account = account.trim().parse().map_err(AccountMapError)?;
            let name = name.trim();
            let is_name = (1..=120).contains(&name.len())
                && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, ':' | '-' | '_' | '.'));
            if !is_name {
                return Err(AccountMapError(format!("`{name}` is not the name of an account")));
            }
            if names.insert(account.as_str(), name.to_owned()).is_some() {
                return Err(AccountMapError(format!("`{account}` is there twice")));
            }
        }
        Ok(Self { names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_is_read_or_refused_with_the_fault() {
        let map: AccountMap = "receivable=1400, cash=Assets:Bank".parse().unwrap();
        assert_eq!(map.name(Account::Receivable, "x"), "1400");
        assert_eq!(map.to_string().parse(), Ok(map.clone()));
        assert_eq!((map.name(Account::Cash, "x"), map.name(Account::Tax, "x")), ("Assets:Bank", "x"));
        for (text, part) in [
            ("cash", "has no `=`"),
            ("vault=1200", "`vault` is not an account"),
            ("cash=", "not the name of an account"),
            ("cash=a b", "not the name"),
            ("cash=1,cash=2", "is there twice"),
        ] {
            let error = text.parse::<AccountMap>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
