//! Usage as `CloudEvents`: one, several, repeated, faulty, corrected; by those who may.

use common::{
    admin::{AdminArea, AdminScope, Role},
    id::TenantId,
    time::{Clock as _, Micros, Period, SystemClock, Zone},
};
use serde_json::{Value, json};

use super::fixture::{Caller, Fixture};
use crate::topic::deployments;

const PATH: &str = "/v1/usage/events";

fn event(tenant: TenantId, id: &str, units: u64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/jobs", "type": "com.example.used", "subject": tenant,
        "time": ago(0).to_string(), "data": { "meter": "requests", "units": units }, "traceparent": "00-1",
    })
}

fn ago(seconds: i64) -> Micros {
    SystemClock.now().plus_seconds(-seconds)
}

async fn units(caller: &Caller<'_>, tenant: TenantId) -> u64 {
    let from = ago(40 * 86_400);
    let report = caller.get(&format!("/v1/usage?tenant={tenant}&from={from}&step=month")).await.document(200);
    report["items"].as_array().unwrap().iter().map(|row| row["billable_units"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn events_of_every_form_are_booked_once_and_reconciled() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let single = owner.with("content-type", "application/cloudevents+json");
        let batch = owner.with("content-type", "application/cloudevents-batch+json; charset=utf-8");
        let one = event(fixture.shop, "1", 5);
        let first = single.post(PATH, one.clone()).await.document(200);
        assert_eq!((&first["booked"], &first["results"][0]["status"]), (&json!(1), &json!("booked")), "{first}");
        assert_eq!((&first["results"][0]["id"], &first["results"][0]["backfill"]), (&json!("1"), &json!(false)));
        for again in [single.post(PATH, one.clone()).await, owner.post(PATH, one.clone()).await] {
            let again = again.document(200);
            assert_eq!((&again["duplicates"], &again["results"][0]["status"]), (&json!(1), &json!("duplicate")));
        }
        let several = json!([one.clone(), event(fixture.shop, "2", 7), event(fixture.rival, "1x", 11)]);
        let booked = batch.post(PATH, several.clone()).await.document(200);
        assert_eq!((&booked["booked"], &booked["duplicates"]), (&json!(2), &json!(1)));
        assert_eq!(owner.post(PATH, several).await.document(200)["duplicates"], 3);
        assert_eq!((units(&owner, fixture.shop).await, units(&owner, fixture.rival).await), (12, 11));
        // What is reported is on the bill once.
        let time: Micros = one["time"].as_str().unwrap().parse().unwrap();
        let (url, period) = (fixture.deployment.url(), Period::containing(time, &Zone::utc()).unwrap().to_string());
        let run = ["run", "--dry-run", "--output", "json", "--store", &url, "--period", &period];
        let drafts: Value = serde_json::from_slice(&fixture.deployment.run(&run).await.stdout).unwrap();
        let invoices = drafts["invoices"].as_array().unwrap();
        let billed: u64 = invoices.iter().map(|invoice| invoice["billable_units"].as_u64().unwrap()).sum();
        assert_eq!(billed, 23, "{drafts}");
        let audit = fixture.store.reconcile(None).await.unwrap();
        assert!(audit.is_clean(), "{:?}", audit.breaches);
    }
}

#[tokio::test]
async fn faulty_events_are_told_by_field_and_keep_none_back() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let with = |id: &str, member: &str, value: Value| {
        let mut faulty = event(fixture.shop, id, 1);
        faulty[member] = value;
        faulty
    };
    let future = SystemClock.now().plus_seconds(3_600).to_string();
    let cases = [
        (with("a", "time", json!(future)), "time", "refused"),
        (with("b", "time", json!("1999-01-01T00:00:00Z")), "time", "refused"),
        (with("c", "data", json!({ "units": 1.5 })), "data.units", "refused"),
        (with("d", "data", json!({ "meter": "No" })), "data.meter", "refused"),
        (with("e", "subject", json!("Shop")), "subject", "refused"),
        (with("f", "subject", json!(TenantId::generate())), "subject", "not_found"),
        (with("g", "specversion", json!("0.3")), "specversion", "refused"),
        (json!("no event"), "event", "refused"),
    ];
    let mut events = vec![event(fixture.shop, "good", 1)];
    events.extend(cases.iter().map(|(event, ..)| event.clone()));
    events.push(event(fixture.shop, "last", 1));
    let answer = owner.post(PATH, json!(events)).await.document(207);
    assert_eq!((&answer["booked"], &answer["refused"]), (&json!(2), &json!(cases.len())), "{answer}");
    for (result, (_, field, code)) in answer["results"].as_array().unwrap()[1..].iter().zip(&cases) {
        assert_eq!(
            (&result["problem"]["field"], &result["problem"]["code"]),
            (&json!(field), &json!(code)),
            "{result}"
        );
        assert_eq!(result["status"], "refused");
    }
    assert_eq!(units(&owner, fixture.shop).await, 2);
    // One by itself is answered with the problem.
    for (event, field, code) in cases.into_iter().filter(|(event, ..)| event.is_object()) {
        let status = if code == "not_found" { 404 } else { 422 };
        assert!(owner.post(PATH, event).await.problem(status, code).starts_with(field));
    }
    let other = with("good", "data", json!({ "meter": "requests", "units": 2 }));
    assert!(owner.post(PATH, other).await.problem(409, "conflict").contains("amend"));
    let batch = owner.with("content-type", "application/cloudevents-batch+json");
    batch.post(PATH, event(fixture.shop, "x", 1)).await.problem(400, "body_invalid");
    let single = owner.with("content-type", "application/cloudevents+json");
    single.post(PATH, json!([])).await.problem(400, "body_invalid");
    owner.with("content-type", "text/plain").post(PATH, json!({})).await.problem(415, "unsupported_media_type");
    let twice = r#"{"specversion": "1.0", "specversion": "1.0"}"#.to_owned();
    owner.send(reqwest::Method::POST, PATH, Some(twice)).await.problem(400, "body_invalid");
    let many: Vec<_> = (0..1_001).map(|number| json!({ "id": number })).collect();
    owner.post(PATH, json!(many)).await.problem(422, "refused");
    assert_eq!(owner.post(PATH, json!([])).await.document(200)["results"], json!([]));
}

