//! Certificates that are ordered from an authority, which someone else wrote: Pebble. It refuses
//! some good nonces, as it does by default.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use servers::{Dns, Pebble, PebbleOptions, free_port};

use crate::support::{
    Fixture, ROUTES,
    edge::path,
    eventually,
    process::Gateway,
    tools::{Answer, curl, handshake},
};

/// A key of a customer of the authority, in base64url.
const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// An authority, the names that it looks up, and a gateway's surroundings.
struct Place {
    fixture: Fixture,
    pebble: Pebble,
    _dns: Dns,
    plain: u16,
    secure: u16,
}

impl Place {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(change: impl FnOnce(PebbleOptions) -> PebbleOptions) -> Self {
        let mut dns = Dns::start(1).unwrap();
        let local = "127.0.0.1".parse().unwrap();
        dns.set(&[(local, "a.test"), (local, "b.test"), (local, "c.test")], &[]).unwrap();
        let (plain, secure) = (free_port().unwrap(), free_port().unwrap());
        let options = PebbleOptions {
            dns: dns.address(),
            http_port: plain,
            tls_port: secure,
            profile: ("classic", 90 * 86_400),
            external_account: None,
        };
        let pebble = Pebble::start(change(options)).unwrap();
        Self { fixture: Fixture::new().await, pebble, _dns: dns, plain, secure }
    }

    fn storage(&self) -> PathBuf {
        self.fixture.path("acme")
    }

    /// The section `acme`, and a listener for its certificates beside a plain one.
    fn listeners(&self, authority: &str, hosts: &str) -> String {
        format!(
            "acme:\n  ours: {{ directory: '{}', ca_file: {}, storage: {}, agree_to_terms: true, {authority} }}\n\
             listeners:\n  - {{ address: '127.0.0.1:{}', redirect_to_https: true }}\n  \
             - address: 127.0.0.1:{}\n    http2: true\n    tls: {{ certificates: [{{ acme: ours, hosts: [{hosts}] }}] }}\n",
            self.pebble.url(),
            path(&self.pebble.ca_file()),
            path(&self.storage()),
            self.plain,
            self.secure,
        )
    }

    fn configure(&self, authority: &str, hosts: &str) {
        self.fixture.configure_listeners(&self.listeners(authority, hosts), ROUTES);
    }

    async fn start(&self) -> Gateway {
        let gateway = Gateway::start(&self.fixture.config_file()).await;
        gateway.wait_until_ready().await;
        gateway
    }

    /// A GET by curl, which trusts nobody but the authority.
    async fn get(&self, host: &str) -> Result<Answer, i32> {
        let root = self.pebble.root_file().unwrap();
        let (url, resolve) =
            (format!("https://{host}:{0}/a", self.secure), format!("{host}:{0}:127.0.0.1", self.secure));
        curl(&["--cacert", path(&root), "--resolve", &resolve, &url]).await
    }

    async fn wait_for(&self, host: &str) {
        eventually("a certificate", async || self.get(host).await.ok().filter(|answer| answer.status == 401)).await;
    }

    /// The serial number of the certificate that a client is shown.
    async fn serial(&self, host: &str) -> String {
        let address = format!("127.0.0.1:{}", self.secure).parse().unwrap();
        let shown = handshake(address, &["-servername", host, "-showcerts"]).await;
        let start = shown.find("-----BEGIN CERTIFICATE-----").unwrap_or_else(|| panic!("no certificate: {shown}"));
        let file = self.fixture.path("shown.pem");
        fs::write(&file, &shown[start..]).unwrap();
        let read =
            std::process::Command::new("openssl").args(["x509", "-noout", "-serial", "-in", path(&file)]).output();
        String::from_utf8(read.unwrap().stdout).unwrap()
    }
}

async fn orders(gateway: &Gateway, outcome: &str) -> f64 {
    let series = format!("tollgate_acme_orders_total{{authority=\"ours\",outcome=\"{outcome}\"}}");
    gateway.metric(&series).await.unwrap()
}

async fn missing(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_acme_certificates_missing{authority=\"ours\"}").await.unwrap()
}

