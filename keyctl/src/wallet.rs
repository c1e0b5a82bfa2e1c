//! `keyctl wallet`: money that tenants have in advance, paid or given.

use clap::{Args, Subcommand};
use common::{
    api::wallet::{
        AutoTopUpDocument, NewWalletGrantBody, WalletDocument, WalletGrantDocument, WalletPolicyBody,
        WalletTopUpDocument, WalletsDocument,
    },
    id::{TenantId, WalletGrantId, WalletTopUpId},
    money::{Currency, Money},
    time::Micros,
    wallet::GrantKind,
};

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View},
    words::{one_of, word_of},
};

const HELP: &str = "\
Amounts are written as on an invoice (25.00), and are whole minor units (2500) in JSON. Invoices use grants by \
priority, lowest number first; then the one that expires soonest; then promotional before paid; then the oldest.

Examples:
  keyctl wallet show --tenant ten_01jd0000000000000000000001
  keyctl wallet grant --tenant ten_01jd0000000000000000000001 --amount 25.00 --currency USD";

const SHOW_HELP: &str = "\
BALANCE is what is in the wallet; below zero, the tenant owes it. AVAILABLE is what invoices can use: with the \
overdraft, without what has expired.

Examples:
  keyctl wallet show --tenant ten_01jd0000000000000000000001
  keyctl wallet show --tenant ten_01jd0000000000000000000001 --at 2026-10-31T23:59:59Z";

const GRANT_HELP: &str = "\
With a reference, such as an order number, a repeated command grants only once.

Examples:
  keyctl wallet grant --tenant ten_01jd0000000000000000000001 --amount 25.00 --currency USD
  keyctl wallet grant --tenant ten_01jd0000000000000000000001 --amount 5 --currency EUR --priority 0";

const VOID_HELP: &str = "\
What invoices have used stays used.

Examples:
  keyctl wallet void grt_01jd0000000000000000000002 --tenant ten_01jd0000000000000000000001 -r x";

const GRANTS_HELP: &str = "\
Examples:
  keyctl wallet grants --tenant ten_01jd0000000000000000000001";

const POLICY_HELP: &str = "\
A wallet --below an amount asks for a top-up --to another, at most --per-day times within 24 hours; `keyctl wallet \
confirm` grants it once it is paid. Without these options it does not ask. --overdraft is how far below zero invoices \
may take the wallet. What is not given is unset.

Examples:
  keyctl wallet policy --tenant ten_01jd0000000000000000000001 --currency USD --overdraft 100.00
  keyctl wallet policy --tenant ten_01jd0000000000000000000001 --currency EUR --below 5 --to 9";

const TOP_UPS_HELP: &str = "\
Examples:
  keyctl wallet top-ups --tenant ten_01jd0000000000000000000001";

const CONFIRM_HELP: &str = "\
Examples:
  keyctl wallet confirm --tenant ten_01jd0000000000000000000001 top_01jd0000000000000000000002";

const CANCEL_HELP: &str = "\
Examples:
  keyctl wallet cancel --tenant ten_01jd0000000000000000000001 top_01jd0000000000000000000002";

/// The verbs of `keyctl wallet`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum WalletCommand {
    /// Show a tenant's wallets
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Grant money to a tenant
    #[command(after_help = GRANT_HELP)]
    Grant(GrantArgs),
    /// Take back what is left of a grant
    #[command(after_help = VOID_HELP)]
    Void(VoidArgs),
    /// List a tenant's grants and what is left of them
    #[command(after_help = GRANTS_HELP)]
    Grants(TenantArgs),
    /// Set the rules of a wallet
    #[command(after_help = POLICY_HELP)]
    Policy(PolicyArgs),
    /// List the top-ups that a tenant's wallets have asked for
    #[command(after_help = TOP_UPS_HELP)]
    TopUps(TenantArgs),
    /// Confirm a top-up as paid
    #[command(after_help = CONFIRM_HELP)]
    Confirm(TopUpArgs),
    /// Cancel a top-up
    #[command(after_help = CANCEL_HELP)]
    Cancel(TopUpArgs),
}

