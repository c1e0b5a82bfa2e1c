//! `keyctl usage`: what was used in a month, each tenant's month on its own clock.

use std::collections::HashMap;

use clap::{Args, Subcommand, ValueEnum};
use common::{
    id::{KeyId, TenantId},
    store::UsageFilter,
    tenant::Tenant,
    time::{Micros, Period, TimeError, Window, Zone},
};

use super::Context;
use crate::{
    error::Failure,
    view::{Instant, Subject, UsageTotals},
};

const HELP: &str = "\
Examples:
  keyctl usage show --period 2026-11 --by key";

const SHOW_HELP: &str = "\
REQUESTS were forwarded and answered, TEST are those of them under test keys, REFUSED the gateway's \
own refusals. BILLABLE are the units that an invoice counts. Each meter has its own row; refusals have \
no meter and stand in the first. A month starts and ends on each tenant's own clock.

Examples:
  keyctl usage show
  keyctl usage show --period 2026-11 --by key
  keyctl usage show --tenant ten_01jd0000000000000000000001 --by hour
  keyctl usage show --output json | jq '[.rows[].billable_units] | add'";

/// The verbs of `keyctl usage`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum UsageCommand {
    /// Show the usage of a month
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

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

impl UsageCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::Show(arguments) = self;
        show(&arguments, context).await
    }
}

async fn show(arguments: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let (tenants, zone) = match arguments.tenant {
        None => (context.store.tenants().await?, Zone::utc()),
        Some(id) => {
            let tenant = context.store.tenant(id).await?;
            let zone = tenant.zone.clone();
            (vec![tenant], zone)
        }
    };
    let period = arguments.period.map_or_else(|| Period::containing(context.now, &zone), Ok)?;
    let scope = Scope::new(tenants, period)?;
    let key_names = key_names(arguments, context).await?;
    let filter = UsageFilter { tenant: arguments.tenant, window: Some(scope.union()) };

    let mut totals = UsageTotals::default();
    for usage in context.store.usage(&filter).await?.iter().filter(|usage| scope.contains(usage.tenant, usage.hour)) {
        let subject = match arguments.by {
            Dimension::Tenant => scope.tenant(usage.tenant),
            Dimension::Key => key_subject(usage.tenant, usage.key, &key_names),
            Dimension::Route => Subject::Route { route: Some(usage.route.clone()) },
            Dimension::Hour => Subject::Hour { hour: Instant(usage.hour) },
        };
        totals.add_usage(subject, usage);
    }
    for sum in context.store.refusals(&filter).await?.iter().filter(|sum| scope.contains(sum.tenant, sum.hour)) {
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

async fn key_names(arguments: &ShowArgs, context: &Context) -> Result<HashMap<KeyId, String>, Failure> {
    if arguments.by != Dimension::Key {
        return Ok(HashMap::new());
    }
    let keys = context.store.keys(arguments.tenant).await?;
    Ok(keys.into_iter().map(|key| (key.id, key.name)).collect())
}

fn key_subject(tenant: TenantId, key: KeyId, names: &HashMap<KeyId, String>) -> Subject {
    Subject::Key { tenant, key, key_name: names.get(&key).cloned() }
}

// === impl Scope ===

impl Scope {
    fn new(tenants: Vec<Tenant>, period: Period) -> Result<Self, TimeError> {
        let mut scope = Self { names: HashMap::new(), windows: HashMap::new(), others: period.window(&Zone::utc())? };
        for tenant in tenants {
            scope.windows.insert(tenant.id, period.window(&tenant.zone)?);
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
