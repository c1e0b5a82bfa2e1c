//! Payouts: what a provider sends to an issuer's bank, and what it consists of.
//!
//! Invariants: a payout is in the ledger once, with every item of it: payments, refunds and disputes
//! leave `cash`, fees go to `fees`, and what nothing explains goes to `unmatched` and is told. A payout
//! that the bank refused is taken out of `bank` again.

mod list;
mod matching;
mod post;
mod rows;

pub use list::PayoutFilter;
use serde::Serialize;

use crate::{
    id::{PayoutId, TenantId},
    money::Money,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
    },
    time::Micros,
    word::UnknownWord,
};

/// Seconds until a payout is looked at again that has not arrived, or whose items are not known.
const CHECK_SECONDS: i64 = 6 * 3_600;

/// Seconds after the arrival of a payout within which a bank may still refuse it: 7 days.
const REFUSABLE_SECONDS: i64 = 7 * 86_400;

/// Money that a provider sends to an issuer's bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payout {
    /// Its id.
    pub id: PayoutId,
    /// The tenant that gets it.
    pub issuer: TenantId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The provider's name of it.
    pub provider_payout: String,
    /// The amount; below zero if the provider takes it from the bank.
    pub amount: Money,
    /// Its status.
    pub status: PayoutStatus,
    /// Time at which it arrives at the bank.
    pub arrives_at: Micros,
    /// Time at which the provider made it.
    pub created_at: Micros,
    /// Time of the last change.
    pub updated_at: Micros,
    /// Time at which its items were known and it was posted.
    pub reconciled_at: Option<Micros>,
    /// Number of items that nothing here explains.
    pub unmatched: u32,
    /// Time from which on the provider is asked again.
    pub check_at: Option<Micros>,
}

/// Status of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "api", derive(serde::Deserialize, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayoutStatus {
    /// On its way.
    InTransit,
    /// Arrived.
    Paid,
    /// Not arrived: the provider has it back.
    Failed,
}

/// The kind of thing that an item of a payout stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "api", derive(serde::Deserialize, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayoutItemKind {
    /// A payment.
    Payment,
    /// A refund.
    Refund,
    /// Money of a dispute.
    Dispute,
    /// A fee of the provider.
    Fee,
    /// An earlier payout that the bank refused.
    Payout,
    /// Anything else.
    Other,
}

/// A part of a payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayoutItem {
    /// The item, as the provider tells it.
    #[serde(flatten)]
    pub told: ToldPayoutItem,
    /// The id here of what it stands for.
    pub matched: Option<String>,
    /// The reason for which nothing is found that it stands for.
    pub note: Option<String>,
}

/// A payout, as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldPayout {
    /// The provider's name of it.
    pub id: String,
    /// The amount.
    pub amount: Money,
    /// Its status.
    pub status: PayoutStatus,
    /// Time at which it arrives.
    pub arrives_at: Micros,
    /// Time at which the provider made it.
    pub created_at: Micros,
    /// Its items; none as long as the provider does not know them.
    pub items: Option<Vec<ToldPayoutItem>>,
}

/// A part of a payout, as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldPayoutItem {
    /// The provider's name of it.
    pub id: String,
    /// The kind of thing that it stands for.
    pub kind: PayoutItemKind,
    /// The provider's name of that thing.
    pub source: Option<String>,
    /// The amount before the fee.
    pub amount: Money,
    /// The fee: above zero if the issuer pays it.
    pub fee: Money,
}

macro_rules! words {
    ($type:ident, $what:literal, $all:literal, $($variant:ident => $word:literal),+) => {
        impl $type {
            /// The word in the store and in documents.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord::new($what, $all, word)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words!(PayoutStatus, "status of a payout", "in_transit, paid, failed",
    InTransit => "in_transit", Paid => "paid", Failed => "failed");
words!(PayoutItemKind, "kind of an item of a payout", "payment, refund, dispute, fee, payout, other",
    Payment => "payment", Refund => "refund", Dispute => "dispute", Fee => "fee", Payout => "payout", Other => "other");

impl Store {
    /// Takes over what a provider says of a payout. Once it has arrived and its items are known, it is
    /// posted; if the bank refuses it after that, it is taken out of `bank` again.
    pub async fn follow_payout(
        &self,
        issuer: TenantId,
        provider: &str,
        told: &ToldPayout,
        now: Micros,
    ) -> Result<Payout, StoreError> {
        let mut change = self.begin_change(now).await?;
        let known = rows::locked(change.connection(), issuer, provider, &told.id).await?;
        let is_new = known.is_none();
        let before = known.unwrap_or_else(|| new(issuer, provider, told, now));
        if is_new {
            rows::insert(change.connection(), &before).await?;
        }
        let was_reconciled = before.reconciled_at.is_some();
        let mut after = Payout { status: told.status, arrives_at: told.arrives_at, updated_at: now, ..before };
        if after.status == PayoutStatus::Paid
            && !was_reconciled
            && let Some(items) = &told.items
        {
            let items = matching::matched(change.connection(), &after, items).await?;
            after.unmatched =
                u32::try_from(items.iter().filter(|item| item.matched.is_none()).count()).unwrap_or(u32::MAX);
            after.reconciled_at = Some(now);
            rows::insert_items(change.connection(), &after, &items).await?;
            post::post_arrival(&mut change, &after, &items).await?;
        }
        if after.status == PayoutStatus::Failed && was_reconciled {
            post::post_refusal(&mut change, &after).await?;
        }
        after.check_at = after.next_check(now);
        rows::save(change.connection(), &after).await?;
        if after.reconciled_at.is_some() && !was_reconciled {
            let action = AuditAction::PayoutReconcile;
            let (subject_kind, subject, tenant) = ("payout", after.id.to_string(), Some(issuer));
            let after = state(&after)?;
            change.audit(Audited { action, subject_kind, subject, tenant, before: None, after }).await?;
        }
        change.commit().await?;
        Ok(after)
    }

    /// A payout is to be looked at again later, as the provider did not answer.
    pub async fn delay_payout(&self, id: PayoutId, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE payouts SET check_at = $1 WHERE id = $2 AND check_at IS NOT NULL")
            .bind(now.plus_seconds(CHECK_SECONDS).0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }
}

impl Payout {
    /// The time from which on the provider is asked again: as long as it is not posted, and then as
    /// long as the bank may refuse it.
    fn next_check(&self, now: Micros) -> Option<Micros> {
        let is_final = match self.status {
            PayoutStatus::Failed => true,
            PayoutStatus::Paid => self.reconciled_at.is_some() && now > self.arrives_at.plus_seconds(REFUSABLE_SECONDS),
            PayoutStatus::InTransit => false,
        };
        (!is_final).then(|| now.plus_seconds(CHECK_SECONDS))
    }
}

/// A payout that nobody has heard of before.
fn new(issuer: TenantId, provider: &str, told: &ToldPayout, now: Micros) -> Payout {
    Payout {
        id: PayoutId::generate(),
        issuer,
        provider: provider.to_owned(),
        provider_payout: told.id.clone(),
        amount: told.amount,
        status: told.status,
        arrives_at: told.arrives_at,
        created_at: told.created_at,
        updated_at: now,
        reconciled_at: None,
        unmatched: 0,
        check_at: Some(now),
    }
}
