//! Names of servers in a real DNS: looked up again when their answers are over, with the records of
//! services, and kept when they vanish.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use servers::{Dns, ServiceRecord};

use crate::support::{Customer, Fixture, eventually, faulty::Faulty, process::Gateway};

struct Setting {
    fixture: Fixture,
    customer: Customer,
    dns: Dns,
}

impl Setting {
    /// A DNS whose answers count for a second.
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        Self { fixture, customer, dns: Dns::start(1).unwrap() }
    }

    async fn gateway(&self, upstream: &str) -> Gateway {
        self.fixture.gateway_with(&self.file(upstream)).await
    }

    fn file(&self, upstream: &str) -> String {
        let dns = self.dns.address();
        format!(
            "upstreams: {{ it: {{ {upstream}, dns: {{ servers: ['{dns}'] }}, health: {{ interval_seconds: 1 }} }} }}\n\
             routes: [{{ name: all, path_prefix: /, upstream: it }}]\n"
        )
    }

    async fn served_by(&self, gateway: &Gateway) -> String {
        gateway.get("/", &self.customer.secret).await.text().await.unwrap()
    }

    /// Waits until requests in a row are served by these, in any order.
    async fn served_by_all(&self, gateway: &Gateway, names: &[&str]) {
        let seen = || async {
            let mut seen = Vec::new();
            for _ in 0..2 * names.len() {
                seen.push(self.served_by(gateway).await);
            }
            seen.sort_unstable();
            seen.dedup();
            (seen == names).then_some(())
        };
        eventually(&format!("served by {names:?}"), seen).await;
    }
}

