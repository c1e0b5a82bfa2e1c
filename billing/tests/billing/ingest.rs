//! Usage sent over HTTP is booked exactly once; usage that never can be booked is kept as a dead
//! letter, and any other request is refused with a reason.

use common::{
    id::TenantId,
    store::Store,
    usage::{
        BATCH_CONTENT_TYPE, BATCH_MAX_BYTES, UsageBatch, UsageEntry,
        rollup::{UsageFilter, UsageRollup},
    },
};
use reqwest::Response;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::deployment::{Deployment, Server, batch, customer, request, stdout, token};

const AT: &str = "2026-11-10T12:00:00Z";

fn ten_requests(tenant: TenantId, first_seq: u64) -> UsageBatch {
    batch(first_seq, (0..10).map(|units| UsageEntry::Request(request(tenant, AT, units))))
}

async fn usage(store: &Store) -> Vec<UsageRollup> {
    store.usage(&UsageFilter::default()).await.unwrap()
}

async fn assert_problem(response: Response, status: u16, code: &str) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn repeated_batch_is_booked_once() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let server = deployment.serve().await;
    let sent = ten_requests(tenant, 0);

    let first = server.book(&sent).await;
    let receipt = json!({ "next_seq": 10, "booked": 10, "replayed": 0, "gap": 0, "lost": 0, "quarantined": 0, "unknown_tenants": [] });
    assert_eq!(first, receipt);
    let booked = usage(&store).await;
    assert_eq!(booked.iter().map(|sum| (sum.requests, sum.units)).collect::<Vec<_>>(), [(10, 45)]);

    let again = server.book(&sent).await;
    let receipt = json!({ "next_seq": 10, "booked": 0, "replayed": 10, "gap": 0, "lost": 0, "quarantined": 0, "unknown_tenants": [] });
    assert_eq!(again, receipt);
    assert_eq!(usage(&store).await, booked);
    assert_eq!(server.metric("tollgate_ingest_entries_total{outcome=\"booked\"}").await, 10);
    assert_eq!(server.metric("tollgate_ingest_entries_total{outcome=\"replayed\"}").await, 10);
    assert_eq!(server.metric("tollgate_ingest_batches_total{outcome=\"replayed\"}").await, 1);
    assert_eq!(server.metric("tollgate_ingest_seconds_count").await, 2);
}

#[tokio::test]
async fn late_batch_fills_the_gap_it_left() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let server = deployment.serve().await;

    let ahead = server.book(&ten_requests(tenant, 10)).await;
    assert_eq!((&ahead["next_seq"], &ahead["booked"], &ahead["gap"]), (&json!(20), &json!(10), &json!(10)));
    let logged = server.logged("usage_gap").await;
    assert_eq!((&logged["level"], &logged["gap"]), (&json!("WARN"), &json!(10)));
    assert!(logged["stream"].as_str().unwrap().starts_with("edge-1/"), "{logged}");
    assert_eq!(server.metric("tollgate_usage_gap_entries_total").await, 10);

    let late = server.book(&ten_requests(tenant, 0)).await;
    assert_eq!((&late["next_seq"], &late["booked"], &late["gap"]), (&json!(20), &json!(10), &json!(0)));
    assert_eq!(usage(&store).await[0].requests, 20);
    assert_eq!(server.metric("tollgate_usage_gap_entries_total").await, 10);
}

#[tokio::test]
async fn lost_usage_is_reported_as_a_gap_and_blocks_nothing() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let server = deployment.serve().await;
    let entry = |lost| if lost { UsageEntry::Lost } else { UsageEntry::Request(request(tenant, AT, 1)) };
    let booked = server.book(&batch(0, [false, true, true, false].map(entry))).await;
    assert_eq!((&booked["next_seq"], &booked["gap"], &booked["lost"]), (&json!(4), &json!(0), &json!(2)));
    let logged = server.logged("usage_gap").await;
    assert_eq!((&logged["level"], &logged["gap"], &logged["lost"]), (&json!("WARN"), &json!(0), &json!(2)));
    assert_eq!(server.metric("tollgate_usage_gap_entries_total").await, 2);
    assert_eq!(server.metric("tollgate_usage_lost_entries_total").await, 2);
    assert_eq!(usage(&store).await[0].requests, 2);

    let audit = async || deployment.run(&["audit", "--store", &deployment.url()]).await;
    let unclean = audit().await;
    assert_eq!(unclean.status.code(), Some(1));
    assert!(stdout(&unclean).contains(": 1..3 lost by the gateway since "), "{}", stdout(&unclean));
    server.book(&batch(0, [false, false, false, false].map(entry))).await;
    let clean = audit().await;
    assert_eq!(clean.status.code(), Some(0), "{}", stdout(&clean));
}