#[tokio::test]
async fn only_those_above_report_and_correct_usage() {
    let fixture = Fixture::open().await;
    let shop = event(fixture.shop, "1", 3);
    let own = fixture.caller(fixture.shop, Role::Owner).await;
    own.post(PATH, shop.clone()).await.problem(403, "forbidden");
    let narrowed = [AdminScope::read(AdminArea::Usage)];
    fixture
        .narrowed(fixture.root, Role::Owner, &narrowed)
        .await
        .post(PATH, shop.clone())
        .await
        .problem(403, "forbidden");
    fixture.caller(fixture.root, Role::Viewer).await.post(PATH, shop.clone()).await.problem(403, "forbidden");
    let rival = fixture.caller(fixture.rival, Role::Owner).await;
    rival.post(PATH, shop.clone()).await.problem(404, "not_found");
    let partner = fixture.caller(fixture.partner, Role::Billing).await;
    // Of a batch, the events of others are refused by themselves.
    let mixed = json!([shop, event(fixture.rival, "2", 1), event(fixture.partner, "3", 1)]);
    let answer = partner.post(PATH, mixed).await.document(207);
    let codes: Vec<_> = (0..3).map(|place| answer["results"][place]["problem"]["code"].clone()).collect();
    assert_eq!(codes, [json!(null), json!("not_found"), json!("forbidden")], "{answer}");
    let amend = json!({ "subject": fixture.shop, "source": "/jobs", "id": "1", "units": 1, "reason": "slip" });
    own.post(&format!("{PATH}/amend"), amend.clone()).await.problem(403, "forbidden");
    rival.post(&format!("{PATH}/amend"), amend.clone()).await.problem(404, "not_found");
    assert_eq!(partner.post(&format!("{PATH}/amend"), amend).await.document(200)["units"], 1);
    let listed = own.get(PATH).await.document(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");
    rival.get(&format!("{PATH}?tenant={}", fixture.shop)).await.problem(404, "not_found");
}

#[tokio::test]
async fn corrections_change_the_sum_and_are_logged() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        owner.post(PATH, json!([event(fixture.shop, "1", 100), event(fixture.shop, "2", 1)])).await.document(200);
        let named =
            |id: &str| json!({ "subject": fixture.shop, "source": "/jobs", "id": id, "reason": "counted twice" });
        let amend = |id: &str, units: Value| {
            let mut body = named(id);
            body["units"] = units;
            body
        };
        let path = format!("{PATH}/amend");
        for _ in 0..2 {
            let state = owner.post(&path, amend("1", json!(60))).await.document(200);
            assert_eq!((&state["units"], &state["corrections"]), (&json!(60), &json!(1)), "{state}");
        }
        assert_eq!(units(&owner, fixture.shop).await, 61);
        let revert = format!("{PATH}/revert");
        assert_eq!(owner.post(&revert, named("1")).await.document(200)["reverted"], true);
        assert_eq!(owner.post(&revert, named("1")).await.document(200)["corrections"], 2);
        assert_eq!(units(&owner, fixture.shop).await, 1);
        owner.post(&path, amend("1", json!(5))).await.problem(409, "conflict");
        owner.post(&path, amend("none", json!(5))).await.problem(404, "not_found");
        owner.post(&path, amend("2", json!(-1))).await.problem(400, "body_invalid");
        owner
            .post(&revert, json!({ "subject": fixture.shop, "source": "/jobs", "id": "2" }))
            .await
            .problem(400, "body_invalid");
        for (action, count) in [("usage.amend", 1), ("usage.revert", 1)] {
            let logged = owner.get(&format!("/v1/audit?action={action}")).await.document(200);
            assert_eq!(logged["items"].as_array().map(Vec::len), Some(count), "{logged}");
            assert_eq!(logged["items"][0]["after"]["reason"], "counted twice");
        }
        let page = owner.get(&format!("{PATH}?tenant={}&limit=3", fixture.shop)).await.document(200);
        let kinds: Vec<_> = page["items"].as_array().unwrap().iter().map(|row| row["kind"].clone()).collect();
        assert_eq!(kinds, ["record", "record", "amend"]);
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = owner.get(&format!("{PATH}?tenant={}&cursor={cursor}", fixture.shop)).await.document(200);
        assert_eq!((&rest["items"][0]["kind"], &rest["items"][0]["units"]), (&json!("revert"), &json!(-60)));
        assert!(fixture.store.reconcile(None).await.unwrap().is_clean());
    }
}
