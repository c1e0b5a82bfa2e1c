//! Postings of payouts.

use super::{Payout, PayoutItem, PayoutItemKind};
use crate::{
    ledger::{Account, Cause, CauseKind, LedgerError, Posting, rows::post},
    money::Money,
    store::{StoreError, transaction::ChangeTransaction},
};

/// Posts a payout that has arrived: the bank has it, and each item leaves the account where it was.
pub(super) async fn post_arrival(
    change: &mut ChangeTransaction,
    payout: &Payout,
    items: &[PayoutItem],
) -> Result<(), StoreError> {
    let currency = payout.amount.currency();
    if items.is_empty() {
        // Somebody has made it by hand: nobody says what it consists of.
        let minus = Money::from_minor(payout.amount.minor().saturating_neg(), currency);
        let entries = [(Account::Bank, payout.amount), (Account::Cash, minus)];
        return post_entries(change, payout, format!("payout:{}", payout.id), &entries).await;
    }
    let mut sums = Sums::default();
    for item in items {
        sums.add(item).ok_or_else(|| StoreError::refused("amount: the items of the payout are too large"))?;
    }
    let money = |minor| Money::from_minor(minor, currency);
    let explained = sums.cash.checked_add(sums.unmatched).and_then(|sum| sum.checked_sub(sums.fees));
    // Money that the bank gets and no item tells of, or the other way round.
    let rest = explained.and_then(|explained| payout.amount.minor().checked_sub(explained));
    let unmatched = rest.and_then(|rest| rest.checked_add(sums.unmatched));
    let unmatched = unmatched.ok_or_else(|| StoreError::refused("amount: the items of the payout are too large"))?;
    let entries = [
        (Account::Bank, payout.amount),
        (Account::Cash, money(-sums.cash)),
        (Account::Fees, money(sums.fees)),
        (Account::Unmatched, money(-unmatched)),
    ];
    post_entries(change, payout, format!("payout:{}", payout.id), &entries).await
}

/// Takes a payout that the bank has refused out of `bank` again.
pub(super) async fn post_refusal(change: &mut ChangeTransaction, payout: &Payout) -> Result<(), StoreError> {
    let minus = Money::from_minor(payout.amount.minor().saturating_neg(), payout.amount.currency());
    let entries = [(Account::Bank, minus), (Account::Cash, payout.amount)];
    post_entries(change, payout, format!("payout:{}:failed", payout.id), &entries).await
}

/// Sums of items by account, in minor units.
#[derive(Default)]
struct Sums {
    cash: i64,
    fees: i64,
    unmatched: i64,
}

impl Sums {
    /// None if they do not fit.
    fn add(&mut self, item: &PayoutItem) -> Option<()> {
        let (amount, fee) = (item.told.amount.minor(), item.told.fee.minor());
        let net = amount.checked_sub(fee)?;
        match (item.told.kind, &item.matched) {
            (PayoutItemKind::Payment | PayoutItemKind::Refund, Some(_)) => {
                self.cash = self.cash.checked_add(amount)?;
                self.fees = self.fees.checked_add(fee)?;
            }
            // Fees of disputes are posted with them.
            (PayoutItemKind::Dispute | PayoutItemKind::Payout, Some(_)) => self.cash = self.cash.checked_add(net)?,
            (PayoutItemKind::Fee, _) => self.fees = self.fees.checked_sub(net)?,
            (_, None) | (PayoutItemKind::Other, Some(_)) => self.unmatched = self.unmatched.checked_add(net)?,
        }
        Some(())
    }
}

async fn post_entries(
    change: &mut ChangeTransaction,
    payout: &Payout,
    key: String,
    entries: &[(Account, Money)],
) -> Result<(), StoreError> {
    if entries.iter().all(|(_, amount)| amount.is_zero()) {
        return Ok(());
    }
    let cause = Cause { kind: CauseKind::Payout, id: payout.id.to_string() };
    let posting = Posting::new((payout.issuer, payout.issuer), key, cause, change.now(), entries);
    let posting = posting.map_err(|error: LedgerError| StoreError::refused(format!("amount: {error}")))?;
    post(change.connection(), &posting).await.map(drop)
}
