//! Usage that is recorded as events, and its corrections; alike on the store and through the API.

use common::time::{Clock as _, SystemClock};
use serde_json::json;

use crate::fixture::{Fixture, text};

/// The words of a command on the usage of a tenant.
fn usage<'a>(tenant: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["usage"], words, &["--tenant", tenant]].concat()
}

#[tokio::test]
async fn event_is_recorded_once_and_corrected() {
    let fixture = Fixture::new().await;
    let tenant = fixture.root();
    let record = ["record", "--meter", "tokens", "--units", "120", "--source", "jobs", "--id", "17"];
    let time = SystemClock.now().plus_seconds(-3_600).to_string();
    let timed = [&record[..], &["--time", &time]].concat();
    assert_eq!(fixture.json(&usage(&tenant, &timed))["status"], "booked");
    assert_eq!(fixture.json(&usage(&tenant, &timed))["status"], "duplicate");
    assert_eq!(fixture.keyctl(&usage(&tenant, &record)).code, 4, "another time is another content");
    let unnamed = fixture.json(&usage(&tenant, &["record", "--meter", "tokens", "--test"]));
    assert_eq!((&unnamed["source"], text(&unnamed["id"]).len()), (&json!("keyctl"), 26));
    for faulty in [
        &["record", "--meter", "No"][..],
        &["record", "--meter", "a", "--time", "1999-01-01T00:00:00Z"],
        &["record", "--meter", "a", "--units", "9000000000000000"],
    ] {
        assert_eq!(fixture.keyctl(&usage(&tenant, faulty)).code, 4, "{faulty:?}");
    }
    assert_eq!(fixture.keyctl(&usage(&tenant, &["record", "--meter", "a", "--units", "1.5"])).code, 2);

    let event = ["--source", "jobs", "--id", "17", "--reason", "counted twice"];
    let amended = fixture.json(&usage(&tenant, &[&["amend", "--units", "60"], &event[..]].concat()));
    assert_eq!((&amended["units"], &amended["corrections"]), (&json!(60), &json!(1)));
    let shown = fixture.json(&["usage", "report", "--tenant", &tenant, "--by", "meter"]);
    assert_eq!(shown.as_array().unwrap().iter().map(|row| row["billable_units"].as_u64().unwrap()).sum::<u64>(), 60);
    let reverted = fixture.json(&usage(&tenant, &[&["revert"], &event[..]].concat()));
    assert_eq!((&reverted["units"], &reverted["reverted"]), (&json!(0), &json!(true)));
    assert_eq!(fixture.keyctl(&usage(&tenant, &[&["amend", "--units", "1"], &event[..]].concat())).code, 4);
    let missing = usage(&tenant, &["revert", "--id", "18", "--reason", "none"]);
    assert_eq!(fixture.keyctl(&missing).code, 3);

    let events = fixture.json(&usage(&tenant, &["events"]));
    let units: Vec<_> = events.as_array().unwrap().iter().map(|row| row["units"].as_i64().unwrap()).collect();
    assert_eq!(units, [120, 1, -60, -60]);
    let table = fixture.keyctl(&usage(&tenant, &["events"])).stdout;
    assert!(table.contains("revert") && table.contains("counted twice"), "{table}");
    let nobody = ["usage", "record", "--meter", "a", "--tenant", "ten_01jd0000000000000000000009"];
    assert_eq!(fixture.keyctl(&nobody).code, 3);
}