/// Hands in what can never be booked, and gives the reason.
async fn buried(server: &Server, bytes: Vec<u8>) -> String {
    let response = server.post(bytes).await;
    assert_eq!(response.status(), 202);
    let answer: Value = response.json().await.unwrap();
    answer["dead_letter"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn undecodable_body_is_kept_once_as_a_dead_letter() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let whole = ten_requests(root, 0);
    let (stream, whole) = (whole.stream.to_string(), whole.encode());
    let spoilt = [whole[..whole.len() - 1].to_vec(), whole[..whole.len() / 2].to_vec(), Vec::new(), vec![0xff; 100]];
    for bytes in &spoilt {
        let reason = buried(&server, bytes.clone()).await;
        assert!(reason.contains("batch"), "{reason}");
        // The answer may get lost; then the gateway hands it in again.
        assert_eq!(buried(&server, bytes.clone()).await, reason);
    }
    let named = server
        .hand_in(vec![7; 9], |request| {
            let request = request.bearer_auth(token()).header("content-type", BATCH_CONTENT_TYPE);
            request.header("x-usage-stream", &stream)
        })
        .await;
    assert_eq!(named.status(), 202);
    assert_eq!(server.metric("tollgate_ingest_undecodable_batches_total").await, 9);
    assert_eq!(server.metric("tollgate_ingest_batches_total{outcome=\"undecodable\"}").await, 9);
    assert_eq!(server.metric("tollgate_ingest_dead_letters_total").await, 9);
    let logged = server.logged("dead_letter").await;
    assert_eq!((&logged["level"], &logged["origin"]), (&json!("ERROR"), &json!("http unknown")));
    let letters = store.dead_letters(10, 0).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.payload_bytes).collect::<Vec<_>>()[2..], [0, 100, 9]);
    assert_eq!(store.dead_letter_payload(letters[3].id).await.unwrap(), spoilt[3]);
    let listed = stdout(&deployment.run(&["dead-letters", "list", "--store", &deployment.url()]).await);
    assert!(listed.contains("http unknown") && listed.contains(&format!("http {stream}")), "{listed}");
    assert_eq!(usage(&store).await, []);
}

#[tokio::test]
async fn batch_with_sums_beyond_the_column_blocks_nothing_and_can_be_replayed() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let one = |seq, units| batch(seq, [UsageEntry::Request(request(root, AT, units))]);
    server.book(&one(0, i64::MAX as u64)).await;
    let reason = buried(&server, one(1, 1).encode()).await;
    assert!(!reason.is_empty());
    assert_eq!(server.metric("tollgate_ingest_batches_total{outcome=\"refused\"}").await, 1);
    let next = server.book(&one(2, 0)).await;
    assert_eq!((&next["next_seq"], &next["gap"]), (&json!(3), &json!(1)));

    let run = async |arguments: &[&str]| deployment.run(&[arguments, &["--store", &deployment.url()]].concat()).await;
    let audit = run(&["audit"]).await;
    assert_eq!(audit.status.code(), Some(1));
    let told = stdout(&audit);
    assert!(told.contains(": 1..2 skipped since ") && told.contains("Dead letters: 1;"), "{told}");
    assert_eq!(run(&["dead-letters", "replay", "--all"]).await.status.code(), Some(1), "it still does not fit");

    // Somebody makes room.
    let mut other = sqlx::SqliteConnection::connect(&deployment.url()).await.unwrap();
    sqlx::raw_sql("UPDATE usage_hourly SET units = 0").execute(&mut other).await.unwrap();
    let replayed = run(&["dead-letters", "replay", "--all"]).await;
    assert_eq!(stdout(&replayed), "1: 1 entries booked, 0 were booked before\n");
    assert_eq!((store.usage_gaps().await.unwrap(), store.dead_letter_count().await.unwrap()), (Vec::new(), 0));
    assert_eq!(usage(&store).await[0].requests, 3);
}

