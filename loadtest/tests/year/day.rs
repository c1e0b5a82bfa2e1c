//! A day: what tenants do in the morning, what they use, and what billing does at noon.

use common::id::TenantId;
use serde_json::{Value, json};

use crate::{
    calendar::{Day, day},
    model, plans,
    tenants::{Act, Kind, LIVES, Life},
    world::{Api, Tenant, World},
};

/// The endpoint of the reseller, which takes nothing on these days of May.
const CLOSED: std::ops::RangeInclusive<i64> = 1..=2;

/// Things that are there before anybody joins: price lists, campaigns, a coupon, and somebody who
/// listens.
pub(crate) async fn begin(world: &mut World) {
    // Jobs are due from their first look on.
    world.do_jobs(Day::of(1, 1).at(8, 0), true).await;
    world.clock.set(Day::of(1, 1).at(9, 0));
    world.api.put("/v1/plans", plans::of_root()).await;
    let of_reseller = format!("/v1/plans?owner={}", world.reseller);
    world.api.put(&of_reseller, plans::of_reseller()).await;
    let details = json!({ "dunning": { "pay_at": "https://pay.example.com/{invoice}" }, "series": "ROOT" });
    world.api.put(&format!("/v1/tenants/{}/billing-details", world.root), details).await;
    world
        .api
        .post("/v1/coupons", json!({ "code": "WELCOME", "percent": "25", "duration": "periods", "periods": 3 }))
        .await;
    world.listen(&world.api, world.root, "/root").await;
    world.listen(&world.api_of_reseller, world.reseller, "/karo").await;
}

/// All of a day but its checks.
pub(crate) async fn live(world: &mut World, day: Day) {
    world.clock.set(day.at(10, 0));
    for life in &LIVES {
        for act in life.acts_on(day) {
            do_act(world, life, act, day).await;
        }
    }
    if day.date().1 == 2 {
        confirm_top_ups(world).await;
    }
    if let (5, date) = day.date() {
        world.receiver.close("/karo", CLOSED.contains(&date));
    }
    use_the_api(world, day).await;
    // Invoices are issued at five past, collected within a minute, and what follows from that in the next.
    let looks: &[i64] = if is_busy(day) { &[6, 8, 10] } else { &[10] };
    for minute in looks {
        world.do_jobs(day.at(12, *minute), is_busy(day)).await;
        world.deliver(day.at(12, minute + 1)).await;
    }
    let confirms = |life: &&Life| life.acts_on(day).any(|act| matches!(act, Act::Confirms));
    for life in LIVES.iter().filter(confirms) {
        confirm_payment(world, life, day).await;
    }
}

/// Days on which an invoice may be due: a month begins, usage comes, or somebody does something. On all
/// others the job that issues waits.
fn is_busy(day: Day) -> bool {
    matches!(day.date().1, 1 | 2 | 5 | 20) || LIVES.iter().any(|life| life.acts_on(day).next().is_some())
}

async fn use_the_api(world: &World, day: Day) {
    world.clock.set(day.at(11, 0));
    for life in &LIVES {
        let Some(units) = life.units_on(day) else { continue };
        let status = world.traffic.uses(&world.tenant(life.name).key, units).await;
        assert_eq!(status, 200, "{day} {}: a request through the gateway", life.name);
    }
    world.traffic.booked().await;
}

