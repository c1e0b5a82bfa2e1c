//! Worked cases of other billing systems and of the ISO and Stripe documentation, each with its
//! source, to the cent.

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    money::{Currency, UnitPrice},
    plan::{
        Charge, Plan, PlanLimits,
        price::{Price, Tier},
    },
    time::Micros,
    usage::{PaidBy, rollup::UsageRollup},
};
use serde::Deserialize;

use super::{Totals, rate, total};

#[derive(Deserialize)]
struct Case {
    id: String,
    source: String,
    currency: Currency,
    included: u64,
    tiers: Vec<CaseTier>,
    bills: Vec<Bill>,
}

#[derive(Deserialize)]
struct CaseTier {
    up_to: Option<u64>,
    amount: String,
    per: u64,
}

#[derive(Deserialize)]
struct Bill {
    units: u64,
    usage: String,
}

fn plan(case: &Case) -> Plan {
    let tier = |tier: &CaseTier| Tier {
        up_to: tier.up_to,
        price: Some(UnitPrice { amount: tier.amount.parse().unwrap(), per: tier.per }),
        fixed: None,
    };
    let (included, tiers) = (case.included, case.tiers.iter().map(tier).collect());
    Plan {
        id: "golden".parse().unwrap(),
        name: case.id.clone(),
        currency: case.currency,
        flat_fee: "0".into(),
        charges: vec![Charge { meter: "units".into(), included, price: Price::Graduated(tiers) }],
        billing: common::plan::BillingTerms::default(),
        quotas: Vec::new(),
        prepaid: Vec::new(),
        limits: PlanLimits::default(),
    }
}

#[test]
fn worked_cases_bill_what_their_sources_say() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../fixtures/graduated.json")).unwrap();
    assert_eq!(cases.len(), 6);
    let tenant = TenantId::from_u128(1);
    for case in cases {
        let plan = plan(&case);
        plan.validate().unwrap();
        for bill in &case.bills {
            let sum = UsageRollup {
                hour: Micros(0),
                since: Micros(0),
                tenant,
                key: KeyId::from_u128(2),
                route: "api".into(),
                meter: "units".into(),
                mode: Mode::Live,
                billable: true,
                paid: PaidBy::Charge,
                requests: 1,
                aborted: 0,
                units: bill.units,
            };
            let mut totals = Totals::default();
            totals.add(&sum).unwrap();
            let lines = rate(&plan, totals.tenant(tenant).unwrap()).unwrap();
            let billed = total(&lines, plan.currency).unwrap().digits();
            assert_eq!(billed, bill.usage, "{} of {} ({})", bill.units, case.id, case.source);
        }
    }
}