#[tokio::test]
async fn bad_entry_is_put_aside_alone_and_the_rest_of_its_batch_is_booked() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let one = |units| UsageEntry::Request(request(root, AT, units));
    server.book(&batch(0, [one(5)])).await;
    // The sum of the third entry and what is there is more than a column holds.
    let reason = buried(&server, batch(1, [one(1), one(2), one(i64::MAX as u64), one(4)]).encode()).await;
    assert!(reason.starts_with("1 of its entries, the others are booked"), "{reason}");
    assert_eq!(usage(&store).await[0].units, 12);
    let letters = store.dead_letters(10, 0).await.unwrap();
    assert_eq!((letters.len(), letters[0].topic.starts_with("entry edge-1/")), (1, true));
    // The answer may get lost; then the gateway hands it in again.
    buried(&server, batch(1, [one(1), one(2), one(i64::MAX as u64), one(4)]).encode()).await;
    assert_eq!((usage(&store).await[0].units, store.dead_letter_count().await.unwrap()), (12, 1));
    let gaps = store.usage_gaps().await.unwrap();
    assert_eq!(gaps.iter().map(|gap| (gap.from, gap.to, gap.lost)).collect::<Vec<_>>(), [(3, 4, false)]);

    // A letter of an earlier version holds the whole batch: it is split.
    let whole = batch(5, [one(1), one(i64::MAX as u64), one(3)]);
    let letter = common::usage::dead_letters::NewDeadLetter::of_http("unknown", whole.encode(), "its sums".into());
    let booking = common::usage::booking::Booking { dead_letters: &[letter], ..Default::default() };
    store.book_all(&booking, common::time::Micros(0)).await.unwrap();
    let run = async |arguments: &[&str]| deployment.run(&[arguments, &["--store", &deployment.url()]].concat()).await;
    let id = store.dead_letters(10, 0).await.unwrap()[1].id.to_string();
    let replayed = run(&["dead-letters", "replay", &id]).await;
    assert_eq!(replayed.status.code(), Some(1), "one entry is still no usage");
    let told = stdout(&replayed);
    assert!(told.starts_with(&format!("{id}: 2 entries booked, 0 were booked before; 1 are letters")), "{told}");
    assert_eq!((usage(&store).await[0].units, store.dead_letter_count().await.unwrap()), (16, 2));
}

#[tokio::test]
async fn usage_out_of_its_time_is_quarantined_until_released() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let at = |at: &str| UsageEntry::Request(request(root, at, 5));
    let booked = server.book(&batch(0, [at("1970-01-01T00:00:00Z"), at("2099-01-01T00:00:00Z")])).await;
    assert_eq!((&booked["booked"], &booked["quarantined"]), (&json!(2), &json!(2)));
    assert_eq!(usage(&store).await, []);
    assert_eq!(server.metric("tollgate_usage_quarantined_entries_total").await, 2);
    assert_eq!(server.logged("usage_quarantined").await["entries"], 2);
    let run = async |arguments: &[&str]| deployment.run(&[arguments, &["--store", &deployment.url()]].concat()).await;
    let audit = run(&["audit"]).await;
    assert_eq!(audit.status.code(), Some(1));
    assert!(stdout(&audit).contains("In quarantine: 2;"), "{}", stdout(&audit));
    let listed = stdout(&run(&["quarantine", "list"]).await);
    assert!(listed.contains("1970-01-01T00:00:00Z") && listed.contains("too_early"), "{listed}");
    let by = ["--by", "ada", "--note", "a clock was wrong"];
    let moved = run(&[&["quarantine", "move", "1", "--to", AT], &by[..]].concat()).await;
    assert_eq!(moved.status.code(), Some(0), "{}", stdout(&moved));
    assert_eq!(usage(&store).await[0].units, 5);
    let discarded = run(&[&["quarantine", "discard", "--all"], &by[..]].concat()).await;
    assert!(stdout(&discarded).contains("discarded"), "{}", stdout(&discarded));
    let again = run(&[&["quarantine", "accept", "1"], &by[..]].concat()).await;
    assert_eq!(again.status.code(), Some(1));
    let clean = run(&["audit"]).await;
    assert_eq!(clean.status.code(), Some(0), "{}", stdout(&clean));
}