/// The arguments of `keyctl wallet show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Tenant whose wallets they are
    #[arg(long)]
    tenant: TenantId,

    /// Instant that the balances are of; now if left out
    #[arg(long, value_name = "TIME")]
    at: Option<Micros>,
}

/// A tenant.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Tenant whose wallets they are
    #[arg(long)]
    tenant: TenantId,
}

/// The arguments of `keyctl wallet grant`.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Tenant whose money it will be
    #[arg(long)]
    tenant: TenantId,

    /// Issuer of the invoices that the money is for; the tenant above if left out
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,

    /// Amount, as in 25.00
    #[arg(long, value_name = "AMOUNT")]
    amount: String,

    /// Currency, as in USD
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Currency,

    /// Paid, or given
    #[arg(long, default_value = "paid", value_parser = one_of::<GrantKind, 2>(["paid", "promotional"]))]
    kind: GrantKind,

    /// Place in the order of use: 0 is used first; 50 if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: Option<u8>,

    /// Instant from which it cannot be used any more
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Micros>,

    /// Reference of the payment; generated if left out
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,

    /// Reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The arguments of `keyctl wallet void`.
#[derive(Debug, Args)]
pub(crate) struct VoidArgs {
    /// Id of the grant
    grant: WalletGrantId,

    /// Tenant whose grant it is
    #[arg(long)]
    tenant: TenantId,

    /// Reason, for the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
}

/// The arguments of `keyctl wallet policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Tenant whose wallet it is
    #[arg(long)]
    tenant: TenantId,

    /// Issuer of the wallet; the tenant above if left out
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,

    /// Currency of the wallet
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Currency,

    /// Lowest that invoices may take it below zero
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    overdraft: String,

    /// Balance below which a top-up is asked for
    #[arg(long = "below", value_name = "AMOUNT", requires = "target")]
    threshold: Option<String>,

    /// Balance that a top-up fills up to
    #[arg(long = "to", value_name = "AMOUNT", requires = "threshold")]
    target: Option<String>,

    /// Most top-ups within 24 hours
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=100))]
    per_day: u8,
}

/// The arguments of `keyctl wallet confirm` and `cancel`.
#[derive(Debug, Args)]
pub(crate) struct TopUpArgs {
    /// Id of the top-up
    top_up: WalletTopUpId,

    /// Tenant whose wallet asked for it
    #[arg(long)]
    tenant: TenantId,
}

impl WalletCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, &context.output);
        match self {
            Self::Show(ShowArgs { tenant, at }) => output.show(&backend.wallets(tenant, at).await?),
            Self::Grant(arguments) => grant(arguments, context).await,
            Self::Void(VoidArgs { grant, tenant, reason }) => {
                context.confirm(async || Ok(format!("Take back what is left of {grant}?"))).await?;
                output.show(&backend.void_money(tenant, grant, &reason).await?)
            }
            Self::Grants(TenantArgs { tenant }) => output.show(&backend.money_grants(tenant).await?),
            Self::Policy(arguments) => set_policy(arguments, context).await,
            Self::TopUps(TenantArgs { tenant }) => output.show(&backend.wallet_top_ups(tenant).await?),
            Self::Confirm(TopUpArgs { top_up, tenant }) => output.show(&backend.confirm_top_up(tenant, top_up).await?),
            Self::Cancel(TopUpArgs { top_up, tenant }) => output.show(&backend.cancel_top_up(tenant, top_up).await?),
        }
    }
}

async fn grant(arguments: GrantArgs, context: &Context) -> Result<(), Failure> {
    let GrantArgs { tenant, issuer, amount, currency, kind, priority, expires_at, reference, reason } = arguments;
    let amount = Money::parse(&amount, currency)?.minor();
    let expires_at = expires_at.map(Into::into);
    let new = NewWalletGrantBody { issuer, amount, currency, kind, priority, expires_at, reference, reason };
    context.output.show(&context.backend.grant_money(tenant, new).await?)
}

