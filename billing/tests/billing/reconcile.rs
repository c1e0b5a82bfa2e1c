//! `billing audit` and `billing dead-letters`: the books prove themselves, and say where they do
//! not.

use common::{
    id::TenantId,
    ledger::{Account, Cause, CauseKind, Posting},
    money::{Currency, Money},
    usage::{booking::Booking, dead_letters::NewDeadLetter},
};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::{
    deployment::{Deployment, batch, customer, instant, request, stderr, stdout},
    topic::ten_requests,
};

async fn audit(deployment: &Deployment, arguments: &[&str]) -> (Option<i32>, Value) {
    let output =
        deployment.run(&[&["audit", "--output", "json", "--store", &deployment.url()], arguments].concat()).await;
    (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap())
}

async fn execute(deployment: &Deployment, statement: &'static str) {
    let mut connection = sqlx::SqliteConnection::connect(&deployment.url()).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn books_in_order_are_reported_clean() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    store.book_usage(&ten_requests(0, tenant, 0), instant("2026-11-10T12:00:01Z")).await.unwrap();
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["clean"], &report["breaches"]), (Some(0), &json!(true), &json!([])), "{report}");
    assert_eq!(report["streams"][0]["acknowledged"], 10);
    assert_eq!(report["streams"][0]["recorded"]["requests"], 10);
    assert_eq!(report["periods"][0]["rolled_up"]["requests"], 10);
    let table = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert!(stdout(&table).ends_with("The books are in order.\n"), "{}", stdout(&table));
}

#[tokio::test]
async fn every_manipulation_of_the_books_is_found() {
    for tampering in [
        "UPDATE usage_hourly SET requests = requests + 1",
        "UPDATE usage_hourly SET units = units + 1",
        "UPDATE usage_hourly SET aborted = aborted + 1",
        "UPDATE usage_records SET status = 499 WHERE seq = 3",
        "DELETE FROM usage_records WHERE seq = 3",
        "UPDATE usage_records SET units = 7 WHERE seq = 3",
        "UPDATE usage_streams SET next_seq = next_seq + 1",
    ] {
        let deployment = Deployment::new();
        let (store, root) = deployment.store().await;
        store.book_usage(&ten_requests(0, root, 0), instant("2026-11-10T12:00:01Z")).await.unwrap();
        assert_eq!(audit(&deployment, &[]).await.0, Some(0));
        execute(&deployment, tampering).await;
        let (exit_code, report) = audit(&deployment, &[]).await;
        assert_eq!((exit_code, &report["clean"]), (Some(1), &json!(false)), "{tampering}: {report}");
        assert!(!report["breaches"].as_array().unwrap().is_empty(), "{tampering}: {report}");
        let table = deployment.run(&["audit", "--store", &deployment.url()]).await;
        let breach = report["breaches"][0]["text"].as_str().unwrap();
        assert!(stdout(&table).contains(breach), "{breach} in {}", stdout(&table));
        assert!(stderr(&table).contains("the books are not in order"), "{}", stderr(&table));
    }
}

#[tokio::test]
async fn posting_that_does_not_balance_is_found() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let amount = |minor| Money::from_minor(minor, Currency::USD);
    let entries = [(Account::Receivable, amount(119)), (Account::Revenue, amount(-119))];
    let cause = Cause { kind: CauseKind::Invoice, id: "inv_1".into() };
    let posting = Posting::new((root, root), "invoice:1", cause, instant("2026-11-10T12:00:01Z"), &entries);
    store.post(&posting.unwrap()).await.unwrap();
    assert_eq!(audit(&deployment, &[]).await.0, Some(0));
    execute(&deployment, "INSERT INTO ledger_entries SELECT seq, 2, 'tax', -19 FROM ledger_postings").await;
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["ledger"][0]["key"]), (Some(1), &json!("invoice:1")), "{report}");
    let table = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert!(stdout(&table).contains("(`invoice:1`) has 3 entries that sum to -0.19 USD"), "{}", stdout(&table));
    assert!(stderr(&table).contains("1 postings of the ledger do not balance"), "{}", stderr(&table));
}

