//! The price list.

use serde_json::{Value, json};

/// Plans of the root.
pub(crate) fn of_root() -> Value {
    let per_unit = |included: u64, amount: &str, per: u64| json!([{ "meter": "requests", "included": included, "per_unit": { "amount": amount, "per": per } }]);
    let prorated = json!({ "in_advance": true, "prorate": true });
    let yearly = json!({ "cycle": "year", "alignment": "anniversary", "in_advance": true, "invoice_at": "50.00" });
    let tiers = json!([
        { "up_to": 5_000, "price": { "amount": "0.01", "per": 1 } },
        { "price": { "amount": "0.005", "per": 1 } },
    ]);
    json!({ "plans": [
        team("49.00"),
        plan("scale", "USD", "199.00", &json!({}),
            &json!([{ "meter": "requests", "included": 10_000, "tiers": tiers }])),
        plan("annual", "USD", "1200.00", &yearly, &per_unit(20_000, "0.01", 1)),
        plan("basic", "EUR", "30.00", &prorated, &per_unit(1_000, "0.01", 1)),
        plan("pro", "EUR", "90.00", &prorated, &per_unit(1_000, "0.01", 1)),
        plan("yen", "JPY", "5000", &json!({}),
            &json!([{ "meter": "requests", "package": { "amount": "330", "per": 100 } }])),
        plan("bulk", "USD", "100.00", &json!({ "wholesale": true }), &per_unit(0, "0.70", 1_000)),
    ] })
}

/// The plan `team` with a higher fee.
pub(crate) fn dearer() -> Value {
    json!({ "plans": [team("59.00")] })
}

fn team(fee: &str) -> Value {
    plan("team", "USD", fee, &json!({}), &per_unit(1_000, "0.02", 1))
}

/// The plan of the reseller.
pub(crate) fn of_reseller() -> Value {
    json!({ "plans": [plan("retail", "USD", "20.00", &json!({}), &per_unit(10_000, "2.00", 1_000))] })
}

fn per_unit(included: u64, amount: &str, per: u64) -> Value {
    json!([{ "meter": "requests", "included": included, "per_unit": { "amount": amount, "per": per } }])
}

fn plan(id: &str, currency: &str, fee: &str, billing: &Value, charges: &Value) -> Value {
    json!({ "id": id, "name": id, "currency": currency, "flat_fee": fee, "billing": billing, "charges": charges })
}