/// Each file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_ordered_by_http_is_kept_privately_and_outlives_restarts() {
    let place = Place::new().await;
    place.configure("contact: [ops@a.test], challenge: http-01", "a.test, b.test");
    let gateway = place.start().await;
    place.wait_for("a.test").await;
    place.wait_for("b.test").await;
    assert_eq!((orders(&gateway, "issued").await, missing(&gateway).await), (1.0, 0.0));
    let stored = files(&place.storage());
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(stored.iter().all(|file| mode(file) == 0o600), "{stored:?}");
    let pems: Vec<&PathBuf> = stored.iter().filter(|file| file.extension().is_some_and(|end| end == "pem")).collect();
    assert_eq!(pems.len(), 1, "{stored:?}");
    let expiry = format!("tollgate_certificate_expiry_timestamp_seconds{{certificate=\"{}\"}}", path(pems[0]));
    assert!(gateway.metric(&expiry).await.unwrap() > 1_800_000_000.0);
    // A question that nobody has an answer to goes the way of every other request.
    let question = format!("http://127.0.0.1:{}/.well-known/acme-challenge/unknown", place.plain);
    assert_eq!(curl(&[&question]).await.unwrap().status, 308);

    let serial = place.serial("a.test").await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let again = place.start().await;
    place.wait_for("a.test").await;
    assert_eq!(place.serial("a.test").await, serial);
    assert_eq!((orders(&again, "issued").await, orders(&again, "failed").await), (0.0, 0.0));
    // The authority says that it should be renewed now: it is, at the next start at the latest.
    place
        .pebble
        .suggest_renewal(
            fs::read_to_string(pems[0]).unwrap().split_inclusive("-----END CERTIFICATE-----\n").next().unwrap(),
        )
        .unwrap();
    again.signal("TERM");
    assert!(again.ended().await.success());
    let last = place.start().await;
    eventually("the renewal", async || (orders(&last, "issued").await >= 1.0).then_some(())).await;
    eventually("the new certificate", async || (place.serial("a.test").await != serial).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_ordered_by_handshake_outlives_an_upgrade_and_its_protocol_serves_nobody() {
    let place = Place::new().await;
    place.configure("challenge: tls-alpn-01", "a.test");
    let gateway = place.start().await;
    place.wait_for("a.test").await;
    let serial = place.serial("a.test").await;
    let address = format!("127.0.0.1:{}", place.secure).parse().unwrap();
    let offered = handshake(address, &["-servername", "a.test", "-alpn", "acme-tls/1"]).await;
    assert!(offered.contains("no peer certificate available"), "{offered}");
    let both = handshake(address, &["-servername", "a.test", "-alpn", "acme-tls/1,http/1.1"]).await;
    assert!(both.contains("ALPN protocol: http/1.1"), "{both}");
    let next = Gateway::upgrade(&place.fixture.config_file()).await;
    assert!(gateway.ended().await.success());
    place.wait_for("a.test").await;
    assert_eq!(place.serial("a.test").await, serial);
    assert_eq!((orders(&next, "issued").await, orders(&next, "failed").await), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn short_certificate_is_renewed_under_load_and_serves_on_while_the_authority_is_away() {
    let mut place = Place::with(|options| PebbleOptions { profile: ("short", 24), ..options }).await;
    place.configure("profile: short", "a.test");
    let gateway = place.start().await;
    place.wait_for("a.test").await;
    let (first, stop) = (place.serial("a.test").await, AtomicBool::new(false));
    let ask = async {
        while !stop.load(Ordering::SeqCst) {
            assert_eq!(place.get("a.test").await.map(|answer| answer.status), Ok(401));
        }
    };
    let wait = async {
        eventually("another certificate", async || (place.serial("a.test").await != first).then_some(())).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(ask, wait);
    let before = orders(&gateway, "failed").await;
    place.pebble.stop().unwrap();
    eventually("a failed order", async || (orders(&gateway, "failed").await > before).then_some(())).await;
    let failed = |line: &serde_json::Value| {
        line["event"] == "certificate_order_failed" && line["consequence"] == "the certificate in force stays"
    };
    gateway.logged("the failure", failed).await;
    let kept = place.serial("a.test").await;
    // It has forgotten the account meanwhile, and signs under another root.
    place.pebble.restart().unwrap();
    eventually("a certificate of the other root", async || (place.serial("a.test").await != kept).then_some(())).await;
    place.wait_for("a.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_starts_and_serves_other_names_while_the_authority_is_away() {
    let mut place = Place::new().await;
    place.pebble.stop().unwrap();
    let other = servers::Authority::create(&place.fixture.path("."), "other").unwrap();
    let identity = other.sign("other.test").unwrap();
    let listeners = place.listeners("challenge: http-01", "a.test").replace(
        "certificates: [",
        &format!(
            "certificates: [{{ certificate_file: {}, key_file: {} }}, ",
            path(&identity.certificate),
            path(&identity.key)
        ),
    );
    place.fixture.configure_listeners(&listeners, ROUTES);
    let gateway = place.start().await;
    let failed = gateway.logged("the failure", |line| line["event"] == "certificate_order_failed").await;
    assert_eq!(failed["consequence"], "handshakes for its names are refused");
    eventually("the missing certificate", async || (missing(&gateway).await > 0.0).then_some(())).await;
    let resolve = |host: &str| format!("{host}:{}:127.0.0.1", place.secure);
    let url = |host: &str| format!("https://{host}:{}/a", place.secure);
    let authority = other.file();
    let get = async |host: &str| curl(&["--cacert", path(&authority), "--resolve", &resolve(host), &url(host)]).await;
    assert_eq!(get("other.test").await.map(|answer| answer.status), Ok(401));
    // curl's error for a handshake that the server refuses.
    assert_eq!(get("a.test").await.unwrap_err(), 35);
    place.pebble.restart().unwrap();
    place.wait_for("a.test").await;
    eventually("no missing certificate", async || (missing(&gateway).await == 0.0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_storage_order_once_and_answer_for_each_other() {
    let mut place = Place::new().await;
    place.pebble.stop().unwrap();
    place.configure("challenge: http-01", "a.test");
    let first = place.start().await;
    // The other one is asked for another name too, whose questions go to the first.
    let (plain, secure) = (free_port().unwrap(), free_port().unwrap());
    let text = fs::read_to_string(place.fixture.config_file()).unwrap();
    let text = text
        .replace("name: test", "name: other")
        .replace("/journal'", "/journal-of-the-other'")
        .replace(&format!("127.0.0.1:{}", place.plain), &format!("127.0.0.1:{plain}"))
        .replace(&format!("127.0.0.1:{}", place.secure), &format!("127.0.0.1:{secure}"))
        .replace("hosts: [a.test] }", "hosts: [a.test] }, { acme: ours, hosts: [b.test] }");
    let file = place.fixture.path("other.yaml");
    fs::write(&file, text).unwrap();
    let other = Gateway::start(&file).await;
    other.wait_until_ready().await;
    place.pebble.restart().unwrap();
    place.wait_for("a.test").await;
    let root = place.pebble.root_file().unwrap();
    for host in ["a.test", "b.test"] {
        let (url, resolve) = (format!("https://{host}:{secure}/a"), format!("{host}:{secure}:127.0.0.1"));
        eventually("the other's certificate", async || {
            curl(&["--cacert", path(&root), "--resolve", &resolve, &url]).await.ok()
        })
        .await;
    }
    let issued = orders(&first, "issued").await + orders(&other, "issued").await;
    assert!((issued - 2.0).abs() < 0.5, "{issued} orders");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_is_bound_to_a_customer_and_an_edit_is_tried_at_once() {
    let place =
        Place::with(|options| PebbleOptions { external_account: Some(("customer-1", EXTERNAL_KEY)), ..options }).await;
    place.configure("challenge: http-01", "a.test");
    let gateway = place.start().await;
    let refused = gateway.logged("the refusal", |line| line["event"] == "certificate_order_failed").await;
    assert!(refused["error"].as_str().unwrap().contains("externalAccountRequired"), "{refused}");
    let key = place.fixture.path("external.key");
    fs::write(&key, format!("{EXTERNAL_KEY}\n")).unwrap();
    place.configure(&format!("external_account: {{ key_id: customer-1, key_file: {} }}", path(&key)), "a.test");
    place.wait_for("a.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_cannot_be_proved_is_told_with_the_reason_and_not_tried_again_soon() {
    let place = Place::new().await;
    place.configure("challenge: http-01", "a.test, nowhere.test");
    let gateway = place.start().await;
    let refused = gateway.logged("the refusal", |line| line["event"] == "certificate_order_failed").await;
    let reason = refused["error"].as_str().unwrap();
    assert!(reason.contains("nowhere.test") && reason.contains("urn:ietf:params:acme:error:"), "{refused}");
    assert!(refused["retry_in_seconds"].as_u64().unwrap() >= 40, "{refused}");
    // Neither does a restart try it sooner.
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let again = place.start().await;
    eventually("the missing certificate", async || (missing(&again).await > 0.0).then_some(())).await;
    let failed = orders(&again, "failed").await;
    assert!(failed < 0.5, "{failed} failed orders");
    // A certificate for the names that can be proved is another order.
    place.configure("challenge: http-01", "a.test");
    place.wait_for("a.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipped_example_serves() {
    let place = Place::new().await;
    let example = include_str!("../../../config/examples/acme.yaml");
    let storage = place.storage();
    let mut text = example.to_owned();
    for (old, new) in [
        ("https://acme-v02.api.letsencrypt.org/directory", &*place.pebble.url()),
        (
            "storage: /var/lib/tollgate/acme",
            &format!("storage: {}\n    ca_file: {}", path(&storage), path(&place.pebble.ca_file())),
        ),
        ("0.0.0.0:80\n", &format!("127.0.0.1:{}\n", place.plain)),
        ("0.0.0.0:443\n", &format!("127.0.0.1:{}\n", place.secure)),
        ("api.example.com", "a.test"),
        ("www.example.com", "b.test"),
        ("legacy.example.org", "c.test"),
        ("127.0.0.1:9000", "DEMO"),
    ] {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    place.fixture.configure_listeners("", &text);
    let gateway = place.start().await;
    for host in ["a.test", "b.test", "c.test"] {
        place.wait_for(host).await;
    }
    let issued = orders_of(&gateway, "letsencrypt").await;
    assert!((issued - 2.0).abs() < 0.5, "{issued} orders");
    let plain = curl(&[&format!("http://127.0.0.1:{}/a", place.plain)]).await.unwrap();
    assert_eq!(plain.status, 308);
}

async fn orders_of(gateway: &Gateway, authority: &str) -> f64 {
    let series = format!("tollgate_acme_orders_total{{authority=\"{authority}\",outcome=\"issued\"}}");
    gateway.metric(&series).await.unwrap()
}
