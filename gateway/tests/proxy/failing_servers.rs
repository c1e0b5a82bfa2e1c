//! Servers whose requests fail: ejection, the circuit breaker, and how both outlive a reload.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Fixture, eventually,
    faulty::{Behaviour, Faulty},
    process::Gateway,
};

fn file(servers: &[&Faulty], upstream: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("'{}'", server.address)).collect();
    let servers = servers.join(", ");
    format!(
        "upstreams: {{ it: {{ servers: [{servers}], {upstream} }} }}\n\
         routes: [{{ name: all, path_prefix: /, upstream: it }}]\n"
    )
}

async fn told(gateway: &Gateway) -> Value {
    let (_, body) = gateway.admin("/health/ready").await;
    serde_json::from_str::<Value>(&body).unwrap()["upstreams"]["it"].take()
}

async fn all_up(gateway: &Gateway) {
    eventually("the upstream is up", || async { (told(gateway).await["status"] == "up").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_answers_checks_and_fails_requests_is_ejected_and_comes_back() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (bad, good) = (Faulty::start("bad").await, Faulty::start("good").await);
    let settings = "ejection: { failures: 3, seconds: 600, most_seconds: 600, statuses: [500] }";
    let gateway = fixture.gateway_with(&file(&[&bad, &good], settings)).await;
    all_up(&gateway).await;
    bad.usually(Behaviour::Status(500));
    let get = || gateway.status("/", &customer.secret);
    let ejected = || async {
        get().await;
        gateway.log().into_iter().find(|line| line["event"] == "server_ejected")
    };
    let line = eventually("the ejection", ejected).await;
    assert_eq!((&line["upstream"], &line["reason"]), (&"it".into(), &"the server answered 500".into()));
    assert_eq!(bad.requests(), 3);
    for _ in 0..6 {
        assert_eq!(get().await, 200);
    }
    assert_eq!(bad.requests(), 3);
    let report = told(&gateway).await;
    assert_eq!((&report["status"], &report["healthy"]), (&"degraded".into(), &1.into()));
    let series =
        format!("tollgate_upstream_server_ejected{{address=\"{0}\",server=\"{0}\",upstream=\"it\"}}", bad.address);
    assert_eq!(gateway.metric(&series).await, Some(1.0));
    assert_eq!(gateway.metric("tollgate_upstream_ejections_total{upstream=\"it\"}").await, Some(1.0));

    // Another configuration of the upstream knows of it.
    fixture.configure(&file(&[&good, &bad], &format!("{settings}, read_timeout_ms: 1234")));
    gateway.signal("HUP");
    eventually("the reload", || async {
        (gateway.metric("tollgate_config_reloads_total{result=\"success\"}").await.is_none_or(|count| count >= 1.0))
            .then_some(())
    })
    .await;
    for _ in 0..6 {
        assert_eq!(get().await, 200);
    }
    assert_eq!((bad.requests(), gateway.metric(&series).await), (3, Some(1.0)));

    // One without ejection takes it back.
    bad.usually(Behaviour::Serve);
    fixture.configure(&file(&[&good, &bad], "ejection: { failures: 0 }"));
    let returned = || async {
        get().await;
        (bad.requests() > 3).then_some(())
    };
    eventually("the return", returned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ejected_server_returns_after_its_time() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (bad, good) = (Faulty::start("bad").await, Faulty::start("good").await);
    let settings = "ejection: { failures: 2, seconds: 1, statuses: [500] }";
    let gateway = fixture.gateway_with(&file(&[&bad, &good], settings)).await;
    all_up(&gateway).await;
    bad.next(&[Behaviour::Status(500), Behaviour::Status(500)]);
    let served_again = || async {
        gateway.status("/", &customer.secret).await;
        (bad.requests() > 2).then_some(())
    };
    eventually("the return", served_again).await;
    gateway.logged("the ejection", |line| line["event"] == "server_ejected" && line["for_ms"] == 1_000).await;
    gateway.logged("the return", |line| line["event"] == "server_returned").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaker_refuses_while_all_requests_fail_and_closes_after_good_trials() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let rich = fixture.customer(Some("roomy")).await;
    let server = Faulty::start("it").await;
    let breaker = |open: u32| {
        let rest = "error_percent: 50, least_requests: 4, window_seconds: 60, trials: 2";
        format!("breaker: {{ open_seconds: {open}, most_open_seconds: {open}, {rest} }}")
    };
    let gateway = fixture.gateway_with(&file(&[&server], &breaker(2))).await;
    all_up(&gateway).await;
    assert_eq!(told(&gateway).await["breaker"], "closed");
    server.usually(Behaviour::Reset);
    for _ in 0..4 {
        assert_eq!(gateway.status("/", &rich.secret).await, 502);
    }
    let answer = gateway.get("/", &rich.secret).await;
    assert_eq!(answer.status(), 503);
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&"upstream_unavailable".into(), &503.into()));
    assert_eq!((server.requests(), &told(&gateway).await["breaker"]), (4, &"open".into()));
    assert_eq!(gateway.metric("tollgate_upstream_breaker_state{upstream=\"it\"}").await, Some(2.0));
    assert_eq!(gateway.metric("tollgate_upstream_breaker_opened_total{upstream=\"it\"}").await, Some(1.0));
    assert!(gateway.metric("tollgate_upstream_breaker_refused_total{upstream=\"it\"}").await >= Some(1.0));
    gateway.logged("the opening", |line| line["event"] == "breaker_opened" && line["failures"] == 4).await;
    // A request that is refused uses up nothing: the plan allows three a minute.
    for _ in 0..5 {
        assert_eq!(gateway.status("/", &customer.secret).await, 503);
    }

    server.usually(Behaviour::Serve);
    let is_served = || async { (gateway.status("/", &rich.secret).await == 200).then_some(()) };
    eventually("the trials", is_served).await;
    gateway.status("/", &rich.secret).await;
    gateway.logged("the closing", |line| line["event"] == "breaker_closed").await;
    for _ in 0..3 {
        assert_eq!(gateway.status("/", &customer.secret).await, 200);
    }
    assert_eq!(gateway.status("/", &customer.secret).await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_stays_open_over_a_reload() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let server = Faulty::start("it").await;
    let settings = "breaker: { open_seconds: 600, most_open_seconds: 600, error_percent: 50, least_requests: 2 }";
    let gateway = fixture.gateway_with(&file(&[&server], settings)).await;
    all_up(&gateway).await;
    server.usually(Behaviour::Reset);
    for _ in 0..2 {
        assert_eq!(gateway.status("/", &customer.secret).await, 502);
    }
    assert_eq!(gateway.status("/", &customer.secret).await, 503);
    server.usually(Behaviour::Serve);
    let other = format!("{settings}, read_timeout_ms: 1234");
    fixture.configure(&file(&[&server], &other).replace("path_prefix: /,", "path_prefix: /new,"));
    eventually("the reload", || async { (gateway.status("/", &customer.secret).await == 404).then_some(()) }).await;
    assert_eq!(gateway.status("/new", &customer.secret).await, 503);
    // Without a breaker, nothing is refused.
    fixture.configure(&file(&[&server], "read_timeout_ms: 1234"));
    eventually("no breaker", || async { (gateway.status("/", &customer.secret).await == 200).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_most_in_progress_are_refused_at_once() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let server = Faulty::start("it").await;
    let gateway = fixture.gateway_with(&file(&[&server], "breaker: { most_in_flight: 2 }")).await;
    server.next(&[Behaviour::Silence, Behaviour::Silence]);
    let slow = |_: u32| {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(customer.secret.expose());
        tokio::spawn(request.timeout(Duration::from_mins(1)).send())
    };
    let slow = [slow(0), slow(1)];
    eventually("both are in progress", || async { (server.requests() == 2).then_some(()) }).await;
    let answer = gateway.get("/", &customer.secret).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    // Their clients have left, and the server still works for them: they count until it has ended.
    assert_eq!(server.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_one_key_or_header_meet_one_server() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let servers = [Faulty::start("a").await, Faulty::start("b").await, Faulty::start("c").await];
    let servers = servers.each_ref();
    let gateway = fixture.gateway_with(&file(&servers, "balance: { hash: { by: header X-Session } }")).await;
    all_up(&gateway).await;
    let by = async |session: &str| {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(customer.secret.expose());
        request.header("x-session", session).send().await.unwrap().text().await.unwrap()
    };
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..30 {
        let session = format!("session-{number}");
        let first = by(&session).await;
        assert_eq!(by(&session).await, first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    fixture.configure(&file(&servers, "balance: { hash: { by: key } }").replace("path_prefix: /,", "path_prefix: /k,"));
    eventually("the reload", || async { (gateway.status("/", &customer.secret).await == 404).then_some(()) }).await;
    let of =
        async |customer: &crate::support::Customer| gateway.get("/k", &customer.secret).await.text().await.unwrap();
    let first = of(&customer).await;
    for _ in 0..5 {
        assert_eq!(of(&customer).await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_server_finishes_its_requests_gets_no_more_and_loses_its_connections() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (old, new) = (Faulty::start("old").await, crate::support::raw::RawUpstream::start().await);
    let settings = "idle_seconds: 1, health: { interval_seconds: 3600 }";
    let gateway = fixture.gateway_with(&file(&[&old], settings)).await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    // One request is in progress on a server of the test's own while the configuration changes.
    let slow = file(&[&old], settings).replace(&old.address.to_string(), &new.address.to_string());
    fixture.configure(&slow);
    let send = || {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(customer.secret.expose());
        tokio::spawn(request.send())
    };
    let mut requests = Vec::new();
    let (mut server, _) = loop {
        requests.push(send());
        if let Ok(come) = tokio::time::timeout(Duration::from_millis(500), new.request()).await {
            break come;
        }
    };
    let before = old.requests();
    eventually("idle connections of the removed server are closed", || async {
        (old.connections() == 0).then_some(())
    })
    .await;
    fixture.configure(&file(&[&old], settings));
    // Until the configuration is in force, requests go where nobody answers.
    let is_back = || async {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(customer.secret.expose());
        request.timeout(Duration::from_millis(300)).send().await.ok().filter(|answer| answer.status() == 200)
    };
    eventually("the way back", is_back).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let answer = requests.pop().unwrap().await.unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "done", "what was in progress is finished");
    assert!(old.requests() > before);
    assert_eq!(server.read_to_end().await, "", "its connection is closed, and no request came on it");
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_upstreams_does_what_it_says() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (weighted, named) = (Faulty::start("weighted").await, Faulty::start("named").await);
    let sessions = [Faulty::start("a").await, Faulty::start("b").await, Faulty::start("c").await];
    let partner = Faulty::start("partner").await;
    let mut text = include_str!("../../../config/examples/upstreams.yaml").to_owned();
    let [one, two, three] = sessions.each_ref().map(|server| server.address.to_string());
    let replaced = [
        ("10.0.0.1:9000", weighted.address.to_string()),
        ("search.internal:9000", named.address.to_string()),
        ("      - { srv: _http._tcp.search.internal }\n", String::new()),
        ("10.0.1.1:9000", one),
        ("10.0.1.2:9000", two),
        ("10.0.1.3:9000", three),
        ("https://api.partner.example", format!("http://{}", partner.address)),
    ];
    for (name, server) in replaced {
        assert!(text.contains(name), "{name}");
        text = text.replace(name, &server);
    }
    let gateway = fixture.gateway_with(&text).await;
    weighted.next(&[Behaviour::Reset, Behaviour::Status(503), Behaviour::Garbage]);
    named.next(&[Behaviour::Status(502)]);
    for _ in 0..10 {
        assert_eq!(gateway.status("/v1/search", &customer.secret).await, 200);
    }
    let session = async |name: &str| {
        let request = gateway.client.get(gateway.url("/v1/sessions")).bearer_auth(customer.secret.expose());
        request.header("x-session", name).send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(session("one").await, session("one").await);
    partner.usually(Behaviour::Reset);
    for _ in 0..10 {
        assert_eq!(gateway.status("/v1/partner", &customer.secret).await, 502);
    }
    let refused = gateway.get("/v1/partner", &customer.secret).await;
    assert!(refused.status() == 503 && refused.headers().contains_key("retry-after"), "{refused:?}");
    assert_eq!(partner.requests(), 10);
}
