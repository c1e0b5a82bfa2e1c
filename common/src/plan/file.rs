//! Reading `config/plans.yaml`.

use std::collections::HashSet;

use serde::Deserialize;

use super::Plan;
use crate::config::{ConfigError, Document, Fault, Place, Step, Tree};

/// The content of `config/plans.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Every plan on offer.
    pub plans: Vec<Plan>,
}

impl PlanFile {
    /// Reads and checks a plan file as a whole; `file` names it in errors. Everything that is wrong
    /// with it is told.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let mut document = Document::new(text, file);
        let parsed: Option<Self> = document.read();
        let faults = parsed.as_ref().map_or_else(Vec::new, |parsed| parsed.faults(document.tree()));
        document.refuse(faults)?;
        parsed.ok_or_else(|| ConfigError::Fault(Place::START.fault("there are no plans")))
    }

    /// Returns the faults of plans that can be read, at their places.
    fn faults(&self, tree: &Tree) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut seen = HashSet::new();
        for (index, plan) in self.plans.iter().enumerate() {
            let plan_way = [Step::from("plans"), Step::from(index)];
            let fault = |way: &[Step], reason: String| {
                let (way, field) = match way {
                    [way @ .., Step::Key(field)] => (way, field.as_str()),
                    way => (way, ""),
                };
                let whole: Vec<Step> = plan_way.iter().chain(way).cloned().collect();
                tree.place(&whole, field, None).fault(format!("plan `{}`: {reason}", plan.id))
            };
            if !seen.insert(plan.id.as_str()) {
                faults.push(fault(&[Step::from("id")], "it is defined twice".into()));
            }
            // Of a plan that was not read whole, only that is told.
            if !tree.has_removed(&plan_way) {
                faults.extend(plan.faults().into_iter().map(|(way, error)| fault(&way, error.to_string())));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RateLimit;

    const PLAN: &str = "
plans:
  - id: growth
    name: Growth
    currency: USD
    flat_fee: '99.00'
    charges:
      - meter: requests
        included: 2000000
        tiers:
          - { price: { amount: '4.00', per: 1000000 } }
    limits:
      tenant: { per_second: { limit: 200, burst: 400 }, per_minute: 6000 }
";

    fn refusal(text: &str) -> String {
        PlanFile::parse(text, "plans.yaml").unwrap_err().to_string()
    }

    #[test]
    fn shipped_plans_are_valid() {
        let text = include_str!("../../../config/plans.yaml");
        let ids: Vec<_> =
            PlanFile::parse(text, "plans.yaml").unwrap().plans.into_iter().map(|plan| plan.id.0).collect();
        assert_eq!(ids, ["free", "starter", "growth", "business", "enterprise"]);
    }

    #[test]
    fn limit_parses_with_and_without_burst() {
        let plan = PlanFile::parse(PLAN, "plans.yaml").unwrap().plans.remove(0);
        assert_eq!(plan.limits.tenant.per_second, Some(RateLimit { limit: 200, burst: 400 }));
        assert_eq!(plan.limits.tenant.per_minute, Some(RateLimit { limit: 6_000, burst: 6_000 }));
        assert_eq!(plan.limits.key.per_day, None);
    }

    #[test]
    fn stored_plan_reads_back() {
        let pooled = PLAN.replace("6000 }", "6000, concurrent: 5 }\n      pool: { per_hour: 9 }");
        for text in [PLAN, &pooled] {
            let plan = PlanFile::parse(text, "plans.yaml").unwrap().plans.remove(0);
            let stored = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
            assert_eq!(stored.contains("pool"), text == pooled, "plans without a pool stay the same version: {stored}");
        }
    }

    #[test]
    fn quota_is_hard_by_default_and_excludes_prepaid_meter() {
        let with = |lines: &str| PLAN.replace("    limits:", &format!("    {lines}\n    limits:"));
        let quotas = with("quotas: [{ meter: tokens, per_month: 5 }, { meter: bytes, per_month: 6, kind: soft }]");
        let plan = PlanFile::parse(&quotas, "plans.yaml").unwrap().plans.remove(0);
        assert_eq!(plan.quotas.iter().map(|quota| quota.kind.is_hard()).collect::<Vec<_>>(), [true, false]);
        let stored = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
        assert!(!stored.contains("hard"), "plans of before there were kinds stay the same version: {stored}");

        let prepaid = PlanFile::parse(&with("prepaid: [tokens]"), "plans.yaml").unwrap().plans.remove(0);
        assert_eq!(prepaid.prepaid, ["tokens"]);
        for (lines, reason) in [
            ("prepaid: [requests]", "is prepaid and has a charge as well"),
            ("prepaid: [tokens, tokens]", "more than one prepaid"),
            ("prepaid: [tokens]\n    quotas: [{ meter: tokens, per_month: 5 }]", "is prepaid and has a quota as well"),
            ("prepaid: [Not a meter]", "is not a meter name"),
            ("quotas: [{ meter: tokens, per_month: 5, kind: firm }]", "kind"),
            ("quotas: [{ meter: tokens, per_month: -5 }]", "per_month"),
        ] {
            let refused = refusal(&with(lines));
            assert!(refused.contains(reason), "{lines}: {refused}");
        }
    }

    /// Each fault, without the line that it shows.
    fn told(text: &str) -> Vec<String> {
        refusal(text).lines().filter(|line| line.starts_with("plans.yaml:")).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn each_plan_fault_is_reported_at_its_place() {
        let zero = PLAN.replace("6000 }", "0 }");
        let twice = PLAN.to_owned() + &PLAN.replace("\nplans:", "");
        let pool = PLAN.replace("tenant: {", "pool: {").replace("6000 }", "6000, per_hour: 36000000001 }");
        for (text, expected) in [
            (twice, "plans.yaml:15:9: plan `growth`: it is defined twice"),
            (PLAN.replace("'4.00'", "4.00"), "plans.yaml:11:32: `amount`: "),
            (
                PLAN.replace("included:", "includes:"),
                "plans.yaml:9:9: `includes` is not a setting here; did you mean `included`?",
            ),
            (zero, "plans.yaml:13:69: plan `growth`: limits.tenant.per_minute: limit and burst must be at least 1"),
            (PLAN.replace("6000 }", "-5 }"), "plans.yaml:13:69: "),
            (pool, "plans.yaml:13:83: plan `growth`: limits.pool.per_hour: limit and burst may be"),
            (
                PLAN.replace("6000 }", "6000, concurrent: 0 }"),
                "plans.yaml:13:87: plan `growth`: limits.tenant.concurrent: must be at least 1",
            ),
            (PLAN.replace("6000 }", "99999999999999999999 }"), "plans.yaml:13:69: "),
            (PLAN.replace("99.00", "99.001"), "plans.yaml:6:15: plan `growth`: flat_fee: "),
            (
                PLAN.replace("per: 1000000", "per: 0"),
                "plans.yaml:11:45: plan `growth`: charge on meter `requests`: tier 1: `per` is 0",
            ),
            (
                PLAN.replace("{ price", "{ up_to: 5, price"),
                "plans.yaml:11:22: plan `growth`: charge on meter `requests`: the last tier",
            ),
            (PLAN.replace("USD", "XAU"), "plans.yaml:5:15: plan `growth`: currency XAU: "),
            (
                PLAN.replace("requests", "Not a meter"),
                "plans.yaml:8:16: plan `growth`: `Not a meter` is not a meter name",
            ),
            (String::new(), "plans.yaml:1:1: "),
        ] {
            let told = told(&text);
            assert!(told.len() == 1 && told[0].starts_with(expected), "expected `{expected}`: {}", refusal(&text));
        }
    }

    #[test]
    fn all_plan_faults_are_reported_at_once() {
        let text = PLAN
            .replace("USD", "XAU")
            .replace("included", "inclded")
            .replace("tenant: { per_second: { limit: 200, burst: 400 }", "tenant: { per_second: 0, per_day: 0");
        let refused = refusal(&(text + &PLAN.replace("\nplans:", "").replace("99.00", "-1.00")));
        let places: Vec<_> =
            refused.lines().filter_map(|line| line.strip_prefix("plans.yaml:")?.split(": ").next()).collect();
        assert_eq!(places, ["5:15", "9:9", "13:29", "13:41", "15:9", "18:15"], "{refused}");
        assert!(refused.contains("\n     9 |         inclded: 2000000\n       |         ^^^^^^^\n"), "{refused}");
    }
}
