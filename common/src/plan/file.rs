//! Reading `config/plans.yaml`.

use serde::Deserialize;

use super::{Plan, PlanError};
use crate::config::{self, ConfigError};

/// The content of `config/plans.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Every plan on offer.
    pub plans: Vec<Plan>,
}

/// Why a plan file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// Unreadable, or not the YAML that is expected.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A plan that makes no sense.
    #[error("{file}:{line}: plan `{plan}`: {reason}")]
    Plan {
        /// The file.
        file: String,
        /// The line on which the plan starts.
        line: usize,
        /// The plan's id.
        plan: String,
        /// What is wrong with it.
        reason: PlanError,
    },
    /// Two plans of one name.
    #[error("{file}:{line}: plan `{plan}` is defined twice")]
    Duplicate {
        /// The file.
        file: String,
        /// The line of the second definition.
        line: usize,
        /// The plan's id.
        plan: String,
    },
}

impl PlanFile {
    /// Reads and checks a plan file as a whole; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, PlanFileError> {
        let parsed: Self = config::parse_yaml(text, file)?;
        let mut seen = std::collections::HashSet::new();
        for plan in &parsed.plans {
            let id = plan.id.as_str();
            if !seen.insert(id) {
                let line = config::line_of(text, "id", id, 2);
                return Err(PlanFileError::Duplicate { file: file.into(), line, plan: id.into() });
            }
            plan.validate().map_err(|reason| PlanFileError::Plan {
                file: file.into(),
                line: config::line_of(text, "id", id, 1),
                plan: id.into(),
                reason,
            })?;
        }
        Ok(parsed)
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
    fn the_shipped_plans_are_valid() {
        let text = include_str!("../../../config/plans.yaml");
        let ids: Vec<_> =
            PlanFile::parse(text, "plans.yaml").unwrap().plans.into_iter().map(|plan| plan.id.0).collect();
        assert_eq!(ids, ["free", "starter", "growth", "business", "enterprise"]);
    }

    #[test]
    fn limits_are_a_number_or_a_number_with_a_burst() {
        let plan = PlanFile::parse(PLAN, "plans.yaml").unwrap().plans.remove(0);
        assert_eq!(plan.limits.tenant.per_second, Some(RateLimit { limit: 200, burst: 400 }));
        assert_eq!(plan.limits.tenant.per_minute, Some(RateLimit { limit: 6_000, burst: 6_000 }));
        assert_eq!(plan.limits.key.per_day, None);
    }

    #[test]
    fn a_stored_plan_reads_back_unchanged() {
        let pooled = PLAN.replace("6000 }", "6000, concurrent: 5 }\n      pool: { per_hour: 9 }");
        for text in [PLAN, &pooled] {
            let plan = PlanFile::parse(text, "plans.yaml").unwrap().plans.remove(0);
            let stored = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
            assert_eq!(stored.contains("pool"), text == pooled, "plans without a pool stay the same version: {stored}");
        }
    }

    #[test]
    fn a_quota_is_hard_unless_it_says_otherwise_and_credit_pays_for_all_of_a_meter() {
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

    #[test]
    fn faults_name_file_line_and_reason() {
        let twice = PLAN.to_owned() + &PLAN.replace("\nplans:", "");
        assert_eq!(refusal(&twice), "plans.yaml:15: plan `growth` is defined twice");
        let float = refusal(&PLAN.replace("'4.00'", "4.00"));
        assert!(float.starts_with("plans.yaml:11:") && float.contains("quotes"), "{float}");
        let unknown = refusal(&PLAN.replace("included:", "includes:"));
        assert!(unknown.starts_with("plans.yaml:9:") && unknown.contains("includes"), "{unknown}");
        let zero = refusal(&PLAN.replace("6000 }", "0 }"));
        assert!(zero.starts_with("plans.yaml:3: plan `growth`: limits.tenant.per_minute:"), "{zero}");
        let negative = refusal(&PLAN.replace("6000 }", "-5 }"));
        assert!(negative.contains("a whole number"), "{negative}");
        let pool = refusal(&PLAN.replace("tenant: {", "pool: {").replace("6000 }", "6000, per_hour: 36000000001 }"));
        assert!(
            pool.starts_with("plans.yaml:3: plan `growth`: limits.pool.per_hour: limit and burst may be"),
            "{pool}"
        );
        let concurrent = refusal(&PLAN.replace("6000 }", "6000, concurrent: 0 }"));
        assert!(concurrent.contains("limits.tenant.concurrent: must be at least 1"), "{concurrent}");
        let overflowing = refusal(&PLAN.replace("6000 }", "99999999999999999999 }"));
        assert!(overflowing.starts_with("plans.yaml:13:") && overflowing.contains("a whole number"), "{overflowing}");
        let fee = refusal(&PLAN.replace("99.00", "99.001"));
        assert!(fee.contains("at most 2 decimal places"), "{fee}");
        let per = refusal(&PLAN.replace("per: 1000000", "per: 0"));
        assert!(per.contains("`per` is 0"), "{per}");
        let capped = refusal(&PLAN.replace("{ price", "{ up_to: 5, price"));
        assert!(capped.contains("would have no price"), "{capped}");
    }
}