async fn do_act(world: &mut World, life: &Life, act: Act, day: Day) {
    if !world.tenants.contains_key(life.name) {
        let tenant = join(world, life).await;
        world.tenants.insert(life.name, tenant);
    }
    let id = world.tenant(life.name).id;
    let api = if life.kind == Kind::Retail { world.api_of_reseller.clone() } else { world.api.clone() };
    let of_tenant = |path: &str| format!("/v1/tenants/{id}/{path}");
    match act {
        Act::Joins { plan, trial_days } => {
            api.post(&of_tenant("subscriptions"), json!({ "plan": plan, "trial_days": trial_days })).await;
            // It is served once the gateway knows it.
            world.traffic.becomes(&world.tenant(life.name).key, 404, life.name).await;
        }
        Act::SavesCard(number) => save_card(world, &api, life, number).await,
        Act::CardIsStolen => world.stripe.decline(world.tenant(life.name).card.as_deref().unwrap()).await,
        Act::Takes(plan) => drop(api.post(&of_tenant("subscriptions"), json!({ "plan": plan })).await),
        Act::TakesLater(plan) => {
            api.post(&of_tenant("subscriptions"), json!({ "plan": plan, "starts": "period_end" })).await;
        }
        Act::GetsNewPrice => {
            api.put("/v1/plans", plans::dearer()).await;
            api.post("/v1/plans/team/migrate", json!({ "starts": "period_end" })).await;
        }
        Act::Pauses(until) => {
            let body = json!({ "starts": "period_end", "until": until });
            api.post(&of_tenant("subscriptions/pause"), body).await;
        }
        Act::Cancels => api.delete(&of_tenant("subscriptions?ends=period_end")).await,
        Act::Redeems(code) => drop(api.post(&of_tenant("coupons"), json!({ "code": code })).await),
        Act::Transfers => transfer(world, &api, life, day).await,
        Act::ReportsLate { units, at } => {
            let event = json!({
                "specversion": "1.0", "id": "late", "source": "https://example.com/export", "type": "requests",
                "subject": id, "time": at, "data": { "units": units },
            });
            api.post("/v1/usage/events", event).await;
        }
        Act::IsRefunded(amount) => refund(world, &api, id, amount, day).await,
        Act::PaysAhead(amount) => {
            let body = json!({ "amount": amount, "currency": "USD", "kind": "paid", "reference": "order 1" });
            api.post(&of_tenant("wallet/grants"), body).await;
        }
        Act::TopsUp { below, to } => {
            let top_up = json!({ "threshold": below, "target": to, "per_day": 1 });
            api.put(&of_tenant("wallet"), json!({ "currency": "USD", "top_up": top_up })).await;
        }
        Act::Disputes { told } => dispute(world, life, Dispute::Opens { told }, day).await,
        Act::IsDecided { won } => dispute(world, life, Dispute::Ends { won }, day).await,
        Act::IsGiven { amount, until } => {
            let body = json!({
                "amount": amount, "currency": "USD", "kind": "promotional", "reference": "gift", "expires_at": until,
            });
            api.post(&of_tenant("wallet/grants"), body).await;
        }
        Act::IsVoided => {
            let invoice = word(&world.last_invoice(id, day).await, "id");
            api.post(&format!("/v1/invoices/{invoice}/void"), json!({ "reason": "wrong address" })).await;
        }
        Act::Confirms => {}
    }
}

/// Makes a tenant with its billing details and a key. The reseller is there before.
async fn join(world: &World, life: &Life) -> Tenant {
    let (api, parent) = match life.kind {
        Kind::Customer | Kind::Reseller => (&world.api, world.root),
        Kind::Retail => (&world.api_of_reseller, world.reseller),
    };
    let id: TenantId = if life.kind == Kind::Reseller {
        world.reseller
    } else {
        let body = json!({ "name": life.name, "parent": parent, "zone": life.zone });
        word(&api.post("/v1/tenants", body).await, "id").parse().unwrap()
    };
    let percent = match life.name {
        "Clara" => Some("19"),
        "Jin" => Some("10"),
        _ => None,
    };
    let tax = percent.map(|percent| json!({ "treatment": "exclusive", "percent": percent }));
    let mut details = json!({ "email": address(life) });
    if let Some(tax) = tax {
        details["tax"] = tax;
    }
    if life.kind == Kind::Reseller {
        details["series"] = json!("KARO");
    }
    api.put(&format!("/v1/tenants/{id}/billing-details"), details).await;
    let made = api.post("/v1/keys", json!({ "tenant": id, "name": "production" })).await;
    Tenant { id, key: word(&made, "secret"), card: None }
}

pub(crate) fn address(life: &Life) -> String {
    format!("{}@{}.example", life.mailbox, life.name.to_lowercase())
}

async fn save_card(world: &mut World, api: &Api, life: &Life, number: &str) {
    let card = world.stripe.card(number).await;
    let id = world.tenant(life.name).id;
    api.post(&format!("/v1/tenants/{id}/payment-methods"), json!({ "method": card })).await;
    world.tenants.get_mut(life.name).unwrap().card = Some(card);
}

/// Pays everything that is open.
async fn transfer(world: &World, api: &Api, life: &Life, day: Day) {
    let id = world.tenant(life.name).id;
    let list = api.get(&format!("/v1/invoices?tenant={id}&status=finalized")).await;
    for invoice in list["items"].as_array().unwrap() {
        let body = json!({ "amount": invoice["open"]["amount"], "reference": format!("statement of {day}") });
        api.post(&format!("/v1/invoices/{}/payments", word(invoice, "id")), body).await;
    }
}

