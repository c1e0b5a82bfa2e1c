//! Start, health and end of the process.

use std::process::Output;

use serde_json::Value;

use crate::support::{
    Fixture, ROUTES, eventually,
    process::{Gateway, command, wrapped},
    raw::{RawUpstream, Wire},
};

fn check(fixture: &Fixture) -> Output {
    command(&fixture.config_file()).arg("--check").output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn file_is_checked_without_serving() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let good = check(&fixture);
    assert!(good.status.success());
    assert!(String::from_utf8_lossy(&good.stdout).contains("ok, 8 routes, 1 upstreams"), "{good:?}");
    fixture.configure(&ROUTES.replace("name: read", "nam: read"));
    let bad = check(&fixture);
    assert_eq!(bad.status.code(), Some(1));
    let told = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(told.contains("gateway.yaml:") && told.contains("nam"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_told_with_its_setting() {
    let fixture = Fixture::new().await;
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    fixture.configure_at(ROUTES, address);
    let output = command(&fixture.config_file()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("cannot listen on {address} (setting `listen` in ");
    assert!(told.contains(&expected) && told.contains("address already in use"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_pepper_says_where_to_put_it() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let output = command(&fixture.config_file()).env_remove("TOLLGATE_PEPPER").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TOLLGATE_PEPPER"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pepper_under_which_every_key_would_be_unknown_is_told_at_the_start() {
    let fixture = Fixture::new().await;
    fixture.customer(None).await;
    fixture.configure(ROUTES);
    let output = command(&fixture.config_file()).env("TOLLGATE_PEPPER", "a pepper of something else").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("hashed under another pepper") && told.contains("TOLLGATE_PEPPER"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_is_none_is_told_with_its_setting() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let output = command(&fixture.config_file()).env("TOLLGATE_STORE", "mysql://db").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("mysql://db") && told.contains("setting `store`"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_comes_late_is_waited_for() {
    let fixture = Fixture::new().await;
    let late = fixture.config_file().with_file_name("late.db");
    let store = format!("sqlite://{}", late.display());
    fixture.configure(ROUTES);
    let text = std::fs::read_to_string(fixture.config_file()).unwrap();
    std::fs::write(fixture.config_file(), text.replace("store.db", "late.db")).unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    let (status, report) = gateway.admin("/health/ready").await;
    assert_eq!((status, report.contains("starting")), (503, true), "{report}");
    assert_eq!(gateway.admin("/health/live").await.0, 200);
    common::store::Store::open_and_migrate(&store).await.unwrap();
    gateway.wait_until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_come_while_the_gateway_starts_are_heeded_in_order() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let text = std::fs::read_to_string(fixture.config_file()).unwrap();
    std::fs::write(fixture.config_file(), text.replace("store.db", "never.db")).unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    assert_eq!(gateway.admin("/health/ready").await.0, 503);
    // The configuration is read again once it is followed; until then, the signal is kept.
    gateway.signal("HUP");
    assert_eq!(gateway.admin("/health/live").await.0, 200);
    assert!(gateway.runs());
    gateway.signal("TERM");
    let status = gateway.ended().await;
    assert!(status.success(), "{status}");
    gateway.logged("its end", |line| line["event"] == "ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_told_to_end_is_not_ready_and_serves_on_until_its_drain_delay_is_over() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&format!("drain_delay_seconds: 600\n{ROUTES}")).await;
    gateway.wait_until_ready().await;
    gateway.signal("TERM");
    eventually("not ready", || async { (gateway.admin("/health/ready").await.0 == 503).then_some(()) }).await;
    assert_eq!(gateway.admin("/health/live").await.0, 200);
    let answer = gateway.get("/read", &customer.secret).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().unwrap()));
    assert!(gateway.runs());
    gateway.signal("TERM");
    let status = gateway.ended().await;
    assert!(status.success(), "a second signal ends the delay: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_of_catalog_and_upstreams() {
    let fixture = Fixture::new().await;
    fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let health = async |path: &str| {
        let (status, body) = gateway.admin(path).await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let report = eventually("the checks", || async {
        let (status, report) = health("/health/ready").await;
        (report["upstreams"]["demo"]["healthy"] == 1).then_some((status, report))
    })
    .await;
    assert_eq!(report.0, 200);
    assert_eq!(report.1["catalog"]["loaded"], true);
    assert_eq!(report.1["catalog"]["keys"], 1);
    assert_eq!(health("/health/live").await.0, 200);
    assert_eq!(health("/health").await.1["status"], "ready");
    let (status, unknown) = health("/nothing").await;
    assert_eq!((status, &unknown["code"]), (404, &Value::from("not_found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_in_flight_is_answered_before_the_process_ends() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let routes = format!(
        "upstreams: {{ raw: {{ servers: ['{}'] }} }}\nroutes: [{{ name: raw, path_prefix: /, upstream: raw }}]\n",
        upstream.address
    );
    let gateway = fixture.gateway_with(&routes).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {}\r\n\r\n", customer.secret.expose())).await;
    let (mut server, _) = upstream.request().await;
    gateway.signal("TERM");
    eventually("no new connections", || async {
        tokio::net::TcpStream::connect(gateway.address).await.is_err().then_some(())
    })
    .await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    assert!(gateway.ended().await.success());
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_a_line_and_its_metrics() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let path = "/read/it?token=hidden";
    let agent = format!("curl/8 \"{}\"", "x".repeat(5_000));
    let request = gateway.client.get(gateway.url(path)).bearer_auth(customer.secret.expose());
    assert_eq!(request.header("User-Agent", agent).send().await.unwrap().status(), 200);
    assert_eq!(gateway.client.get(gateway.url(path)).send().await.unwrap().status(), 401);
    let lines = eventually("access lines", || async {
        let lines = gateway.access_log();
        (lines.len() == 2).then_some(lines)
    })
    .await;
    let served = &lines[0];
    assert_eq!(served["tenant"], customer.tenant.to_string());
    assert_eq!(served["key"], customer.key.to_string());
    assert_eq!(served["route"], "read");
    assert_eq!(served["method"], "GET");
    assert_eq!(served["path"], "/read/it");
    assert_eq!(served["status"], 200);
    assert_eq!(served["client"], "127.0.0.1");
    let agent = served["user_agent"].as_str().unwrap();
    assert!(agent.starts_with("curl/8 \"x") && agent.len() == 256, "{agent}");
    let latency = served["latency_ms"].to_string();
    assert!(latency.split('.').nth(1).is_none_or(|digits| digits.len() <= 3), "{latency}");
    assert_eq!(served["upstream"], fixture.upstream.address.to_string());
    assert!(served["latency_ms"].is_number() && served["bytes"].as_u64().unwrap() > 0, "{served}");
    assert!(served["request_id"].is_string() && served.get("code").is_none(), "{served}");
    assert_eq!(lines[1]["code"], "missing_credential");
    assert!(lines[1].get("tenant").is_none(), "{}", lines[1]);
    assert!(!gateway.output().contains("hidden"), "a query was logged");

    let of = async |series: &str| gateway.metric(series).await;
    assert_eq!(of("tollgate_http_requests_total{route=\"read\",status=\"200\"}").await, Some(1.0));
    assert_eq!(of("tollgate_http_requests_total{route=\"none\",status=\"401\"}").await, Some(1.0));
    assert_eq!(of("tollgate_http_request_seconds_count{route=\"read\"}").await, Some(1.0));
    gateway.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_break_off_leave_no_errors_in_the_log() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    for _ in 0..20 {
        let mut broken = Wire::connect(gateway.address).await;
        broken.send("GET /read HTTP/1.1\r\nHost: a").await;
        broken.reset();
        // In time the gateway has seen the others.
        assert_eq!(gateway.status("/read", &customer.secret).await, 200);
    }
    gateway.signal("TERM");
    gateway.logged("the end", |line| line["event"] == "ended").await;
    assert!(gateway.log().iter().all(|line| line["level"] != "ERROR"), "{}", gateway.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn background_threads_are_nicer_than_the_request_path_however_the_gateway_is_started() {
    for own in [0, 10, 17] {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        fixture.configure(ROUTES);
        let nicer = wrapped(&["nice", "-n", &own.to_string()], &command(&fixture.config_file()));
        let gateway = Gateway::spawn(nicer).await;
        gateway.wait_until_ready().await;
        assert_eq!(gateway.status("/read", &customer.secret).await, 200);
        let threads = gateway.threads();
        let of = |wanted: &str| -> Vec<i32> {
            threads.iter().filter(|(name, _)| name.starts_with(wanted)).map(|(_, niceness)| *niceness).collect()
        };
        let ingress = of("ingress");
        // The test itself may have been started under `nice`.
        assert!(ingress.len() == 2 && ingress[0] == ingress[1] && ingress[0] >= own, "{threads:?}");
        let wanted = (ingress[0] + 5).min(19);
        let behind = [of("background"), of("sqlx")].concat();
        assert!(behind.len() > 1 && behind.iter().all(|niceness| *niceness == wanted), "{own}: {threads:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_which_program_it_is_and_what_its_process_takes() {
    let gateway = Fixture::new().await.gateway().await;
    let (_, text) = gateway.admin("/metrics").await;
    assert!(text.contains("\ntollgate_build_info{program=\"gateway\",schema=\""), "{text}");
    for metric in ["process_open_fds", "process_resident_memory_bytes", "process_threads"] {
        assert!(gateway.metric(metric).await.is_some_and(|value| value > 0.0), "{metric}");
    }
}

#[test]
fn help_names_every_variable_that_is_read() {
    let help = command("gateway.yaml".as_ref()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for variable in ["TOLLGATE_STORE", "TOLLGATE_PEPPER", "TOLLGATE_KAFKA", "TOLLGATE_REDIS", "RUST_LOG"] {
        assert!(help.contains(&format!("\n  {variable} ")), "no {variable} in\n{help}");
    }
}