async fn set_policy(arguments: PolicyArgs, context: &Context) -> Result<(), Failure> {
    let PolicyArgs { tenant, issuer, currency, overdraft, threshold, target, per_day } = arguments;
    let minor = |text: &str| Ok::<_, Failure>(Money::parse(text, currency)?.minor());
    let top_up = match (threshold, target) {
        (Some(threshold), Some(target)) => {
            Some(AutoTopUpDocument { threshold: minor(&threshold)?, target: minor(&target)?, per_day })
        }
        _ => None,
    };
    let policy = WalletPolicyBody { issuer, currency, overdraft: minor(&overdraft)?, top_up };
    context.backend.set_wallet_policy(tenant, &policy).await?;
    context.output.show(&context.backend.wallets(tenant, None).await?)
}

fn currency(code: &str) -> Result<Currency, String> {
    Currency::from_code(code).ok_or_else(|| "not a currency of ISO 4217: use a code as in USD".to_owned())
}

fn digits(minor: i64, currency: Currency) -> String {
    Money::from_minor(minor, currency).digits()
}

fn text(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

impl View for WalletsDocument {
    fn table(&self) -> Rows {
        self.wallets.table()
    }
}

impl ListRow for WalletDocument {
    const COLUMNS: &'static [&'static str] = &["ISSUER", "CURRENCY", "BALANCE", "AVAILABLE", "OVERDRAFT", "TOP-UP"];

    fn cells(&self) -> Vec<String> {
        let money = |minor| digits(minor, self.currency);
        let top_up = self.top_up.as_ref().map(|AutoTopUpDocument { threshold, target, per_day }| {
            format!("below {} to {}, {per_day} a day", money(*threshold), money(*target))
        });
        vec![
            self.issuer.to_string(),
            self.currency.code().to_owned(),
            money(self.balance),
            money(self.available),
            money(self.overdraft),
            text(top_up.as_ref()),
        ]
    }
}

impl View for WalletGrantDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("issuer", self.issuer.to_string()),
            ("amount", format!("{} {}", digits(self.amount, self.currency), self.currency.code())),
            ("left", format!("{} {}", digits(self.left, self.currency), self.currency.code())),
            ("kind", word_of(&self.kind)),
            ("priority", self.priority.to_string()),
            ("expires", text(self.expires_at.as_ref())),
            ("reference", self.reference.clone()),
            ("voided", text(self.voided_at.as_ref())),
        ])
    }
}

impl ListRow for WalletGrantDocument {
    const COLUMNS: &'static [&'static str] =
        &["GRANT", "KIND", "CURRENCY", "AMOUNT", "LEFT", "PRIORITY", "EXPIRES", "VOIDED", "REFERENCE"];
    const DROPPABLE: &'static [&'static str] = &["REFERENCE", "VOIDED", "PRIORITY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            word_of(&self.kind),
            self.currency.code().to_owned(),
            digits(self.amount, self.currency),
            digits(self.left, self.currency),
            self.priority.to_string(),
            text(self.expires_at.as_ref()),
            text(self.voided_at.as_ref()),
            self.reference.clone(),
        ]
    }
}

impl View for WalletTopUpDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("amount", format!("{} {}", digits(self.amount, self.currency), self.currency.code())),
            ("status", word_of(&self.status)),
            ("requested", self.requested_at.to_string()),
        ])
    }
}

impl ListRow for WalletTopUpDocument {
    const COLUMNS: &'static [&'static str] = &["TOP-UP", "CURRENCY", "AMOUNT", "STATUS", "REQUESTED", "DECIDED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.currency.code().to_owned(),
            digits(self.amount, self.currency),
            word_of(&self.status),
            self.requested_at.to_string(),
            text(self.decided_at.as_ref()),
        ]
    }
}