#[tokio::test]
async fn period_is_reconciled_on_the_tenants_clock() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let auckland = customer(&store, root, "Kiwi", "Pacific/Auckland", "growth").await.id;
    // November has begun in Auckland only.
    let early = request(auckland, "2026-10-31T12:30:00Z", 1);
    let late = request(root, "2026-10-31T12:30:00Z", 1);
    let usage = batch(0, [early, late].map(common::usage::UsageEntry::Request));
    store.book_usage(&usage, instant("2026-11-10T12:00:01Z")).await.unwrap();
    let (exit_code, report) = audit(&deployment, &["--period", "2026-11"]).await;
    assert_eq!(exit_code, Some(0), "{report}");
    let tenants: Vec<_> = report["periods"].as_array().unwrap().iter().map(|period| &period["tenant"]).collect();
    assert_eq!(tenants, [&json!(auckland)]);
}

#[tokio::test]
async fn usage_of_unknown_tenants_and_open_gaps_are_named() {
    let deployment = Deployment::new();
    let (store, _root) = deployment.store().await;
    let stranger = TenantId::from_u128(99);
    store.book_usage(&ten_requests(0, stranger, 5), instant("2026-11-10T12:00:01Z")).await.unwrap();
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!(exit_code, Some(1), "{report}");
    assert_eq!(report["unknown_tenants"][0]["tenant"], json!(stranger));
    assert_eq!((&report["open_gaps"][0]["from"], &report["open_gaps"][0]["to"]), (&json!(0), &json!(5)));
    store.book_usage(&ten_requests(0, stranger, 0), instant("2026-11-10T12:00:02Z")).await.unwrap();
    assert_eq!(audit(&deployment, &[]).await.0, Some(0));
}

#[tokio::test]
async fn accepted_gap_leaves_the_books_in_order() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    store.book_usage(&ten_requests(0, root, 5), instant("2026-11-10T12:00:01Z")).await.unwrap();
    let (url, stream) = (deployment.url(), ten_requests(0, root, 0).stream.to_string());
    let gaps = async |arguments: &[&str]| {
        let output = deployment.run(&[&["gaps"], arguments, &["--output", "json", "--store", &url]].concat()).await;
        (output.status.code(), stderr(&output), stdout(&output))
    };
    assert_eq!(gaps(&["accept", &stream, "0..5", "--by", "ada"]).await.0, Some(2), "a reason is needed");
    let wrong = gaps(&["accept", &stream, "0..4", "--by", "ada", "--reason", "gone"]).await;
    assert!(wrong.0 == Some(1) && wrong.1.contains("0..4 is not a gap"), "{wrong:?}");
    assert_eq!(audit(&deployment, &[]).await.0, Some(1));

    let settled = gaps(&["settle", &stream, "0..5", "--by", "ada", "--reason", "disk gone"]).await;
    assert_eq!(settled.0, Some(0), "{settled:?}");
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["open_gaps"]), (Some(0), &json!([])), "{report}");
    let settled = &report["settled_gaps"][0];
    assert_eq!((&settled["from"], &settled["to"]), (&json!(0), &json!(5)));
    assert_eq!((&settled["settled"]["by"], &settled["settled"]["reason"]), (&json!("ada"), &json!("disk gone")));
    let table = stdout(&deployment.run(&["audit", "--store", &url]).await);
    assert!(table.contains("Accepted gaps:") && table.contains("by ada: disk gone"), "{table}");
    let listed: Value = serde_json::from_str(&gaps(&["list"]).await.2).unwrap();
    assert_eq!(&listed[0], settled);

    // What turns up after all is booked; that it was accepted stays written.
    store.book_usage(&ten_requests(0, root, 0), instant("2026-11-10T12:00:02Z")).await.unwrap();
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["settled_gaps"]), (Some(0), &json!([])), "{report}");
    let written: Value = serde_json::from_str(&gaps(&["settlements"]).await.2).unwrap();
    assert_eq!((&written[0]["reason"], &written[0]["missing"]), (&json!("disk gone"), &json!(0)));
}

