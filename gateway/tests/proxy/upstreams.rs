//! Servers that fail their checks, names that move, and what readiness says of both.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
};
use serde_json::Value;

use crate::support::{
    Fixture, eventually,
    hosts::Hosts,
    process::{Gateway, command},
    raw::RawUpstream,
};

/// A server that notes the header `Host` of its health checks, and answers them as the test says.
struct Checked {
    address: SocketAddr,
    state: Arc<Checks>,
}

#[derive(Default)]
struct Checks {
    hosts: Mutex<Vec<String>>,
    /// Status of `/up`; 0 is 200 after a second and a half.
    status: AtomicU16,
    name: String,
}

impl Checked {
    async fn start(listen: &str, name: &str) -> Self {
        let state = Arc::new(Checks { status: AtomicU16::new(200), name: name.to_owned(), ..Checks::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    fn hosts(&self) -> Vec<String> {
        self.state.hosts.lock().unwrap().clone()
    }
}

async fn answer(State(checks): State<Arc<Checks>>, request: Request) -> (StatusCode, String) {
    if request.uri().path() != "/up" {
        return (StatusCode::OK, checks.name.clone());
    }
    checks.hosts.lock().unwrap().push(request.headers()["host"].to_str().unwrap().to_owned());
    match checks.status.load(Ordering::SeqCst) {
        0 => {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            (StatusCode::OK, String::new())
        }
        status => (StatusCode::from_u16(status).unwrap(), "body".into()),
    }
}

fn file(upstream: &str) -> String {
    format!("upstreams:\n  it: {upstream}\nroutes: [{{ name: all, path_prefix: /, upstream: it }}]\n")
}

async fn report(gateway: &Gateway) -> (u16, Value) {
    let (status, body) = gateway.admin("/health/ready").await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Waits until an upstream has this status, and gives what is told of it.
async fn upstream_is(gateway: &Gateway, upstream: &str, status: &str) -> Value {
    let told = || async {
        let told = report(gateway).await.1["upstreams"][upstream].take();
        (told["status"] == status).then_some(told)
    };
    eventually(&format!("upstream {upstream} is {status}"), told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_name_the_server_that_they_go_to() {
    let fixture = Fixture::new().await;
    let servers = [Checked::start("[::1]:0", "six").await, Checked::start("127.0.0.1:0", "four").await];
    let [six, four] = servers.each_ref().map(|server| server.address.to_string());
    let own = format!("{{ servers: ['{six}', '{four}'], health: {{ interval_seconds: 1, path: /up }} }}");
    let gateway = fixture.gateway_with(&file(&own)).await;
    upstream_is(&gateway, "it", "up").await;
    assert!(
        six.starts_with("[::1]:") && servers[0].hosts().iter().all(|host| *host == six),
        "{:?}",
        servers[0].hosts()
    );
    assert!(servers[1].hosts().iter().all(|host| *host == four), "{:?}", servers[1].hosts());
    fixture.configure(&file(&own.replace("path: /up", "path: /up, host: api.test")));
    eventually("the configured host", || async {
        servers.iter().all(|server| server.hosts().iter().any(|host| host == "api.test")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_fails_its_checks_is_down_and_serves_if_it_is_the_last() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let server = Checked::start("127.0.0.1:0", "it").await;
    let health = "{ interval_seconds: 1, path: /up, unhealthy_after: 2, healthy_after: 1 }";
    let gateway =
        fixture.gateway_with(&file(&format!("{{ servers: ['{}'], health: {health} }}", server.address))).await;
    upstream_is(&gateway, "it", "up").await;
    server.state.status.store(500, Ordering::SeqCst);
    let told = upstream_is(&gateway, "it", "down").await;
    assert_eq!(told["problems"][0]["reason"], "GET /up answered 500, not 2xx");
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    gateway.logged("the server is down", |line| line["event"] == "server_down" && line["upstream"] == "it").await;
    gateway.logged("the upstream is down", |line| line["event"] == "upstream_down").await;
    let series =
        format!("tollgate_upstream_server_up{{address=\"{0}\",server=\"{0}\",upstream=\"it\"}}", server.address);
    assert_eq!(gateway.metric(&series).await, Some(0.0));
    server.state.status.store(204, Ordering::SeqCst);
    upstream_is(&gateway, "it", "up").await;
    assert_eq!(gateway.metric(&series).await, Some(1.0));
    gateway.logged("the upstream is up", |line| line["event"] == "upstream_up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_check_succeeds_if_its_time_is_set_so() {
    let fixture = Fixture::new().await;
    let server = Checked::start("127.0.0.1:0", "slow").await;
    server.state.status.store(0, Ordering::SeqCst);
    let with = |timeout: u32| {
        let health = format!("{{ interval_seconds: 1, path: /up, timeout_ms: {timeout}, unhealthy_after: 1 }}");
        file(&format!("{{ servers: ['{}'], health: {health} }}", server.address))
    };
    let gateway = fixture.gateway_with(&with(60_000)).await;
    upstream_is(&gateway, "it", "up").await;
    fixture.configure(&with(200));
    let told = upstream_is(&gateway, "it", "down").await;
    assert_eq!(told["problems"][0]["reason"], "no answer within 200 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_moves_is_followed_without_a_signal() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let old = Checked::start("127.0.0.2:0", "old").await;
    let port = old.address.port();
    let _new = Checked::start(&format!("127.0.0.3:{port}"), "new").await;
    let hosts = Hosts::new(&[("127.0.0.2", "moving.test")]);
    fixture.configure(&file(&format!("{{ servers: ['moving.test:{port}'], dns: {{ interval_seconds: 1 }} }}")));
    let gateway = Gateway::spawn(hosts.command(&fixture.config_file())).await;
    gateway.wait_until_ready().await;
    let served_by = || async { gateway.get("/", &customer.secret).await.text().await.unwrap() };
    assert_eq!(served_by().await, "old");
    hosts.set(&[("127.0.0.3", "moving.test")]);
    eventually("the new address", || async { (served_by().await == "new").then_some(()) }).await;
    // The old one still answers, and gets nothing more.
    for _ in 0..4 {
        assert_eq!(served_by().await, "new");
    }
    let moved = |line: &Value| line["event"] == "server_addresses" && line["addresses"] == format!("127.0.0.3:{port}");
    gateway.logged("the move", moved).await;

    hosts.set(&[]);
    gateway.logged("the lost name", |line| line["event"] == "server_name_unresolved").await;
    assert_eq!(served_by().await, "new");
    assert_eq!(gateway.metric("tollgate_upstream_names_unresolved{upstream=\"it\"}").await, Some(1.0));
    hosts.set(&[("127.0.0.2", "moving.test"), ("127.0.0.3", "moving.test")]);
    // A server gets requests beside one that is up once its first check has succeeded.
    eventually("both addresses", || async {
        (report(&gateway).await.1["upstreams"]["it"]["healthy"] == 2).then_some(())
    })
    .await;
    let mut both = [served_by().await, served_by().await];
    both.sort();
    assert_eq!(both, ["new", "old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_does_not_resolve_is_a_warning_and_a_server_that_is_down() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let late = Checked::start("127.0.0.2:0", "late").await;
    let good =
        "upstreams:\n  demo: { servers: ['DEMO'] }\nroutes:\n  - { name: good, path_prefix: /good, upstream: demo }\n";
    let both = good.replace(
        "routes:\n",
        &format!(
            "  late: {{ servers: ['late.test:{}'] }}\nroutes:\n  - {{ name: late, path_prefix: /late, upstream: late }}\n",
            late.address.port()
        ),
    );
    let hosts = Hosts::new(&[]);
    fixture.configure(&both);
    let checked = hosts.command(&fixture.config_file()).arg("--check").output().unwrap();
    let (told, warned) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success() && told.contains("ok, 2 routes, 2 upstreams"), "{told}{warned}");
    assert!(
        warned.contains("warning: upstream `late`: `late.test:") && warned.contains("does not resolve"),
        "{warned}"
    );

    // At the start: the rest serves.
    let gateway = Gateway::spawn(hosts.command(&fixture.config_file())).await;
    gateway.wait_until_ready().await;
    assert_eq!(gateway.status("/good", &customer.secret).await, 200);
    let refused = gateway.get("/late", &customer.secret).await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().await.unwrap().contains("upstream_unavailable"));
    let told = upstream_is(&gateway, "late", "down").await;
    assert!(told["problems"][0]["reason"].as_str().unwrap().contains("does not resolve"), "{told}");
    let unresolved = |line: &Value| line["event"] == "server_name_unresolved" && line["upstream"] == "late";
    gateway.logged("the warning", unresolved).await;

    hosts.set(&[("127.0.0.2", "late.test")]);
    eventually("the late server", || async { (gateway.status("/late", &customer.secret).await == 200).then_some(()) })
        .await;

    // At a reload: another name that does not resolve changes nothing for the others.
    fixture.configure(&both.replace("late.test", "later.test").replace("/good", "/better"));
    eventually("the reload", || async { (gateway.status("/better", &customer.secret).await == 200).then_some(()) })
        .await;
    assert_eq!(gateway.status("/late", &customer.secret).await, 502);
    assert_eq!(gateway.metric("tollgate_config_last_reload_successful").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_upstream_leaves_the_gateway_ready_unless_it_is_essential() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let dead = RawUpstream::start().await.address;
    let both = format!(
        "upgrade_drain_seconds: 1
upstreams:
  demo: {{ servers: ['DEMO'], health: {{ interval_seconds: 1 }}, essential: true }}
  dead: {{ servers: ['{dead}'], health: {{ interval_seconds: 1 }} }}
routes:
  - {{ name: good, path_prefix: /good, upstream: demo }}
  - {{ name: bad, path_prefix: /bad, upstream: dead }}
"
    );
    let gateway = fixture.gateway_with(&both).await;
    let told = upstream_is(&gateway, "dead", "down").await;
    assert_eq!((&told["healthy"], &told["servers"], &told["essential"]), (&0.into(), &1.into(), &false.into()));
    let (status, ready) = report(&gateway).await;
    assert_eq!((status, &ready["status"]), (200, &"ready".into()));
    assert_eq!(ready["upstreams"]["demo"]["status"], "up");

    // It is in the way of no upgrade.
    let next = Gateway::upgrade(&fixture.config_file()).await;
    assert!(gateway.ended().await.success());
    assert_eq!(next.status("/good", &customer.secret).await, 200);
    assert_eq!(next.status("/bad", &customer.secret).await, 502);

    fixture.configure(&both.replace("interval_seconds: 1 } }", "interval_seconds: 1 }, essential: true }"));
    let reasons = eventually("not ready", || async {
        let (status, report) = report(&next).await;
        (status == 503).then(|| report["reasons"].clone())
    })
    .await;
    assert_eq!(reasons, serde_json::json!(["no server of the essential upstream `dead` answers"]));
    assert_eq!(next.status("/good", &customer.secret).await, 200);
    let refused = command(&fixture.config_file()).arg("--upgrade").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("essential upstream `dead`"), "{told}");
    assert_eq!(next.status("/good", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_the_system_trusts_and_that_cannot_be_read_are_told() {
    let fixture = Fixture::new().await;
    fixture.configure(&file("{ servers: ['DEMO'] }"));
    let mut command = command(&fixture.config_file());
    let output = command.env("SSL_CERT_FILE", fixture.path("nowhere.pem")).env_remove("SSL_CERT_DIR").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("SSL_CERT_FILE") && !told.contains("panicked"), "{told}");
}
