//! `keyctl coupon`: percentages and amounts off the bills of tenants that redeem them.

use clap::{ArgGroup, Args, Subcommand};
use common::{
    api::coupon::{CouponDocument, NewCouponBody, RedemptionDocument},
    coupon::CouponCode,
    id::TenantId,
    money::Currency,
    plan::PlanId,
    time::Micros,
};

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View, or_dash},
};

const HELP: &str = "\
A coupon counts from the billing period on in which a tenant redeems it: for that one, for so many, or for all that \
follow. Of several coupons, each takes its part of what those before it have left.

Examples:
  keyctl coupon create SPRING-26 --percent 20 --periods 3
  keyctl coupon redeem SPRING-26 --tenant ten_01jd0000000000000000000001";

const CREATE_HELP: &str = "\
Without --periods and --forever it counts for one billing period. The same again changes nothing.

Examples:
  keyctl coupon create SPRING-26 --percent 20 --periods 3
  keyctl coupon create WELCOME --amount 25.00 --currency EUR --plan growth --most 100";

const LIST_HELP: &str = "\
Examples:
  keyctl coupon list
  keyctl coupon list --tenant ten_01jd0000000000000000000001";

const ARCHIVE_HELP: &str = "\
Whoever has redeemed it keeps it; nobody else redeems it.

Examples:
  keyctl coupon archive SPRING-26";

const REDEEM_HELP: &str = "\
The same again changes nothing.

Examples:
  keyctl coupon redeem SPRING-26 --tenant ten_01jd0000000000000000000001";

const REMOVE_HELP: &str = "\
It does not count for billing periods that begin from now on.

Examples:
  keyctl coupon remove SPRING-26 --tenant ten_01jd0000000000000000000001";

/// The verbs of `keyctl coupon`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum CouponCommand {
    /// Make a coupon
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List coupons, or those that a tenant has redeemed
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Archive a coupon
    #[command(after_help = ARCHIVE_HELP)]
    Archive(ArchiveArgs),
    /// Redeem a coupon for a tenant
    #[command(after_help = REDEEM_HELP)]
    Redeem(OfTenantArgs),
    /// Take a coupon from a tenant
    #[command(after_help = REMOVE_HELP)]
    Remove(OfTenantArgs),
}

/// The arguments of `keyctl coupon create`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("off").required(true).args(["percent", "amount"])))]
pub(crate) struct CreateArgs {
    /// Code by which it is redeemed
    #[arg(value_name = "CODE")]
    code: CouponCode,

    /// Percent off, more than 0 and up to 100
    #[arg(long, value_name = "PERCENT")]
    percent: Option<String>,

    /// Amount off each billing period, as in 25.00
    #[arg(long, value_name = "AMOUNT", requires = "currency")]
    amount: Option<String>,

    /// Currency of the amount
    #[arg(long, value_name = "CODE", value_parser = currency, requires = "amount")]
    currency: Option<Currency>,

    /// Number of billing periods for which it counts
    #[arg(long, value_name = "N", conflicts_with = "forever")]
    periods: Option<u32>,

    /// Let it count for all billing periods
    #[arg(long)]
    forever: bool,

    /// Plan for whose bills it is, once for each; every plan if left out
    #[arg(long = "plan", value_name = "PLAN")]
    plans: Vec<PlanId>,

    /// Meter for whose usage it is; all lines if left out
    #[arg(long, value_name = "METER")]
    meter: Option<String>,

    /// Instant from which on nobody redeems it
    #[arg(long, value_name = "TIME")]
    redeem_by: Option<Micros>,

    /// Most tenants that redeem it
    #[arg(long, value_name = "N")]
    most: Option<u32>,

    #[command(flatten)]
    issuer: IssuerArgs,
}

/// The issuer of coupons.
#[derive(Debug, Args)]
pub(crate) struct IssuerArgs {
    /// Issuer of the bills. If left out: on a store, the only root; through the API, the tenant of the
    /// token
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,
}

/// The arguments of `keyctl coupon list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Tenant whose redeemed coupons are listed
    #[arg(long, conflicts_with = "issuer")]
    tenant: Option<TenantId>,

    #[command(flatten)]
    issuer: IssuerArgs,
}

/// The arguments of `keyctl coupon archive`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// Code of the coupon
    #[arg(value_name = "CODE")]
    code: CouponCode,

    #[command(flatten)]
    issuer: IssuerArgs,
}

