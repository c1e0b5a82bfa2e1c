//! The admin API instead of a store: what is sent, what is repeated, and what is never shown.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use serde_json::{Value, json};

use crate::fixture::{Run, bare_command, run};

const TENANT: &str = "ten_01jd0000000000000000000001";

/// The reaction of a server to one request.
enum Reply {
    /// Reads it and hangs up.
    HangUp,
    /// Answers it: the status line, further headers, the body.
    Answer(&'static str, &'static str, Value),
}

/// Serves as many requests as there are replies; gives the heads of those that came.
fn serve(replies: Vec<Reply>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || replies.into_iter().map(|reply| serve_one(&listener, reply)).collect());
    (url, served)
}

fn serve_one(listener: &TcpListener, reply: Reply) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let head = read_request(&mut stream);
    if let Reply::Answer(status, headers, body) = reply {
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
    head
}

/// Reads a request with its body; gives its head, in lower case.
fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    head
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn keyctl(url: &str, words: &[&str]) -> Run {
    run(bare_command().env("TOLLGATE_API_TOKEN", "hunter2").args(["--api", url]).args(words), "")
}

fn tenant() -> Value {
    json!({
        "id": TENANT, "parent": null, "kind": "root", "name": "Example API", "status": "active", "zone": "UTC",
        "created_at": "2026-11-22T01:30:00Z", "revision": 1,
    })
}

fn key() -> Value {
    json!({
        "id": "key_01jd0000000000000000000002", "tenant": TENANT, "name": "main", "mode": "live", "status": "active",
        "hint": "abcd", "scopes": [], "allowed_ips": [], "created_at": "2026-11-22T01:30:00Z", "expires_at": null,
        "revoked_at": null, "last_used_at": null, "replaces": null, "revision": 1,
    })
}

#[test]
fn lost_creation_is_sent_again_under_the_same_idempotency_key() {
    let created = || Reply::Answer("201 Created", "", tenant());
    let plans = || Reply::Answer("200 OK", "", json!({ "items": [] }));
    let (url, served) = serve(vec![Reply::HangUp, created(), plans()]);
    let run = keyctl(&url, &["tenant", "create", "--name", "Example API"]);
    assert_eq!(run.code, 0, "{run:?}");
    let heads = served.join().unwrap();
    let names: Vec<_> = heads[..2].iter().map(|head| header(head, "idempotency-key").unwrap()).collect();
    assert_eq!(names[0], names[1]);
    assert!(names[0].len() > 20, "{names:?}");
    assert!(heads.iter().all(|head| header(head, "authorization") == Some("bearer hunter2")), "{heads:?}");
}

fn tenant_in(zone: &str) -> Value {
    let mut tenant = tenant();
    tenant["zone"] = zone.into();
    tenant
}