#[tokio::test]
async fn readable_dead_letter_is_booked_on_replay() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let letter = |offset, payload: Vec<u8>| NewDeadLetter {
        topic: "usage.events".into(),
        partition: 0,
        offset,
        payload,
        reason: "not understood".into(),
    };
    let letters = [letter(0, ten_requests(0, root, 0).encode()), letter(1, b"nonsense".to_vec())];
    let booking = Booking { batches: &[], dead_letters: &letters, position: None };
    store.book_all(&booking, instant("2026-11-10T12:00:01Z")).await.unwrap();

    let url = deployment.url();
    let listed = deployment.run(&["dead-letters", "list", "--output", "json", "--store", &url]).await;
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let one = deployment.run(&["dead-letters", "replay", "1", "--store", &url]).await;
    assert_eq!((one.status.code(), stdout(&one).as_str()), (Some(0), "1: 10 entries booked, 0 were booked before\n"));
    let twice = deployment.run(&["dead-letters", "replay", "1", "--store", &url]).await;
    assert_eq!(twice.status.code(), Some(1), "{}", stdout(&twice));
    let all = deployment.run(&["dead-letters", "replay", "--all", "--output", "json", "--store", &url]).await;
    assert_eq!(all.status.code(), Some(1));
    let all: Value = serde_json::from_str(&stdout(&all)).unwrap();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["id"]), (1, &json!(2)));
    assert!(all[0]["error"].as_str().unwrap().contains("batch"), "{all}");
    assert_eq!(audit(&deployment, &[]).await.1["streams"][0]["acknowledged"], 10);
    let shown = deployment.run(&["dead-letters", "show", "2", "--output", "json", "--store", &url]).await;
    let shown: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(shown["payload_hex"], "6e6f6e73656e7365");
}

#[tokio::test]
async fn invalid_command_lines_exit_2() {
    let deployment = Deployment::new();
    for arguments in [
        &["audit", "--period", "2026-13"][..],
        &["audit", "--output", "xml"],
        &["dead-letters"],
        &["dead-letters", "show"],
        &["dead-letters", "show", "x"],
        &["dead-letters", "replay"],
        &["dead-letters", "replay", "1", "--all"],
        &["gaps"],
        &["gaps", "settle", "edge-1", "--by", "ada", "--reason", "gone"],
        &["gaps", "settle", "edge-1/01jd0000000000000000000000/0", "5..5", "--by", "ada", "--reason", "gone"],
        &["ingest", "--partition", "1"],
        &["ingest", "--from-beginning", "--partition", "-1"],
    ] {
        assert_eq!(deployment.run(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let (_store, _root) = deployment.store().await;
    let missing = deployment.run(&["dead-letters", "show", "7", "--store", &deployment.url()]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("no dead letter 7"), "{}", stderr(&missing));
}

#[tokio::test]
async fn lost_journal_of_a_gateway_is_reported_until_accepted() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let batch = ten_requests(0, root, 0);
    store.book_usage(&batch, instant("2026-11-10T12:00:01Z")).await.unwrap();
    let (gone, next) = (batch.stream.life(), "edge-1/01jd0000000000000000000000".parse().unwrap());
    for life in [&gone, &next] {
        store.begin_life(life, instant("2026-11-10T12:00:00Z")).await.unwrap();
    }
    assert_eq!(audit(&deployment, &[]).await.0, Some(0));
    store.no_journal_left(&next, instant("2026-11-10T12:05:00Z")).await.unwrap();
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["clean"]), (Some(1), &json!(false)), "{report}");
    assert_eq!(report["lost_lives"][0]["life"], json!(gone));
    let url = deployment.url();
    let table = stdout(&deployment.run(&["audit", "--store", &url]).await);
    assert!(
        table.contains("Lives of gateways without their journals:") && table.contains(&gone.to_string()),
        "{table}"
    );

    let life = gone.to_string();
    let gaps = ["gaps", "settle-life", &life, "--by", "ada", "--reason", "disk gone", "--store", &url];
    assert_eq!(deployment.run(&gaps).await.status.code(), Some(0));
    assert_eq!(deployment.run(&gaps).await.status.code(), Some(1), "once");
    let (exit_code, report) = audit(&deployment, &[]).await;
    assert_eq!((exit_code, &report["lost_lives"]), (Some(0), &json!([])), "{report}");
    assert_eq!(report["settled_lives"][0]["settled"]["reason"], "disk gone");
    let listed = stdout(&deployment.run(&["gaps", "lives", "--store", &url]).await);
    assert!(listed.contains("by ada: disk gone"), "{listed}");
}