/// Takes back a part of the first line of the last invoice, and gives it back by the provider.
async fn refund(world: &World, api: &Api, tenant: TenantId, amount: &str, day: Day) {
    let invoice = word(&world.last_invoice(tenant, day).await, "id");
    let note = json!({ "lines": [{ "line": 0, "amount": amount }], "reason": "outage of 20 May" });
    api.post(&format!("/v1/invoices/{invoice}/credit-notes"), note).await;
    let payments = api.get(&format!("/v1/invoices/{invoice}/payments")).await;
    let payment = word(&payments["items"][0], "id");
    let refund = api.post(&format!("/v1/payments/{payment}/provider-refunds"), json!({ "amount": amount })).await;
    assert_eq!(refund["status"], "succeeded", "{refund}");
}

enum Dispute {
    Opens { told: bool },
    Ends { won: bool },
}

/// The bank takes back what the tenant has paid for the last invoice, or decides about that. If Stripe
/// tells of it, it does so twice; else the job finds it.
async fn dispute(world: &World, life: &Life, dispute: Dispute, day: Day) {
    let tenant = world.tenant(life.name).id;
    let began = if matches!(dispute, Dispute::Opens { .. }) { day } else { disputed_on(life) };
    let invoice = world.last_invoice(tenant, began).await;
    let payments = world.api.get(&format!("/v1/invoices/{}/payments", word(&invoice, "id"))).await;
    let (intent, amount) = (word(&payments["items"][0], "reference"), invoice["total"]["minor"].as_i64().unwrap());
    let currency = word(&invoice, "currency").to_lowercase();
    let movement = |id: &str, amount: i64, fee: i64| json!({ "id": id, "amount": amount, "fee": fee, "net": amount - fee, "currency": currency });
    let name = format!("dp_{}", life.name.to_lowercase());
    let mut movements = vec![movement(&format!("txn_{name}_1"), -amount, model::DISPUTE_FEE)];
    let (status, event) = match dispute {
        Dispute::Opens { told } => ("needs_response", told.then_some("charge.dispute.created")),
        Dispute::Ends { won: true } => {
            movements.push(movement(&format!("txn_{name}_2"), amount, 0));
            ("won", None)
        }
        Dispute::Ends { won: false } => ("lost", None),
    };
    let mut thing = json!({
        "id": name, "object": "dispute", "amount": amount, "currency": currency, "status": status,
        "reason": "fraudulent", "payment_intent": intent, "created": began.at(10, 0).seconds(),
        "balance_transactions": movements, "evidence_details": { "due_by": began.plus(14).at(0, 0).seconds() },
    });
    let Some(event) = event else { return world.stripe.put_thing(&thing).await };
    thing["event"] = json!(event);
    world.stripe.put_thing(&thing).await;
    world.hear(&name, event, day.at(10, 30)).await;
}

/// The day on which a tenant's bank has taken back a payment.
fn disputed_on(life: &Life) -> Day {
    let found = life.acts.iter().find(|(_, act)| matches!(act, Act::Disputes { .. }));
    found.map(|(date, _)| day(date)).expect("a dispute before its end")
}

/// The reseller has the money of the top-ups that wallets have asked for.
async fn confirm_top_ups(world: &World) {
    let Some(milo) = world.tenants.get("Milo") else { return };
    let of_wallet = format!("/v1/tenants/{}/wallet/top-ups", milo.id);
    let list = world.api_of_reseller.get(&of_wallet).await;
    for top_up in list["items"].as_array().unwrap().iter().filter(|top_up| top_up["status"] == "open") {
        let path = format!("{of_wallet}/{}/confirm", word(top_up, "id"));
        world.api_of_reseller.post(&path, json!({})).await;
    }
}

/// The payer confirms what waits for that, and Stripe tells of it, twice.
async fn confirm_payment(world: &World, life: &Life, day: Day) {
    let id = world.tenant(life.name).id;
    let open = world.api.get(&format!("/v1/invoices?tenant={id}&status=finalized")).await;
    let invoice = word(&open["items"][0], "id");
    let attempts = world.api.get(&format!("/v1/invoices/{invoice}/payment-attempts")).await;
    let attempt = &attempts["items"][0];
    assert_eq!(attempt["status"], "action_required", "{day} {}: {attempt}", life.name);
    let intent = word(attempt, "intent");
    world.stripe.confirm(&intent).await;
    world.hear(&intent, "payment_intent.succeeded", day.at(12, 20)).await;
    world.deliver(day.at(12, 21)).await;
}

fn word(document: &Value, member: &str) -> String {
    document[member].as_str().unwrap_or_else(|| panic!("no {member} in {document}")).to_owned()
}