#[tokio::test]
async fn batches_need_the_ingest_token() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let bytes = ten_requests(root, 0).encode();
    let token = token();
    let wrong = format!("{}x", &token[1..]);
    let attempts: [&[String]; 6] = [
        &[],
        &[format!("Bearer {wrong}")],
        &["Bearer ".into()],
        &[format!("Basic {token}")],
        std::slice::from_ref(&token),
        &[format!("Bearer {token}"), format!("Bearer {token}")],
    ];
    for headers in attempts {
        let response = server
            .hand_in(bytes.clone(), |request| {
                let request = request.header("content-type", BATCH_CONTENT_TYPE);
                headers.iter().fold(request, |request, value| request.header("authorization", value))
            })
            .await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_problem(response, 401, "unauthorized").await;
    }
    assert_eq!((usage(&store).await, store.dead_letter_count().await.unwrap()), (Vec::new(), 0));
    assert_eq!(server.metric("tollgate_ingest_batches_total{outcome=\"rejected\"}").await, 6);
}

#[tokio::test]
async fn body_of_another_type_or_size_is_refused() {
    let deployment = Deployment::new();
    let (_store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let bytes = ten_requests(root, 0).encode();
    for content_type in ["application/json", "application/x-protobuf", ""] {
        let response = server
            .hand_in(bytes.clone(), |request| request.bearer_auth(token()).header("content-type", content_type))
            .await;
        let detail = assert_problem(response, 415, "unsupported_media_type").await;
        assert!(detail.contains(BATCH_CONTENT_TYPE), "{detail}");
    }
    let largest = vec![0; BATCH_MAX_BYTES];
    assert!(buried(&server, largest).await.contains("batch"));
    let larger = vec![0; BATCH_MAX_BYTES + 1];
    assert_problem(server.post(larger).await, 413, "body_too_large").await;
}

#[tokio::test]
async fn usage_of_an_unknown_tenant_is_kept_and_reported() {
    let deployment = Deployment::new();
    let (store, _root) = deployment.store().await;
    let server = deployment.serve().await;
    let stranger = TenantId::from_u128(99);
    let answer = server.book(&ten_requests(stranger, 0)).await;
    assert_eq!(answer["unknown_tenants"], json!([stranger]));
    assert_eq!(server.logged("unknown_tenants").await["count"], 1);
    assert_eq!(usage(&store).await[0].tenant, stranger);
}

#[tokio::test]
async fn truncated_body_is_not_booked() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let server = deployment.serve().await;
    let bytes = ten_requests(root, 0).encode();
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    connection.write_all(head(bytes.len() + 1).as_bytes()).await.unwrap();
    connection.write_all(&bytes).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.get("/health").await.status(), 200);
    assert_eq!((usage(&store).await, store.dead_letter_count().await.unwrap()), (Vec::new(), 0));
}

#[tokio::test]
async fn locked_store_delays_a_batch_and_loses_nothing() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let server = deployment.serve().await;
    let mut other = sqlx::SqliteConnection::connect(&deployment.url()).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let refused = server.post(ten_requests(tenant, 0).encode()).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_problem(refused, 503, "store_unavailable").await;
    assert_eq!(server.metric("tollgate_ingest_batches_total{outcome=\"unavailable\"}").await, 1);

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(server.book(&ten_requests(tenant, 0)).await["booked"], 10);
    assert_eq!(usage(&store).await[0].requests, 10);
}

#[tokio::test]
async fn request_in_flight_is_finished_before_the_process_ends() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let mut server: Server = deployment.serve().await;
    let bytes = ten_requests(tenant, 0).encode();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    connection
        .write_all(head(bytes.len()).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes())
        .await
        .unwrap();
    // The server asks for the body once the request has reached its handler.
    let mut go_on = [0; 25];
    connection.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(first).await.unwrap();
    server.signal("TERM");
    assert_eq!(server.logged("stopping").await["signal"], "SIGTERM");
    connection.write_all(rest).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.exit_code().await, Some(0));
    assert_eq!(usage(&store).await[0].requests, 10);
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/usage/batches HTTP/1.1\r\nHost: billing\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {BATCH_CONTENT_TYPE}\r\nContent-Length: {length}\r\n\r\n",
        token()
    )
}
