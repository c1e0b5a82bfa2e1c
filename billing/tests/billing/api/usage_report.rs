//! Usage reports: sums, pages, CSV.

use common::usage::{ABORTED_STATUS, UsageEntry, UsageRecord};
use serde_json::json;

use super::fixture::{Answer, Fixture};
use crate::{
    deployment::{batch, instant, request},
    topic::deployments,
};

const MARCH: &str = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z";

/// Some usage in March: of the shop, which left one of its requests, its partner and the rival.
async fn book(fixture: &Fixture) {
    let records = [
        request(fixture.shop, "2026-03-01T00:10:00Z", 1),
        UsageRecord { status: ABORTED_STATUS, ..request(fixture.shop, "2026-03-01T01:10:00Z", 2) },
        request(fixture.shop, "2026-03-02T00:10:00Z", 4),
        request(fixture.partner, "2026-03-02T00:10:00Z", 8),
        request(fixture.rival, "2026-03-02T00:10:00Z", 16),
        request(fixture.stranger, "2026-03-02T00:10:00Z", 32),
    ];
    fixture
        .store
        .book_usage(&batch(0, records.map(UsageEntry::Request)), instant("2026-03-05T00:00:00Z"))
        .await
        .unwrap();
}

fn units(answer: &Answer) -> Vec<(String, u64)> {
    let rows = answer.document(200)["items"].as_array().unwrap().clone();
    rows.iter().map(|row| (row["start"].as_str().unwrap().to_owned(), row["units"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn usage_report_sums_by_the_requested_dimensions() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        book(&fixture).await;
        let owner = fixture.owner().await;
        let month = owner.get(&format!("/v1/usage?{MARCH}&subtree=true&step=month&group_by=")).await;
        assert_eq!(units(&month), [("2026-03-01T00:00:00Z".into(), 31)], "another root's is not there");
        let days = owner.get(&format!("/v1/usage?{MARCH}&tenant={}&subtree=true", fixture.partner)).await;
        let expected = [("2026-03-01T00:00:00Z".to_owned(), 3), ("2026-03-02T00:00:00Z".to_owned(), 12)];
        assert_eq!(units(&days), expected);
        let hours = owner.get(&format!("/v1/usage?{MARCH}&tenant={}&step=hour", fixture.shop)).await;
        assert_eq!(units(&hours).len(), 3);
        let document = hours.document(200);
        let aborted = document["items"].as_array().unwrap().iter().map(|row| (&row["requests"], &row["aborted"]));
        assert_eq!(
            aborted.collect::<Vec<_>>(),
            [(&json!(1), &json!(0)), (&json!(1), &json!(1)), (&json!(1), &json!(0))]
        );
        let grouped = owner.get(&format!("/v1/usage?{MARCH}&subtree=true&step=month&group_by=tenant,mode")).await;
        let document = grouped.document(200);
        let rows = document["items"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row["tenant"].is_string() && row["mode"] == "live" && row["meter"].is_null()));
        let none = owner.get(&format!("/v1/usage?{MARCH}&subtree=true&meter=images&mode=test&route=none")).await;
        assert_eq!(units(&none), []);
    }
}

#[tokio::test]
async fn usage_report_is_paged_and_refuses_the_cursor_of_another_report() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        book(&fixture).await;
        let owner = fixture.owner().await;
        let report = format!("/v1/usage?{MARCH}&subtree=true&group_by=tenant&limit=1");
        let (mut rows, mut path) = (Vec::new(), report.clone());
        let mut cursors = Vec::new();
        loop {
            let page = owner.get(&path).await;
            rows.extend(units(&page));
            let Some(cursor) = page.document(200)["next_cursor"].as_str().map(str::to_owned) else { break };
            path = format!("{report}&cursor={cursor}");
            cursors.push(cursor);
        }
        assert_eq!(rows.iter().map(|(_, units)| units).sum::<u64>(), 31);
        assert_eq!(rows.len(), 4, "{rows:?}");
        let other = format!("/v1/usage?{MARCH}&subtree=true&group_by=key&cursor={}", cursors[0]);
        owner.get(&other).await.problem(400, "cursor_invalid");
    }
}

#[tokio::test]
async fn usage_report_can_be_csv() {
    let fixture = Fixture::open().await;
    book(&fixture).await;
    let owner = fixture.owner().await;
    let path = format!("/v1/usage?{MARCH}&tenant={}&step=month&group_by=tenant,meter", fixture.shop);
    let expected = format!(
        "start,tenant,key,route,meter,mode,requests,aborted,units,billable_units,end,zone,whole\r\n\
         2026-03-01T00:00:00Z,{},,,requests,,3,1,7,7,2026-04-01T00:00:00Z,UTC,true\r\n",
        fixture.shop
    );
    for answer in [owner.get(&format!("{path}&format=csv")).await, owner.with("accept", "text/csv").get(&path).await] {
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, expected.as_str()));
        assert!(answer.header("content-type").starts_with("text/csv"));
    }
    let first = owner.get(&format!("/v1/usage?{MARCH}&subtree=true&group_by=tenant&limit=1&format=csv")).await;
    assert!(!first.header("x-next-cursor").is_empty());
}

#[tokio::test]
async fn invalid_usage_query_is_refused_with_a_reason() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for (query, word) in [
        ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "before"),
        ("from=yesterday", "2026-11-22T01:30:00Z"),
        ("group_by=colour", "colour"),
        ("step=week", "week"),
        ("limit=0", "limit"),
        ("limit=99999", "1000"),
        ("limit=x", "invalid digit"),
        ("tenant=nobody", "ten_"),
        ("colour=red", "colour"),
        ("step=day&step=hour", "duplicate"),
    ] {
        let detail = owner.get(&format!("/v1/usage?{query}")).await.problem(400, "parameter_invalid");
        assert!(detail.contains(word), "{query}: {detail}");
    }
    let long = owner.get("/v1/usage?from=1990-01-01T00:00:00Z&step=day").await;
    assert!(long.problem(422, "refused").contains("shorter"), "{long:?}");
}
