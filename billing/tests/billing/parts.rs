//! Periods of other lengths, and what is billed before a period has ended or beside its plan.

use common::{
    coupon::{CouponDiscount, CouponDuration, NewCoupon},
    id::TenantId,
    plan::subscription::{Agreement, PlanStart},
    store::{PageRequest, Store},
    tenant::TenantKind,
};
use serde_json::Value;

use crate::{
    deployment::{Deployment, instant, request, stderr},
    issue::{book, lines, plans, run, subscribe, tenant},
};

const PER_UNIT: &str = "charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]";

/// Issues what is due at an instant.
async fn at(deployment: &Deployment, now: &str) -> Value {
    run(deployment, &["--now", now]).await
}

/// Totals of what a run has issued.
fn totals(run: &Value) -> Vec<&str> {
    run["issued"].as_array().unwrap().iter().map(|invoice| invoice["total"].as_str().unwrap()).collect()
}

async fn clean(deployment: &Deployment) {
    let audit = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert_eq!(audit.status.code(), Some(0), "{}", stderr(&audit));
}

async fn explained(deployment: &Deployment, issued: &Value) -> Value {
    let id = issued["id"].as_str().unwrap();
    let output = deployment.run(&["explain", id, "--output", "json", "--store", &deployment.url()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn acme(deployment: &Deployment, plan: &str, zone: &str) -> (Store, TenantId) {
    let (store, root) = deployment.store().await;
    plans(&store, None, &[plan]).await;
    let acme = tenant(&store, root, TenantKind::Customer, zone).await;
    (store, acme)
}

#[tokio::test]
async fn months_from_an_anniversary_are_billed_as_each_ends() {
    let deployment = Deployment::new();
    let billing = "billing: { alignment: anniversary }";
    let plan = format!("id: pro, name: Pro, currency: EUR, flat_fee: '10.00', {billing}, {PER_UNIT}");
    let (store, acme) = acme(&deployment, &plan, "Europe/Berlin").await;
    // The 31st of January at noon in Berlin.
    subscribe(&store, acme, "pro", "2026-01-31T11:00:00Z").await;
    let used = [
        request(acme, "2026-02-28T10:59:59.999999Z", 5),
        request(acme, "2026-02-28T11:00:00Z", 7),
        request(acme, "2026-03-31T09:59:59.999999Z", 1),
    ];
    book(&store, 0, used.into()).await;
    assert_eq!(totals(&at(&deployment, "2026-02-28T11:59:59Z").await), [""; 0], "an hour of grace");
    let february = at(&deployment, "2026-02-28T12:00:00Z").await;
    assert_eq!(totals(&february), ["15.00"]);
    let again = at(&deployment, "2026-03-05T12:00:00Z").await;
    assert_eq!((totals(&again), again["before"][0]["id"].clone()), (vec![], february["issued"][0]["id"].clone()));
    assert_eq!(totals(&at(&deployment, "2026-03-31T11:00:00Z").await), ["18.00"]);
    assert_eq!(explained(&deployment, &february["issued"][0]).await["from_booked_usage"], "same");
    clean(&deployment).await;
}

#[tokio::test]
async fn change_from_months_to_a_year_cuts_the_month() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let monthly = "id: monthly, name: Monthly, currency: EUR, flat_fee: '31.00', billing: { prorate: true }";
    let cycle = "billing: { prorate: true, cycle: year, alignment: anniversary }";
    let yearly = format!("id: yearly, name: Yearly, currency: EUR, flat_fee: '365.00', {cycle}");
    plans(&store, None, &[monthly, &yearly]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    subscribe(&store, acme, "monthly", "2026-03-01T00:00:00Z").await;
    subscribe(&store, acme, "yearly", "2026-03-11T00:00:00Z").await;
    let march = at(&deployment, "2026-03-12T00:00:00Z").await;
    let part = "Monthly, flat fee from 2026-03-01T00:00:00Z up to 2026-03-11T00:00:00Z".to_owned();
    assert_eq!(lines(&store, &march["issued"][0]).await, [(part, 1_000)]);
    assert_eq!(explained(&deployment, &march["issued"][0]).await["from_frozen_usage"], "same");
    assert_eq!(totals(&at(&deployment, "2026-04-02T00:00:00Z").await), [""; 0]);
    assert_eq!(totals(&at(&deployment, "2027-03-12T00:00:00Z").await), ["365.00"]);
    clean(&deployment).await;
}

#[tokio::test]
async fn fees_in_advance_are_billed_as_the_period_begins_and_once() {
    let deployment = Deployment::new();
    let billing = "billing: { in_advance: true, prorate: true }";
    let plan = format!("id: pro, name: Pro, currency: EUR, flat_fee: '30.00', {billing}, {PER_UNIT}");
    let big = format!("id: big, name: Big, currency: EUR, flat_fee: '90.00', {billing}, {PER_UNIT}");
    let (store, root) = deployment.store().await;
    plans(&store, None, &[&plan, &big]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    subscribe(&store, acme, "pro", "2026-04-01T00:00:00Z").await;
    let first = at(&deployment, "2026-04-01T00:00:00Z").await;
    assert_eq!(totals(&first), ["30.00"]);
    assert_eq!(explained(&deployment, &first["issued"][0]).await["from_frozen_usage"], "same");
    assert_eq!(totals(&at(&deployment, "2026-04-02T00:00:00Z").await), [""; 0]);
    let void = async |issued: &Value| {
        let id = issued["issued"][0]["id"].as_str().unwrap().parse().unwrap();
        store.void_invoice(id, "a slip", instant("2026-06-02T00:00:00Z")).await
    };
    void(&first).await.unwrap();
    let first = at(&deployment, "2026-04-03T00:00:00Z").await;
    assert_eq!(totals(&first), ["30.00"], "a void part is billed anew");
    book(&store, 0, vec![request(acme, "2026-04-10T00:00:00Z", 5)]).await;
    // Half of April: 45 for the one, less half of what was paid for the other.
    subscribe(&store, acme, "big", "2026-04-16T00:00:00Z").await;
    let closed = at(&deployment, "2026-05-01T01:00:00Z").await;
    let expected = [
        ("Big, flat fee from 2026-04-16T00:00:00Z up to 2026-05-01T00:00:00Z", 4_500),
        ("Pro, flat fee from 2026-04-01T00:00:00Z up to 2026-04-16T00:00:00Z", 1_500),
        ("fees that were billed in advance", -3_000),
        ("requests: from 1 on", 500),
        ("Big, flat fee (in advance)", 9_000),
    ];
    assert_eq!(lines(&store, &closed["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    let explanation = explained(&deployment, &closed["issued"][0]).await;
    assert_eq!(
        (&explanation["from_frozen_usage"], &explanation["from_booked_usage"]),
        (&"same".into(), &"same".into())
    );
    store.end_subscription(acme, PlanStart::PeriodEnd, instant("2026-05-10T00:00:00Z")).await.unwrap();
    book(&store, 1, vec![request(acme, "2026-04-30T00:00:00Z", 2), request(acme, "2026-05-20T00:00:00Z", 1)]).await;
    let last = at(&deployment, "2026-06-01T01:00:00Z").await;
    let expected = [("requests: from 1 on", 100), ("requests: from 1 on (late)", 200)];
    assert_eq!(lines(&store, &last["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    for taken in [&first, &closed] {
        let refused = void(taken).await.unwrap_err();
        assert!(refused.to_string().contains("as billed: void that one first"), "{refused}");
    }
    clean(&deployment).await;
}

#[tokio::test]
async fn usage_that_comes_to_the_threshold_is_billed_before_the_period_has_ended() {
    let deployment = Deployment::new();
    let charge = "charges: [{ meter: requests, included: 10, tiers: [{ up_to: 50, price: { amount: '1', per: 1 } }, \
                  { price: { amount: '0.10', per: 1 } }] }]";
    let plan =
        format!("id: pro, name: Pro, currency: EUR, flat_fee: '5.00', billing: {{ invoice_at: '20.00' }}, {charge}");
    let (store, acme) = acme(&deployment, &plan, "UTC").await;
    subscribe(&store, acme, "pro", "2026-04-01T00:00:00Z").await;
    book(&store, 0, vec![request(acme, "2026-04-02T00:00:00Z", 29)]).await;
    assert_eq!(totals(&at(&deployment, "2026-04-03T00:00:00Z").await), [""; 0], "19.00 is not enough");
    book(&store, 1, vec![request(acme, "2026-04-04T00:00:00Z", 6)]).await;
    let part = at(&deployment, "2026-04-05T00:00:00Z").await;
    assert_eq!(totals(&part), ["25.00"]);
    assert_eq!(explained(&deployment, &part["issued"][0]).await["from_frozen_usage"], "same");
    assert_eq!(totals(&at(&deployment, "2026-04-05T01:00:00Z").await), [""; 0]);
    // 25 units are left of the first tier: later units go on where the earlier ones ended.
    book(&store, 2, vec![request(acme, "2026-04-20T00:00:00Z", 35)]).await;
    let second = at(&deployment, "2026-04-21T00:00:00Z").await;
    assert_eq!(totals(&second), ["26.00"]);
    book(&store, 3, vec![request(acme, "2026-04-29T00:00:00Z", 10)]).await;
    let closed = at(&deployment, "2026-05-02T00:00:00Z").await;
    let expected = [("Pro, flat fee", 500), ("requests: from 61 on", 100)];
    assert_eq!(lines(&store, &closed["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    let explanation = explained(&deployment, &closed["issued"][0]).await;
    assert_eq!(
        (&explanation["from_frozen_usage"], &explanation["from_booked_usage"]),
        (&"same".into(), &"same".into())
    );
    clean(&deployment).await;
}

#[tokio::test]
async fn coupons_and_add_ons_are_on_the_bills_of_their_time() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let plan = format!("id: pro, name: Pro, currency: EUR, flat_fee: '30.00', {PER_UNIT}");
    let seat = "id: seat, name: Seat, currency: EUR, flat_fee: '10.00', billing: { prorate: true }";
    plans(&store, None, &[&plan, seat]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    let start = instant("2026-04-01T00:00:00Z");
    subscribe(&store, acme, "pro", "2026-04-01T00:00:00Z").await;
    let coupon = |code: &str, discount, duration, meter: Option<&str>| NewCoupon {
        issuer: None,
        code: code.into(),
        discount,
        duration,
        plans: vec!["pro".parse().unwrap()],
        meter: meter.map(str::to_owned),
        redeem_by: None,
        max_redemptions: Some(1),
    };
    let amount = CouponDiscount::Amount(common::money::Money::from_minor(4_000, common::money::Currency::EUR));
    let half = CouponDiscount::Percent(50.into());
    store.create_coupon(&coupon("START", amount, CouponDuration::Once, None), start).await.unwrap();
    store.create_coupon(&coupon("HALF", half, CouponDuration::Periods(2), Some("requests")), start).await.unwrap();
    // In the order in which they were redeemed, each on what the one before has left.
    store.redeem_coupon(acme, "START", start).await.unwrap();
    store.redeem_coupon(acme, "HALF", start.plus_seconds(1)).await.unwrap();
    let (seat, quantity) = ("seat".parse().unwrap(), 3);
    let middle = instant("2026-04-16T00:00:00Z");
    store.set_add_on(acme, &seat, quantity, PlanStart::At(middle), start).await.unwrap();
    book(&store, 0, vec![request(acme, "2026-04-20T00:00:00Z", 8), request(acme, "2026-06-20T00:00:00Z", 8)]).await;
    let april = at(&deployment, "2026-05-02T00:00:00Z").await;
    let expected = [
        ("Pro, flat fee", 3_000),
        ("3 x Seat, add-on from 2026-04-16T00:00:00Z up to 2026-05-01T00:00:00Z", 1_500),
        ("requests: from 1 on", 800),
        ("coupon START", -3_396),
        ("requests: coupon START", -604),
        ("requests: coupon HALF", -98),
    ];
    assert_eq!(lines(&store, &april["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    assert_eq!(explained(&deployment, &april["issued"][0]).await["from_booked_usage"], "same");
    assert_eq!(totals(&at(&deployment, "2026-06-02T00:00:00Z").await), ["60.00"], "nothing is used in May");
    store.set_add_on(acme, &seat, 0, PlanStart::PeriodEnd, instant("2026-06-10T00:00:00Z")).await.unwrap();
    assert_eq!(totals(&at(&deployment, "2026-07-02T00:00:00Z").await), ["68.00"], "both coupons are over");
    assert_eq!(totals(&at(&deployment, "2026-08-02T00:00:00Z").await), ["30.00"]);
    let other = tenant(&store, root, TenantKind::Customer, "UTC").await;
    let refused = store.redeem_coupon(other, "START", middle).await.unwrap_err();
    assert!(refused.to_string().contains("redeemed 1 times, which is the most"), "{refused}");
    let refused = store.set_add_on(acme, &"pro".parse().unwrap(), 1, PlanStart::Now, middle).await.unwrap_err();
    assert!(refused.to_string().contains("more than a flat fee"), "{refused}");
    clean(&deployment).await;
}

#[tokio::test]
async fn paused_subscription_owes_usage_and_no_fee() {
    let deployment = Deployment::new();
    let plan =
        format!("id: pro, name: Pro, currency: EUR, flat_fee: '30.00', billing: {{ prorate: true }}, {PER_UNIT}");
    let (store, acme) = acme(&deployment, &plan, "UTC").await;
    subscribe(&store, acme, "pro", "2026-04-01T00:00:00Z").await;
    let (pause, until) = (instant("2026-04-11T00:00:00Z"), instant("2026-05-21T00:00:00Z"));
    store.pause_subscription(acme, PlanStart::Now, Some(until), pause).await.unwrap();
    book(&store, 0, vec![request(acme, "2026-04-20T00:00:00Z", 4)]).await;
    let april = at(&deployment, "2026-05-02T00:00:00Z").await;
    let expected =
        [("Pro, flat fee from 2026-04-01T00:00:00Z up to 2026-04-11T00:00:00Z", 1_000), ("requests: from 1 on", 400)];
    assert_eq!(lines(&store, &april["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    // It goes on earlier than was said: 16 of 31 days.
    store.resume_subscription(acme, PlanStart::Now, instant("2026-05-16T00:00:00Z")).await.unwrap();
    assert_eq!(totals(&at(&deployment, "2026-06-02T00:00:00Z").await), ["15.48"]);
    let refused = store.pause_subscription(acme, PlanStart::Now, Some(pause), until).await.unwrap_err();
    assert!(refused.to_string().starts_with("until: "), "{refused}");
    clean(&deployment).await;
}

#[tokio::test]
async fn day_of_the_month_is_agreed_on_per_subscription() {
    let deployment = Deployment::new();
    let plan =
        format!("id: pro, name: Pro, currency: EUR, flat_fee: '28.00', billing: {{ prorate: true }}, {PER_UNIT}");
    let (store, acme) = acme(&deployment, &plan, "UTC").await;
    let agreement = Agreement { anchor_day: Some(15), ..Agreement::default() };
    let (plan, start) = ("pro".parse().unwrap(), instant("2026-02-01T00:00:00Z"));
    store.assign_plan_by(acme, &plan, None, PlanStart::Now, &agreement, start).await.unwrap();
    // The first period is a part of the one from the 15th of January: 14 of 31 days.
    assert_eq!(totals(&at(&deployment, "2026-02-15T01:00:00Z").await), ["12.65"]);
    assert_eq!(totals(&at(&deployment, "2026-03-15T01:00:00Z").await), ["28.00"]);
    let end = store.subscription_if_assigned(acme, &plan, None, PlanStart::PeriodEnd, instant("2026-03-20T00:00:00Z"));
    assert_eq!(end.await.unwrap().starts_at, instant("2026-04-15T00:00:00Z"));
    let refused = Agreement { anchor_day: Some(32), ..Agreement::default() };
    let refused = store.assign_plan_by(acme, &plan, None, PlanStart::Now, &refused, start).await.unwrap_err();
    assert!(refused.to_string().starts_with("anchor_day: "), "{refused}");
    let page = PageRequest { after: None, limit: 10 };
    assert_eq!(store.invoices(common::invoice::InvoiceFilter::default(), page).await.unwrap().items.len(), 2);
}
