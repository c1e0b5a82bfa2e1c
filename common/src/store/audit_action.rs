//! Actions of the audit log: the one list by which it is written and searched.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::word::UnknownWord;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Something that is written into the audit log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $name,)*
        }

        impl AuditAction {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const WORDS: &str = concat!($($word, ", ",)*);

            /// The word in the store, in documents and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// A tenant came.
    TenantCreate = "tenant.create",
    /// A tenant got another name.
    TenantUpdate = "tenant.update",
    /// A tenant is refused until it is resumed.
    TenantSuspend = "tenant.suspend",
    /// A tenant is served again.
    TenantResume = "tenant.resume",
    /// A tenant stands elsewhere in the tree.
    TenantMove = "tenant.move",
    /// A tenant ended.
    TenantDelete = "tenant.delete",
    /// A plan got a version.
    PlanApply = "plan.apply",
    /// The first root took over a plan that was waiting for it.
    PlanAdopt = "plan.adopt",
    /// A plan is off offer.
    PlanDeprecate = "plan.deprecate",
    /// A plan is on offer again.
    PlanRestore = "plan.restore",
    /// A tenant got a plan.
    SubscriptionAssign = "subscription.assign",
    /// A tenant's own plan ends.
    SubscriptionEnd = "subscription.end",
    /// A tenant was brought to the latest version of its plan.
    SubscriptionMigrate = "subscription.migrate",
    /// A tenant's subscription is paused, or goes on.
    SubscriptionPause = "subscription.pause",
    /// A tenant has another quantity of an add-on.
    AddOnSet = "add_on.set",
    /// A coupon was made.
    CouponCreate = "coupon.create",
    /// Nobody redeems a coupon any more.
    CouponArchive = "coupon.archive",
    /// A tenant redeemed a coupon.
    CouponRedeem = "coupon.redeem",
    /// A coupon was taken from a tenant.
    CouponRemove = "coupon.remove",
    /// An API key was made.
    KeyCreate = "key.create",
    /// An API key was renamed or narrowed.
    KeyUpdate = "key.update",
    /// An API key gives way to another.
    KeyRotate = "key.rotate",
    /// An API key ended.
    KeyRevoke = "key.revoke",
    /// An admin key was made.
    AdminKeyCreate = "admin_key.create",
    /// An admin key gives way to another.
    AdminKeyRotate = "admin_key.rotate",
    /// An admin key ended.
    AdminKeyRevoke = "admin_key.revoke",
    /// Somebody signed in.
    SessionBegin = "session.begin",
    /// A sign-in link was made.
    SessionLink = "session.link",
    /// Somebody signed out.
    SessionEnd = "session.end",
    /// Tenants below may, or may not, change to a plan by themselves.
    PlanSelfService = "plan.self_service",
    /// Credit was added.
    CreditAdd = "credit.add",
    /// Credit was taken back.
    CreditCorrect = "credit.correct",
    /// Money was granted into a wallet.
    WalletGrant = "wallet.grant",
    /// A grant of a wallet was taken back.
    WalletVoid = "wallet.void",
    /// A wallet has other rules.
    WalletPolicy = "wallet.policy",
    /// A tenant asked for a top-up of a wallet.
    WalletTopUpRequest = "wallet.top_up_request",
    /// A top-up of a wallet was confirmed as paid.
    WalletTopUpConfirm = "wallet.top_up_confirm",
    /// A top-up of a wallet was cancelled.
    WalletTopUpCancel = "wallet.top_up_cancel",
    /// A budget was set.
    BudgetSet = "budget.set",
    /// A budget was taken away.
    BudgetDelete = "budget.delete",
    /// Gateways refuse requests, as a hard budget is spent.
    BudgetStop = "budget.stop",
    /// Gateways no longer refuse requests because of a hard budget.
    BudgetResume = "budget.resume",
    /// A usage event has other units.
    UsageAmend = "usage.amend",
    /// A usage event does not count any more.
    UsageRevert = "usage.revert",
    /// Billing details of a tenant changed.
    BillingDetails = "tenant.billing_details",
    /// The looks of a tenant's documents changed.
    Branding = "tenant.branding",
    /// An invoice was finalized.
    InvoiceFinalize = "invoice.finalize",
    /// Invoices are issued although usage may be missing.
    InvoiceIncomplete = "invoice.incomplete_run",
    /// An invoice was voided.
    InvoiceVoid = "invoice.void",
    /// An invoice was given up.
    InvoiceWriteOff = "invoice.write_off",
    /// A credit note was issued.
    CreditNoteIssue = "credit_note.issue",
    /// A payment was recorded.
    PaymentRecord = "payment.record",
    /// A payment went back.
    PaymentRefund = "payment.refund",
    /// A bank statement was imported.
    BankStatementImport = "bank_statement.import",
    /// A person said what an entry of a bank statement pays.
    BankEntryAssign = "bank_entry.assign",
    /// A person said that nothing follows from an entry of a bank statement.
    BankEntryIgnore = "bank_entry.ignore",
    /// A webhook endpoint was made.
    WebhookCreate = "webhook_endpoint.create",
    /// A webhook endpoint was changed, enabled or disabled.
    WebhookUpdate = "webhook_endpoint.update",
    /// A webhook endpoint has another secret.
    WebhookRotate = "webhook_endpoint.rotate",
    /// A webhook endpoint was given up after long failure.
    WebhookDisable = "webhook_endpoint.disable",
    /// A webhook endpoint was deleted.
    WebhookDelete = "webhook_endpoint.delete",
    /// Messages of the outbox are sent again.
    OutboxReplay = "outbox.replay",
    /// Other people of a tenant get its mail, or in another language.
    MailSettings = "tenant.mail_settings",
    /// Other people of a tenant sign in to the portal by mail, or with another role.
    Members = "tenant.members",
    /// A tenant has another payment method.
    PaymentMethodSave = "payment_method.save",
    /// A tenant is refused until an invoice is paid.
    DunningSuspend = "dunning.suspend",
    /// A tenant is served again, as the invoice is paid.
    DunningResume = "dunning.resume",
    /// A payer's bank takes a payment back, or has decided that it does or does not.
    PaymentDispute = "payment.dispute",
    /// A provider sent money to the issuer's bank, and it is in the ledger.
    PayoutReconcile = "payout.reconcile",
}

impl fmt::Display for AuditAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for AuditAction {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|action| action.as_str() == word).copied();
        found.ok_or_else(|| UnknownWord::new("known action", Self::WORDS.trim_end_matches(", "), word))
    }
}

impl Serialize for AuditAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AuditAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_words_parse_back_and_unknown_word_lists_all() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        let refused = "key.revoked".parse::<AuditAction>().unwrap_err().to_string();
        assert!(refused.starts_with("`key.revoked` is not a known action"), "{refused}");
        assert!(AuditAction::ALL.iter().all(|action| refused.contains(action.as_str())), "{refused}");
    }
}
