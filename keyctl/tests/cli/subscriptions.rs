//! Subscriptions: a plan given to a tenant, ended, and moved to a later version.

use serde_json::json;

use crate::{fixture::text, plans::fixture_with_two_versions};

#[tokio::test]
async fn subscription_starts_and_ends_at_the_given_instant() {
    let (fixture, customer) = fixture_with_two_versions().await;
    let assign = |words: &[&str]| {
        let given = ["plan", "assign", "basic", "--tenant", &customer];
        fixture.json(&[&given[..], words].concat())
    };
    let first = assign(&["--version", "1"]);
    assert_eq!((&first["plan"], &first["version"]), (&json!("basic"), &json!(1)));
    assert_eq!((&first["status"], &first["ends_at"]), (&json!("current"), &json!(null)));
    assert_eq!(assign(&["--version", "1"]), first, "again, and nothing changes");

    let later = assign(&["--from", "2099-01-01T00:00Z"]);
    assert_eq!((&later["version"], &later["status"]), (&json!(2), &json!("scheduled")));
    assert_eq!(later["starts_at"], "2099-01-01T00:00:00Z");
    let at_period_end = assign(&["--from", "period-end"]);
    assert!(text(&at_period_end["starts_at"]).ends_with("-01T00:00:00Z"), "{at_period_end}");
    let plans = fixture.json(&["tenant", "plans", &customer]);
    assert_eq!(plans[0]["ends_at"], at_period_end["starts_at"]);
    assert_eq!(plans[1], at_period_end, "the change that was ahead is dropped");
    assert_eq!(plans.as_array().unwrap().len(), 2);
    assert_eq!(fixture.json(&["tenant", "show", &customer])["plan"], json!({ "id": "basic", "version": 1 }));

    let ended = fixture.json(&["plan", "end", "--tenant", &customer]);
    assert_eq!(ended.as_array().unwrap().len(), 1, "{ended}");
    assert_eq!(ended[0]["status"], "ended");
    assert_eq!(fixture.json(&["tenant", "show", &customer])["plan"], json!(null));
}

#[tokio::test]
async fn upgrade_moves_subscriptions_of_older_versions_to_the_latest() {
    let (fixture, customer) = fixture_with_two_versions().await;
    fixture.json(&["plan", "assign", "basic", "--tenant", &customer, "--version", "1"]);
    let versions = fixture.json(&["plan", "versions", "basic"]);
    let fees: Vec<_> = versions.as_array().unwrap().iter().map(|plan| &plan["flat_fee"]).collect();
    assert_eq!(fees, ["12.00", "10.00"], "the latest first");

    assert_eq!(fixture.json(&["plan", "migrate", "basic"]), json!([{ "tenant": customer }]));
    assert_eq!(fixture.json(&["plan", "migrate", "basic"]), json!([]), "nobody has an older one now");
    assert_eq!(fixture.json(&["tenant", "show", &customer])["plan"], json!({ "id": "basic", "version": 2 }));
}