/// A coupon and a tenant.
#[derive(Debug, Args)]
pub(crate) struct OfTenantArgs {
    /// Code of the coupon
    #[arg(value_name = "CODE")]
    code: CouponCode,

    /// Tenant whose bills it is for
    #[arg(long)]
    tenant: TenantId,
}

fn currency(code: &str) -> Result<Currency, String> {
    Currency::from_code(code).ok_or_else(|| format!("`{code}` is no currency of ISO 4217, as in EUR"))
}

impl CreateArgs {
    fn body(self) -> NewCouponBody {
        let duration = match (self.periods, self.forever) {
            (Some(_), _) => "periods",
            (None, true) => "forever",
            (None, false) => "once",
        };
        NewCouponBody {
            issuer: self.issuer.issuer,
            code: self.code.as_str().to_owned(),
            percent: self.percent,
            amount: self.amount,
            currency: self.currency,
            duration: duration.to_owned(),
            periods: self.periods,
            plans: self.plans,
            meter: self.meter,
            redeem_by: self.redeem_by.map(Into::into),
            max_redemptions: self.most,
        }
    }
}

impl CouponCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, context.output);
        match self {
            Self::Create(arguments) => output.show(&backend.create_coupon(arguments.body()).await?),
            Self::List(ListArgs { tenant: Some(tenant), .. }) => output.show(&backend.coupons_of(tenant).await?),
            Self::List(ListArgs { tenant: None, issuer }) => output.show(&backend.coupons(issuer.issuer).await?),
            Self::Archive(ArchiveArgs { code, issuer }) => {
                output.show(&backend.archive_coupon(issuer.issuer, &code).await?)
            }
            Self::Redeem(OfTenantArgs { code, tenant }) => output.show(&backend.redeem_coupon(tenant, &code).await?),
            Self::Remove(OfTenantArgs { code, tenant }) => {
                backend.remove_coupon(tenant, &code).await?;
                output.show(&backend.coupons_of(tenant).await?)
            }
        }
    }
}

/// The percentage or amount of a coupon, in words.
fn off(coupon: &CouponDocument) -> String {
    match (&coupon.percent, &coupon.amount, &coupon.currency) {
        (Some(percent), ..) => format!("{percent} %"),
        (None, Some(amount), Some(currency)) => format!("{amount} {currency}"),
        (None, _, _) => "-".to_owned(),
    }
}

/// The billing periods for which a coupon counts, in words.
fn duration(coupon: &CouponDocument) -> String {
    coupon.periods.map_or_else(|| coupon.duration.clone(), |periods| format!("{periods} periods"))
}

impl View for CouponDocument {
    fn table(&self) -> Rows {
        let plans: Vec<&str> = self.plans.iter().map(PlanId::as_str).collect();
        Rows::properties([
            ("code", self.code.clone()),
            ("issuer", self.issuer.to_string()),
            ("off", off(self)),
            ("counts", duration(self)),
            ("plans", if plans.is_empty() { "-".to_owned() } else { plans.join(" ") }),
            ("meter", or_dash(self.meter.as_ref())),
            ("redeem by", or_dash(self.redeem_by.as_ref())),
            ("most", or_dash(self.max_redemptions)),
            ("archived", or_dash(self.archived_at.as_ref())),
        ])
    }
}

impl ListRow for CouponDocument {
    const COLUMNS: &'static [&'static str] = &["CODE", "OFF", "COUNTS", "METER", "REDEEM BY", "ARCHIVED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.code.clone(),
            off(self),
            duration(self),
            or_dash(self.meter.as_ref()),
            or_dash(self.redeem_by.as_ref()),
            or_dash(self.archived_at.as_ref()),
        ]
    }
}

impl View for RedemptionDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("tenant", self.tenant.to_string()),
            ("code", self.coupon.code.clone()),
            ("off", off(&self.coupon)),
            ("counts", duration(&self.coupon)),
            ("redeemed", self.redeemed_at.to_string()),
            ("removed", or_dash(self.removed_at.as_ref())),
        ])
    }
}

impl ListRow for RedemptionDocument {
    const COLUMNS: &'static [&'static str] = &["CODE", "OFF", "COUNTS", "REDEEMED", "REMOVED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.coupon.code.clone(),
            off(&self.coupon),
            duration(&self.coupon),
            self.redeemed_at.to_string(),
            or_dash(self.removed_at.as_ref()),
        ]
    }
}
