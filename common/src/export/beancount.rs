//! Postings as [beancount](https://beancount.github.io) reads them: plain text in double entry.
//!
//! A debit is an amount above zero in both, so that entries are written as they are.

use std::fmt::Write as _;

use super::{AccountMap, Export, Piece, ledger::NamedPosting};
use crate::{ledger::Account, store::StoreError, time::Zone};

impl Export {
    /// The accounts, which beancount asks for before they are used.
    pub(super) async fn beancount_head(&self, accounts: &AccountMap) -> Result<Vec<u8>, StoreError> {
        let issuer = self.store.tenant(self.query.tenant).await?;
        let mut head = format!("option \"title\" \"{}\"\n\n", quoted(&issuer.name));
        let mut opened: Vec<&str> =
            Account::ALL.iter().map(|account| accounts.name(*account, name(*account))).collect();
        opened.sort_unstable();
        opened.dedup();
        for account in opened {
            // Writing into a string cannot fail.
            let _ = writeln!(head, "1970-01-01 open {account}");
        }
        Ok(head.into_bytes())
    }

    /// Postings as transactions.
    pub(super) async fn beancount_postings(&self, accounts: &AccountMap, after: i64) -> Result<Piece, StoreError> {
        let zone = self.store.tenant(self.query.tenant).await?.zone.or_utc();
        let (postings, next) = self.postings(None, after).await?;
        let mut text = String::new();
        for posting in &postings {
            transaction(&mut text, posting, accounts, &zone);
        }
        Ok((text.into_bytes(), next))
    }
}

fn transaction(text: &mut String, posting: &NamedPosting, accounts: &AccountMap, zone: &Zone) {
    let NamedPosting { seq, at, tenant, tenant_name, cause, document, currency, entries } = posting;
    let date = zone.date(*at).map(|date| date.to_string()).unwrap_or_default();
    let narration =
        document.as_ref().map_or_else(|| cause.kind.to_string(), |number| format!("{} {number}", cause.kind));
    // Writing into a string cannot fail.
    let _ = writeln!(text, "\n{date} * \"{}\" \"{}\"", quoted(tenant_name), quoted(&narration));
    let _ = writeln!(text, "  posting: \"{seq}\"\n  tenant: \"{tenant}\"\n  cause: \"{}\"", quoted(&cause.id));
    for entry in entries {
        let account = accounts.name(entry.account, name(entry.account));
        let _ = writeln!(text, "  {account}  {} {}", entry.amount.digits(), currency.code());
    }
}

/// The name of an account unless a map states another.
const fn name(account: Account) -> &'static str {
    match account {
        Account::Receivable => "Assets:Receivable",
        Account::Credit => "Liabilities:Credit",
        Account::DeferredRevenue => "Liabilities:DeferredRevenue",
        Account::Revenue => "Income:Revenue",
        Account::Tax => "Liabilities:Tax",
        Account::Cash => "Assets:Cash",
        Account::WriteOff => "Expenses:WriteOff",
        Account::Promotion => "Expenses:Promotion",
        Account::Disputed => "Assets:Disputed",
        Account::Fees => "Expenses:Fees",
        Account::Bank => "Assets:Bank",
        Account::Unmatched => "Assets:Unmatched",
    }
}

/// A text between quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ")
}