#[test]
fn tenant_list_shows_a_time_zone_that_keyctl_does_not_know() {
    let listed = json!({ "items": [tenant(), tenant_in("Mars/Olympus")], "next_cursor": null });
    let plans = Reply::Answer("200 OK", "", json!({ "items": [], "next_cursor": null }));
    let (url, served) = serve(vec![Reply::Answer("200 OK", "", listed), plans]);
    let run = keyctl(&url, &["tenant", "list", "--output", "json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&shown[0]["time_zone"], &shown[1]["time_zone"]), (&json!("UTC"), &json!("Mars/Olympus")));
    served.join().unwrap();
}

#[test]
fn usage_of_a_tenant_in_an_unknown_time_zone_is_shown_by_months_of_utc_with_a_warning() {
    let page = |items: Value| Reply::Answer("200 OK", "", json!({ "items": items, "next_cursor": null }));
    let row = json!({
        "start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "zone": "Mars/Olympus", "whole": true,
        "tenant": TENANT, "key": "key_01jd0000000000000000000002", "route": "api", "meter": "requests", "mode": "live",
        "requests": 3, "aborted": 0, "units": 3, "billable_units": 3,
    });
    let (url, served) = serve(vec![page(json!([tenant_in("Mars/Olympus")])), page(json!([])), page(json!([row]))]);
    let run = keyctl(&url, &["usage", "show", "--period", "2026-11", "--output", "json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&shown["rows"][0]["tenant"], &shown["rows"][0]["requests"]), (&json!(TENANT), &json!(3)));
    let warning: Value = serde_json::from_str(&run.stderr).unwrap();
    assert!(warning["warning"]["message"].as_str().unwrap().contains("Mars/Olympus"), "{warning}");
    served.join().unwrap();
}

#[test]
fn caller_without_access_to_plans_gets_the_rest_and_a_warning() {
    let forbidden =
        || Reply::Answer("403 Forbidden", "", json!({ "code": "forbidden", "detail": "needs subscriptions:read" }));
    let listed = Reply::Answer("200 OK", "", json!({ "items": [tenant()], "next_cursor": null }));
    let (url, served) = serve(vec![listed, forbidden()]);
    let run = keyctl(&url, &["tenant", "list", "--output", "json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains(TENANT), "{run:?}");
    let warning: Value = serde_json::from_str(&run.stderr).unwrap();
    assert!(warning["warning"]["message"].as_str().unwrap().contains("needs subscriptions:read"), "{run:?}");
    served.join().unwrap();
}

#[test]
fn change_whose_follow_up_fails_is_not_reported_as_failed() {
    let suspended = Reply::Answer("200 OK", "", tenant());
    let (url, served) = serve(vec![suspended, Reply::HangUp, Reply::HangUp]);
    drop(served);
    let run = keyctl(&url, &["tenant", "suspend", TENANT]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains(TENANT) && run.stderr.starts_with("warning: plans are left out"), "{run:?}");
}

#[test]
fn secret_lost_with_the_connection_is_reported() {
    let replayed = json!({ "key": key() });
    let (url, served) = serve(vec![Reply::HangUp, Reply::Answer("200 OK", "idempotency-replayed: true\r\n", replayed)]);
    let run = keyctl(&url, &["key", "create", "--tenant", TENANT, "--name", "main"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("key_01jd0000000000000000000002 was created"), "{run:?}");
    served.join().unwrap();
}

#[test]
fn change_is_not_repeated_when_its_answer_is_lost() {
    let (url, served) = serve(vec![Reply::HangUp]);
    let run = keyctl(&url, &["tenant", "suspend", TENANT]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("look whether it was done"), "{run:?}");
    assert_eq!(served.join().unwrap().len(), 1);
}

#[test]
fn rate_limited_request_waits_and_is_sent_again() {
    let busy = json!({ "code": "too_many_requests", "detail": "too many" });
    let answers = vec![
        Reply::Answer("429 Too Many Requests", "retry-after: 0\r\n", busy),
        Reply::Answer("200 OK", "", json!({ "items": [key()], "next_cursor": "more" })),
        Reply::Answer("200 OK", "", json!({ "items": [], "next_cursor": null })),
    ];
    let (url, served) = serve(answers);
    let run = keyctl(&url, &["key", "list", "--tenant", TENANT, "--status", "active"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("key_01jd0000000000000000000002"), "{run:?}");
    let heads = served.join().unwrap();
    assert!(heads[0].starts_with(&format!("get /v1/keys?tenant={TENANT}&status=active&limit=1000 ")), "{heads:?}");
    assert!(heads[2].contains("&cursor=more "), "{heads:?}");
}

#[test]
fn problems_have_the_exit_codes_of_the_store() {
    for (status, code, word) in [
        ("404 Not Found", 3, "not_found"),
        ("409 Conflict", 4, "refused"),
        ("422 Unprocessable Content", 4, "refused"),
        ("403 Forbidden", 4, "refused"),
        ("503 Service Unavailable", 1, "failed"),
    ] {
        let problem = json!({ "code": "any", "detail": "what is wrong" });
        let (url, served) = serve(vec![Reply::Answer(status, "content-type: application/problem+json\r\n", problem)]);
        let run = keyctl(&url, &["tenant", "delete", TENANT, "--output", "json"]);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{status}: {run:?}");
        let error: Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"], json!({ "code": word, "message": "what is wrong" }), "{status}");
        served.join().unwrap();
    }
}

#[test]
fn redirect_gets_no_token() {
    let away = Reply::Answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", json!({}));
    let (url, served) = serve(vec![away]);
    let run = keyctl(&url, &["tenant", "show", TENANT]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("307"), "{run:?}");
    served.join().unwrap();
}

#[test]
fn token_is_shown_nowhere() {
    for (words, code) in [
        (&["--api", "http://127.0.0.1:1", "tenant", "list"][..], 1),
        (&["--api", "http://127.0.0.1:1", "--token", "hunter2", "tenant", "list"], 1),
        (&["--api", "http://127.0.0.1:1", "--token", "hunter2\u{7}", "tenant", "list"], 2),
        (&["--api", "http://user:hunter2@127.0.0.1:1", "tenant", "list"], 2),
        (&["--api", "http://127.0.0.1:1", "--token", "hunter2", "tenant", "fly"], 2),
        (&["--api", "http://127.0.0.1:1", "--token", "hunter2", "--help"], 0),
    ] {
        let run = run(bare_command().env("TOLLGATE_API_TOKEN", "hunter2").args(words), "");
        assert_eq!(run.code, code, "{words:?}: {run:?}");
        assert!(!run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"), "{words:?}: {run:?}");
    }
}

#[test]
fn missing_settings_are_named_and_a_store_option_overrides_an_api_variable() {
    let missing = run(bare_command().args(["--api", "http://127.0.0.1:1", "tenant", "list"]), "");
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("--token") && missing.stderr.contains("TOLLGATE_API_TOKEN"), "{missing:?}");
    let both = ["--api", "http://127.0.0.1:1", "--store", "sqlite://nowhere.db", "tenant", "list"];
    assert_eq!(run(bare_command().args(both), "").code, 2);

    let mut command = bare_command();
    command.env("TOLLGATE_API", "http://127.0.0.1:1").env("TOLLGATE_API_TOKEN", "hunter2");
    let store = run(command.args(["--store", "sqlite://nowhere.db", "tenant", "list"]), "");
    assert!(store.stderr.contains("nowhere.db"), "{store:?}");
}

/// A server that accepts and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn silent_api_is_reported_within_the_timeout() {
    let (_listener, address) = silent();
    for (words, told) in [
        (&["tenant", "list"][..], "no answer from the API"),
        (&["key", "create", "--tenant", TENANT, "--name", "main"], "look whether it was done"),
        (&["tenant", "delete", TENANT], "look whether it was done"),
        (&["plan", "list"], "no answer from the API"),
        (&["usage", "show"], "no answer from the API"),
        (&["audit-log", "list"], "no answer from the API"),
    ] {
        let run = keyctl(&format!("http://{address}"), &[words, &["--timeout", "1"]].concat());
        assert_eq!(run.code, 1, "{words:?}: {run:?}");
        assert!(run.stderr.contains(told) && run.stderr.contains("timed out"), "{words:?}: {run:?}");
    }
}

#[test]
fn truncated_answer_of_the_api_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"items\":").unwrap();
        // Nothing more comes until the client goes away.
        let _ = stream.read(&mut [0]);
    });
    let run = keyctl(&url, &["tenant", "list", "--timeout", "1s"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("no answer from the API"), "{run:?}");
    served.join().unwrap();
}

#[test]
fn silent_store_is_reported_within_the_timeout() {
    let (_listener, address) = silent();
    let url = format!("postgres://tollgate@{address}/tollgate");
    for words in [&["tenant", "list"][..], &["tenant", "suspend", TENANT], &["plan", "list"], &["usage", "show"]] {
        let run = run(bare_command().args(["--store", &url, "--timeout", "1"]).args(words), "");
        assert_eq!(run.code, 1, "{words:?}: {run:?}");
        assert!(run.stderr.contains("the store did not answer within 1 s (--timeout)"), "{words:?}: {run:?}");
    }
}

#[test]
fn timeout_takes_a_duration() {
    for timeout in ["0", "soon", "-1", "1.5"] {
        let run = run(bare_command().args(["--timeout", timeout, "tenant", "list"]), "");
        assert_eq!(run.code, 2, "{timeout}: {run:?}");
    }
}

#[test]
fn admin_key_is_rotated_through_the_api() {
    let admin_key = |id: &str| {
        json!({
            "id": id, "tenant": TENANT, "name": "ci", "role": "admin", "scopes": [], "status": "active", "hint": "abcd",
            "created_at": "2026-11-22T01:30:00Z", "expires_at": null, "revoked_at": null, "last_used_at": null,
            "created_by": null,
        })
    };
    let (old, new) = ("adk_01jd0000000000000000000002", "adk_01jd0000000000000000000003");
    let secret = common::admin::AdminSecret::generate();
    let body = json!({ "key": admin_key(new), "old": admin_key(old), "secret": secret.expose() });
    let (url, served) = serve(vec![Reply::Answer("201 Created", "", body)]);
    let run = keyctl(&url, &["admin-key", "rotate", old, "--output", "json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let rotated: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&rotated["old"]["id"], &rotated["new"]["id"]), (&json!(old), &json!(new)));
    assert_eq!(rotated["secret"], secret.expose());
    let heads = served.join().unwrap();
    assert!(heads[0].starts_with(&format!("post /v1/admin-keys/{old}/rotate ")), "{heads:?}");
    assert!(header(&heads[0], "idempotency-key").is_some(), "{heads:?}");
}
