//! Tables of plan versions: one row in a list, every price and limit of a single plan.

use common::{
    api::{
        instant::Instant,
        plan::{AppliedPlanDocument, PlanVersionDocument},
    },
    id::TenantId,
    money::UnitPrice,
    plan::{
        Charge, Plan, PlanOutcome, RateLimits, RateWindow,
        price::{Percentage, Price, Tier},
    },
};
use serde::Serialize;

use crate::output::{ListRow, Rows, View};

/// A plan version, with the members of the plan on its own level.
#[derive(Debug, Serialize)]
pub(super) struct PlanView {
    #[serde(flatten)]
    plan: Plan,
    /// The tenant that the plan belongs to; none before there is a root.
    owner: Option<TenantId>,
    version: i64,
    deprecated: bool,
    created_at: Instant,
}

impl From<PlanVersionDocument> for PlanView {
    fn from(document: PlanVersionDocument) -> Self {
        let PlanVersionDocument { owner, id: _, version, created_at, deprecated, self_service: _, plan } = document;
        Self { plan, owner, version, deprecated, created_at }
    }
}

impl PlanView {
    fn owner(&self) -> String {
        self.owner.map_or_else(|| "the first root to come".to_owned(), |owner| owner.to_string())
    }

    const fn status(&self) -> &'static str {
        if self.deprecated { "deprecated" } else { "on offer" }
    }

    /// The flat fee as an amount; a fee that is no amount is shown as it was written.
    fn flat_fee(&self) -> String {
        self.plan.flat_fee().map_or_else(|_| self.plan.flat_fee.clone(), |fee| fee.to_string())
    }
}

impl View for PlanView {
    fn table(&self) -> Rows {
        let plan = &self.plan;
        let mut rows = Rows::properties([
            ("id", plan.id.to_string()),
            ("name", plan.name.clone()),
            ("owner", self.owner()),
            ("version", self.version.to_string()),
            ("status", self.status().to_owned()),
            ("applied", self.created_at.to_string()),
            ("flat fee", format!("{} per month", self.flat_fee())),
        ]);
        for charge in &plan.charges {
            rows.push(&format!("charge {}", charge.meter), charge_text(charge, plan.currency.code()));
        }
        for quota in &plan.quotas {
            let kind = if quota.kind.is_hard() { "hard" } else { "soft" };
            rows.push(&format!("quota {}", quota.meter), format!("{} units per month, {kind}", quota.per_month));
        }
        for meter in &plan.prepaid {
            rows.push(&format!("prepaid {meter}"), "as many units as there is credit for".to_owned());
        }
        let limits = &plan.limits;
        for (scope, limits) in [("tenant", &limits.tenant), ("each key", &limits.key), ("pool", &limits.pool)] {
            rows.push(&format!("limit {scope}"), limits_text(limits));
        }
        rows
    }
}

impl ListRow for PlanView {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "VERSION", "STATUS", "FLAT FEE", "APPLIED"];
    const DROPPABLE: &'static [&'static str] = &["APPLIED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.plan.id.to_string(),
            self.plan.name.clone(),
            self.version.to_string(),
            self.status().to_owned(),
            self.flat_fee(),
            self.created_at.to_string(),
        ]
    }
}

impl ListRow for AppliedPlanDocument {
    const COLUMNS: &'static [&'static str] = &["PLAN", "VERSION", "OUTCOME"];

    fn cells(&self) -> Vec<String> {
        let outcome = match self.outcome {
            PlanOutcome::Created => "created",
            PlanOutcome::Updated => "updated",
            PlanOutcome::Unchanged => "unchanged",
        };
        vec![self.id.to_string(), self.version.to_string(), outcome.to_owned()]
    }
}

fn charge_text(charge: &Charge, currency: &str) -> String {
    let each = |price: &UnitPrice| format!("{} {currency} per {}", price.amount, price.per);
    let tier = |tier: &Tier| {
        let reach = tier.up_to.map_or_else(|| "then".to_owned(), |units| format!("up to {units} more"));
        let fixed = tier.fixed.map(|fixed| format!("{fixed} {currency}"));
        let price = [fixed, tier.price.as_ref().map(each)].into_iter().flatten().collect::<Vec<_>>().join(" and ");
        format!("{reach} {price}")
    };
    let price = match &charge.price {
        Price::Graduated(tiers) => tiers.iter().map(tier).collect(),
        Price::PerUnit(price) => vec![format!("then {}", each(price))],
        Price::Volume(tiers) => ["all units at the price of the tier that they reach".to_owned()]
            .into_iter()
            .chain(tiers.iter().map(tier))
            .collect(),
        Price::Package(price) => vec![format!("then {} {currency} for each {} begun", price.amount, price.per)],
        Price::Percentage(Percentage { percent, unit, fixed, free_requests }) => {
            let after = if *free_requests == 0 { String::new() } else { format!(" after the first {free_requests}") };
            let fixed = fixed.map(|fixed| format!(" and {fixed} {currency} per request{after}")).unwrap_or_default();
            vec![format!("then {percent} % of {unit} {currency} per unit{fixed}")]
        }
    };
    [format!("{} units included", charge.included)].into_iter().chain(price).collect::<Vec<_>>().join(", ")
}

fn limits_text(limits: &RateLimits) -> String {
    let texts: Vec<_> = limits
        .iter()
        .map(|(window, rate)| {
            let unit = match window {
                RateWindow::Second => "s",
                RateWindow::Minute => "min",
                RateWindow::Hour => "h",
                RateWindow::Day => "day",
            };
            let burst = if rate.burst == rate.limit { String::new() } else { format!(" (burst {})", rate.burst) };
            format!("{}/{unit}{burst}", rate.limit)
        })
        .chain(limits.concurrent.map(|concurrent| format!("{concurrent} at once")))
        .collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
