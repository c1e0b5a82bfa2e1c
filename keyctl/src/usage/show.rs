//! `keyctl usage show`: usage of a month, each tenant's month in its own time zone.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use common::{
    api::tenant::TenantDocument,
    id::{KeyId, TenantId},
    tenant::{TenantFilter, TenantStatus},
    time::{Micros, Period, TimeError, Window, Zone},
};

use super::totals::{Subject, UsageTotals};
use crate::{backend::KeyQuery, context::Context, error::Failure};

pub(super) const HELP: &str = "\
REQUESTS were forwarded; of them, ABORTED lost their client before the answer, and TEST used test keys. \
REFUSED requests were refused by the gateway. BILLABLE units count on an invoice. Each meter has its own row; refusals \
have no meter and count in the first row; the admin API does not tell them. A month starts and ends in each tenant's \
time zone.

Examples:
  keyctl usage show
  keyctl usage show --period 2026-11 --by key
  keyctl usage show --tenant ten_01jd0000000000000000000001 --by hour
  keyctl usage show --output json | jq '[.rows[].billable_units] | add'";

/// The arguments of `keyctl usage show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Only this tenant's usage, without the tenants below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Month to show; if left out, the current month in the tenant's time zone (in UTC for all
    /// tenants)
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<Period>,

    /// Subject of each row
    #[arg(long, default_value = "tenant")]
    by: Dimension,
}

/// Subject of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dimension {
    Tenant,
    Key,
    Route,
    Hour,
}

/// The tenants of the report, and the month of each.
struct Scope {
    names: HashMap<TenantId, String>,
    windows: HashMap<TenantId, Window>,
    /// The month in UTC, for tenants that the store does not know: their usage is filed in UTC.
    others: Window,
}

/// Prints the sums.
pub(super) async fn show(arguments: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let (tenants, zone) = match arguments.tenant {
        None => (all_tenants(context).await?, Zone::utc()),
        Some(id) => {
            let tenant = context.backend.tenant(id).await?;
            let zone = tenant.zone.clone().or_utc();
            (vec![tenant], zone)
        }
    };
    let period = arguments.period.map_or_else(|| Period::containing(context.now, &zone), Ok)?;
    warn_of_unknown_zones(&tenants, context);
    let scope = Scope::new(tenants, period)?;
    let key_names = key_names(arguments, context).await?;
    let (window, hourly) = (scope.union(), arguments.by == Dimension::Hour);

    let mut totals = UsageTotals::default();
    let used = context.backend.usage(arguments.tenant, window, hourly).await?;
    for usage in used.iter().filter(|usage| scope.contains(usage.tenant, usage.start)) {
        let subject = match arguments.by {
            Dimension::Tenant => scope.tenant(usage.tenant),
            Dimension::Key => key_subject(usage.tenant, usage.key, &key_names),
            Dimension::Route => Subject::Route { route: Some(usage.route.clone()) },
            Dimension::Hour => Subject::Hour { hour: usage.start.into() },
        };
        totals.add_usage(subject, usage);
    }
    let refusals = context.backend.refusals(arguments.tenant, window).await?;
    if refusals.is_some() {
        totals.with_refusals();
    }
    for sum in refusals.iter().flatten().filter(|sum| scope.contains(sum.tenant, sum.hour)) {
        let subject = match arguments.by {
            Dimension::Tenant => scope.tenant(sum.tenant),
            Dimension::Key => key_subject(sum.tenant, sum.key, &key_names),
            Dimension::Route => Subject::Route { route: None },
            Dimension::Hour => Subject::Hour { hour: sum.hour.into() },
        };
        totals.add_refusals(subject, sum);
    }
    context.output.show(&totals.into_report(period))
}

/// Every tenant, including deleted ones: their usage is billed.
async fn all_tenants(context: &Context) -> Result<Vec<TenantDocument>, Failure> {
    let mut tenants = context.backend.tenants(&TenantFilter::default()).await?;
    let deleted = TenantFilter { status: Some(TenantStatus::Deleted), ..TenantFilter::default() };
    tenants.extend(context.backend.tenants(&deleted).await?);
    Ok(tenants)
}

async fn key_names(arguments: &ShowArgs, context: &Context) -> Result<HashMap<KeyId, String>, Failure> {
    if arguments.by != Dimension::Key {
        return Ok(HashMap::new());
    }
    let keys = context.backend.keys(&KeyQuery { tenant: arguments.tenant, ..KeyQuery::default() }).await?;
    Ok(keys.into_iter().map(|record| (record.key.id, record.key.name)).collect())
}

/// Warns of tenants whose time zone this program's database does not have: their month is taken in
/// UTC.
fn warn_of_unknown_zones(tenants: &[TenantDocument], context: &Context) {
    for tenant in tenants.iter().filter(|tenant| !tenant.zone.is_known()) {
        let (id, zone) = (tenant.id, &tenant.zone);
        context.output.warn(&format!("time zone {zone} of tenant {id} is unknown here: its month is taken in UTC"));
    }
}

fn key_subject(tenant: TenantId, key: KeyId, names: &HashMap<KeyId, String>) -> Subject {
    Subject::Key { tenant, key, key_name: names.get(&key).cloned() }
}

// === impl Scope ===

impl Scope {
    fn new(tenants: Vec<TenantDocument>, period: Period) -> Result<Self, TimeError> {
        let mut scope = Self { names: HashMap::new(), windows: HashMap::new(), others: period.window(&Zone::utc())? };
        for tenant in tenants {
            scope.windows.insert(tenant.id, period.window(&tenant.zone.or_utc())?);
            scope.names.insert(tenant.id, tenant.name);
        }
        Ok(scope)
    }

    /// The smallest window that holds every tenant's month, so that the backend is asked once.
    fn union(&self) -> Window {
        self.windows.values().fold(self.others, |union, window| Window {
            start: union.start.min(window.start),
            end: union.end.max(window.end),
        })
    }

    fn contains(&self, tenant: TenantId, hour: Micros) -> bool {
        self.windows.get(&tenant).unwrap_or(&self.others).contains(hour)
    }

    fn tenant(&self, tenant: TenantId) -> Subject {
        Subject::Tenant { tenant, tenant_name: self.names.get(&tenant).cloned() }
    }
}