const fn loopback(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

const fn record(target: &str, port: u16, priority: u16) -> ServiceRecord<'_> {
    ServiceRecord { service: "_http._tcp.search.test", target, port, priority, weight: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_is_looked_up_again_when_its_answer_is_over_and_kept_when_it_vanishes() {
    let mut setting = Setting::new().await;
    let old = Faulty::start_at("127.0.0.2:0", "old").await;
    let port = old.address.port();
    let _new = Faulty::start_at(&format!("127.0.0.3:{port}"), "new").await;
    let _six = Faulty::start_at(&format!("[::1]:{port}"), "six").await;
    setting.dns.set(&[(loopback(2), "search.test")], &[]).unwrap();
    let gateway = setting.gateway(&format!("servers: ['search.test:{port}']")).await;
    assert_eq!(setting.served_by(&gateway).await, "old");

    setting.dns.set(&[(loopback(3), "search.test")], &[]).unwrap();
    setting.served_by_all(&gateway, &["new"]).await;
    setting.dns.set(&[(loopback(3), "search.test"), (IpAddr::V6(Ipv6Addr::LOCALHOST), "search.test")], &[]).unwrap();
    setting.served_by_all(&gateway, &["new", "six"]).await;

    // It is gone, then the DNS server as well: its last addresses serve on.
    setting.dns.set(&[], &[]).unwrap();
    let unresolved =
        |line: &Value| line["event"] == "server_name_unresolved" && line["server"] == format!("search.test:{port}");
    gateway.logged("the lost name", unresolved).await;
    assert_eq!(gateway.metric("tollgate_upstream_names_unresolved{upstream=\"it\"}").await, Some(1.0));
    setting.served_by_all(&gateway, &["new", "six"]).await;
    setting.dns.kill().unwrap();
    setting.served_by_all(&gateway, &["new", "six"]).await;
    setting.dns.set(&[(loopback(2), "search.test")], &[]).unwrap();
    setting.served_by_all(&gateway, &["old"]).await;
    assert_eq!(gateway.metric("tollgate_upstream_names_unresolved{upstream=\"it\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_counts_for_long_is_not_asked_for_again() {
    let mut setting = Setting::new().await;
    setting.dns = Dns::start(3_600).unwrap();
    let old = Faulty::start_at("127.0.0.2:0", "old").await;
    let port = old.address.port();
    let _new = Faulty::start_at(&format!("127.0.0.3:{port}"), "new").await;
    setting.dns.set(&[(loopback(2), "search.test")], &[]).unwrap();
    let gateway = setting.gateway(&format!("servers: ['search.test:{port}']")).await;
    setting.served_by_all(&gateway, &["old"]).await;
    setting.dns.set(&[(loopback(3), "search.test")], &[]).unwrap();
    // Another name is followed meanwhile: time has passed.
    let quick = Dns::start(1).unwrap();
    let other = format!(
        "upstreams:\n  it: {{ servers: ['search.test:{port}'], dns: {{ servers: ['{}'] }}, health: {{ interval_seconds: 1 }} }}\n  \
         other: {{ servers: ['other.test:{port}'], dns: {{ servers: ['{}'] }} }}\n\
         routes: [{{ name: all, path_prefix: /, upstream: it }}, {{ name: other, path_prefix: /other, upstream: other }}]\n",
        setting.dns.address(),
        quick.address(),
    );
    let mut quick = quick;
    quick.set(&[(loopback(2), "other.test")], &[]).unwrap();
    setting.fixture.configure(&other);
    let by_other = || async { gateway.get("/other", &setting.customer.secret).await.text().await.unwrap() };
    eventually("the other name", || async { (by_other().await == "old").then_some(()) }).await;
    quick.set(&[(loopback(3), "other.test")], &[]).unwrap();
    eventually("the other name moves", || async { (by_other().await == "new").then_some(()) }).await;
    // A signal asks at once: the reload above has asked already, as it kept the upstream.
    setting.served_by_all(&gateway, &["new"]).await;
    setting.dns.set(&[(loopback(2), "search.test")], &[]).unwrap();
    quick.set(&[(loopback(2), "other.test")], &[]).unwrap();
    eventually("the other name moves back", || async { (by_other().await == "old").then_some(()) }).await;
    assert_eq!(setting.served_by(&gateway).await, "new", "its answer still counts");
    gateway.signal("HUP");
    setting.served_by_all(&gateway, &["old"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_is_found_by_its_records_and_followed() {
    let mut setting = Setting::new().await;
    let one = Faulty::start_at("127.0.0.2:0", "one").await;
    let two = Faulty::start_at("127.0.0.3:0", "two").await;
    let spare = Faulty::start_at("127.0.0.4:0", "spare").await;
    let hosts = [(loopback(2), "one.test"), (loopback(3), "two.test"), (loopback(4), "spare.test")];
    let records = [
        record("one.test", one.address.port(), 10),
        record("two.test", two.address.port(), 10),
        record("spare.test", spare.address.port(), 20),
    ];
    setting.dns.set(&hosts, &records).unwrap();
    let gateway = setting.gateway("servers: [{ srv: _http._tcp.search.test }]").await;
    setting.served_by_all(&gateway, &["one", "two"]).await;
    let (_, report) = gateway.admin("/health/ready").await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["upstreams"]["it"]["servers"], 3);
    let series = format!(
        "tollgate_upstream_server_up{{address=\"{}\",server=\"_http._tcp.search.test\",upstream=\"it\"}}",
        one.address
    );
    assert_eq!(gateway.metric(&series).await, Some(1.0));
    // One of them leaves, and with it its address.
    setting.dns.set(&hosts, &records[1..]).unwrap();
    setting.served_by_all(&gateway, &["two"]).await;
    // The spare one serves once it is preferred.
    let preferred = record("spare.test", spare.address.port(), 5);
    setting.dns.set(&hosts, &[records[1], preferred]).unwrap();
    setting.served_by_all(&gateway, &["spare"]).await;
    // A target without addresses is left out.
    setting.dns.set(&hosts[..2], &[records[1], preferred]).unwrap();
    setting.served_by_all(&gateway, &["two"]).await;
    setting.dns.set(&hosts, &[]).unwrap();
    gateway
        .logged("the lost service", |line| {
            line["event"] == "server_name_unresolved" && line["server"] == "_http._tcp.search.test"
        })
        .await;
    setting.served_by_all(&gateway, &["two"]).await;
}
