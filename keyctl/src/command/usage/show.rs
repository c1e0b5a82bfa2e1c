//! `keyctl usage show`: what was used in a month, each tenant's month on its own clock.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use common::{
    id::{KeyId, TenantId},
    tenant::{TenantFilter, TenantStatus},
    time::{Micros, Period, TimeError, Window, Zone},
};

use crate::{
    backend::KeyQuery,
    command::Context,
    error::Failure,
    view::{Instant, Subject, TenantView, UsageTotals},
};

pub(super) const HELP: &str = "\
REQUESTS were forwarded, ABORTED are those of them whose client left before the answer, TEST those under \
test keys, REFUSED the gateway's own refusals. BILLABLE are the units that an invoice counts. Each meter has its own row; refusals have \
no meter and stand in the first; the admin API does not tell them. A month starts and ends on each \
tenant's own clock.

Examples:
  keyctl usage show
  keyctl usage show --period 2026-11 --by key
  keyctl usage show --tenant ten_01jd0000000000000000000001 --by hour
  keyctl usage show --output json | jq '[.rows[].billable_units] | add'";

/// The arguments of `keyctl usage show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Only this tenant's usage, without that of the tenants below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Month to show; the current one of the tenant's clock (of UTC for all tenants) unless said otherwise
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<Period>,

    /// What each row sums up
    #[arg(long, default_value = "tenant")]
    by: Dimension,
}

/// What a row of usage sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dimension {
    Tenant,
    Key,
    Route,
    Hour,
}

/// The tenants that are asked for, and the month of each.
struct Scope {
    names: HashMap<TenantId, String>,
    windows: HashMap<TenantId, Window>,
    /// For tenants that the store does not know yet: their usage is filed in UTC.
    others: Window,
}

/// Prints the sums.
pub(super) async fn show(arguments: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let (tenants, zone) = match arguments.tenant {
        None => (everybody(context).await?, Zone::utc()),
        Some(id) => {
            let tenant = context.backend.tenant(id).await?;
            let zone = tenant.time_zone.clone();
            (vec![tenant], zone)
        }
    };
    let period = arguments.period.map_or_else(|| Period::containing(context.now, &zone), Ok)?;
    let scope = Scope::new(tenants, period)?;
    let key_names = key_names(arguments, context).await?;
    let (window, hourly) = (scope.union(), arguments.by == Dimension::Hour);

    let mut totals = UsageTotals::default();
    let used = context.backend.usage(arguments.tenant, window, hourly).await?;
    for usage in used.iter().filter(|usage| scope.contains(usage.tenant, usage.start.0)) {
        let subject = match arguments.by {
            Dimension::Tenant => scope.tenant(usage.tenant),
            Dimension::Key => key_subject(usage.tenant, usage.key, &key_names),
            Dimension::Route => Subject::Route { route: Some(usage.route.clone()) },
            Dimension::Hour => Subject::Hour { hour: usage.start },
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
            Dimension::Hour => Subject::Hour { hour: Instant(sum.hour) },
        };
        totals.add_refusals(subject, sum);
    }
    context.output.show(&totals.into_report(period))
}

/// Every tenant, deleted ones too: they are billed for what they used.
async fn everybody(context: &Context) -> Result<Vec<TenantView>, Failure> {
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
    Ok(keys.into_iter().map(|key| (key.id(), key.into_name())).collect())
}

fn key_subject(tenant: TenantId, key: KeyId, names: &HashMap<KeyId, String>) -> Subject {
    Subject::Key { tenant, key, key_name: names.get(&key).cloned() }
}

// === impl Scope ===

impl Scope {
    fn new(tenants: Vec<TenantView>, period: Period) -> Result<Self, TimeError> {
        let mut scope = Self { names: HashMap::new(), windows: HashMap::new(), others: period.window(&Zone::utc())? };
        for tenant in tenants {
            scope.windows.insert(tenant.id, period.window(&tenant.time_zone)?);
            scope.names.insert(tenant.id, tenant.name);
        }
        Ok(scope)
    }

    /// All hours that lie in any tenant's month, so that the store is asked once.
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
