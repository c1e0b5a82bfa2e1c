//! Calls of gRPC, between a client and a server of its own library: messages, metadata and trailers
//! pass; refusals have gRPC's shape; deadlines are kept; errors are billed as the route says.

use bytes::Bytes;
use common::key::Secret;
use serde_json::{Value, json};
use servers::{GrpcCall, GrpcServer, grpc_call};

use crate::{
    http2::WITHOUT_TLS,
    support::{
        Customer, Fixture, eventually,
        http2::{Http2, read, read_body},
        process::Gateway,
    },
};

struct Setting {
    fixture: Fixture,
    customer: Customer,
    server: GrpcServer,
    gateway: Gateway,
}

impl Setting {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let server = GrpcServer::start().await.unwrap();
        let address = server.address;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let gateway = fixture
            .gateway_with(&format!(
                "{WITHOUT_TLS}
upstreams:
  echo: {{ servers: ['{address}'], protocol: http2, essential: true, health: {{ grpc: test.Echo, interval_seconds: 1 }} }}
  nobody: {{ servers: ['{nobody}'], protocol: http2 }}
routes:
  - {{ name: echo, path_prefix: /test.Echo, upstream: echo, billable: ['200'] }}
  - {{ name: say, path_prefix: /test.Echo/Say, upstream: echo }}
  - {{ name: gone, path_prefix: /test.Gone, upstream: nobody }}
"
            ))
            .await;
        Self { fixture, customer, server, gateway }
    }

    fn call(&self, method: &str, kind: &str, messages: &[&str]) -> Value {
        self.call_as(Some(&self.customer.secret), method, kind, messages)
    }

    fn call_as(&self, secret: Option<&Secret>, method: &str, kind: &str, messages: &[&str]) -> Value {
        let metadata = secret.map_or(json!({}), |secret| json!({ "x-api-key": secret.expose() }));
        let address = self.gateway.address;
        grpc_call(&GrpcCall { address, method, kind, timeout: 30.0, metadata: &metadata, messages }).unwrap()
    }

    /// A call by hand, of which `message` is the first message.
    async fn begin(
        &self,
        client: &mut Http2,
        path: &str,
        timeout: &str,
        message: &str,
        is_last: bool,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = Http2::request("POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", timeout)
            .header("x-api-key", self.customer.secret.expose());
        let (answer, mut sending) = client.send(request, false).await;
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let framed = [&[0][..], &length, message.as_bytes()].concat();
        // The gateway may have refused the call already, and the stream be over: the answer tells.
        let _ = sending.send_data(framed.into(), is_last);
        (answer, sending)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_metadata_and_trailers_pass() {
    let setting = Setting::new().await;
    let said = setting.call("Say", "unary", &["hello"]);
    assert_eq!((&said["code"], &said["trailer"]["x-length"]), (&json!(0), &json!("5")), "{said}");
    assert_eq!(said["header"]["x-begun"], "yes", "{said}");
    assert!(said["header"].get("x-request-id").is_some(), "{said}");
    let message: Value = serde_json::from_str(said["messages"][0].as_str().unwrap()).unwrap();
    assert_eq!(message["said"], "hello");
    assert_eq!(message["tenant"], setting.customer.tenant.to_string());
    assert_eq!(message["key"], Value::Null, "the key stays with the gateway");
    let left = message["left"].as_f64().unwrap();
    assert!(left > 0.0 && left < 30.0, "the upstream is told what is left of the deadline: {left}");
    let counted = setting.call("Count", "stream", &["100"]);
    assert_eq!((&counted["code"], counted["messages"].as_array().unwrap().len()), (&json!(0), 100), "{counted}");
    let repeated = setting.call("Repeat", "duplex", &["a", "b", "c"]);
    assert_eq!((&repeated["code"], &repeated["messages"]), (&json!(0), &json!(["a", "b", "c"])), "{repeated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_shape_of_grpc() {
    let setting = Setting::new().await;
    let nobody = setting.call_as(None, "Say", "unary", &["hello"]);
    assert_eq!(nobody["code"], 16, "{nobody}");
    assert!(nobody["details"].as_str().unwrap().starts_with("missing_credential: "), "{nobody}");
    let narrow = setting.fixture.customer(Some("narrow")).await;
    eventually("known to the gateway", async || {
        (setting.call_as(Some(&narrow.secret), "Say", "unary", &["1"])["code"] == 0).then_some(())
    })
    .await;
    let mut limited = Value::Null;
    for _ in 0..4 {
        limited = setting.call_as(Some(&narrow.secret), "Say", "unary", &["1"]);
    }
    assert_eq!(limited["code"], 8, "{limited}");
    assert!(limited["details"].as_str().unwrap().starts_with("rate_limited: "), "{limited}");
    assert!(limited["trailer"].get("retry-after").is_some(), "{limited}");
    let mut client = Http2::connect(setting.gateway.address).await;
    for (path, timeout, status) in [
        ("/nowhere.Service/Method", "1S", "12"),
        ("/test.Gone/Method", "1S", "14"),
        ("/test.Echo/Say", "soon", "3"),
        ("/test.Echo/Say", "0m", "4"),
    ] {
        let (answer, _) = setting.begin(&mut client, path, timeout, "hello", true).await;
        let answer = read(answer).await;
        assert_eq!((answer.status, answer.headers["grpc-status"].to_str().unwrap()), (200, status), "{answer:?}");
        assert_eq!((&*answer.body, answer.trailers.clone()), ("", None), "{answer:?}");
    }
    let request =
        Http2::request("POST", "/test.Echo/Say").header("content-type", "application/grpc").header("host", "b");
    assert_eq!(client.ask(request).await.headers["grpc-status"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_ends_call_and_reaches_the_upstream() {
    let setting = Setting::new().await;
    let mut client = Http2::connect(setting.gateway.address).await;
    // This client does not keep the deadline itself.
    let (answer, _) = setting.begin(&mut client, "/test.Echo/Wait", "300m", "60", true).await;
    let answer = read(answer).await;
    assert_eq!(answer.headers["grpc-status"], "4", "{answer:?}");
    eventually("the upstream's call has ended", async || {
        setting.server.said().contains(&"ended early".into()).then_some(())
    })
    .await;
    // Once messages have come, trailers end the call.
    let (answer, _sending) = setting.begin(&mut client, "/test.Echo/Repeat", "2S", "hello", false).await;
    let response = answer.await.unwrap();
    assert!(!response.headers().contains_key("grpc-status"));
    let answer = read_body(response).await;
    assert!(answer.body.ends_with("hello"), "{answer:?}");
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "4", "{trailers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_billed_by_the_status_that_stands_for_them() {
    let setting = Setting::new().await;
    assert_eq!(setting.call("Refuse", "unary", &["5"])["code"], 5);
    assert_eq!(setting.call("Refuse", "unary", &["14"])["code"], 14);
    // This one has begun to answer.
    assert_eq!(setting.call("Count", "stream", &["-2"])["code"], 15);
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 3).await;
    let mut told: Vec<_> = records.iter().map(|record| (record.status, record.billable)).collect();
    told.sort_unstable();
    assert_eq!(told, [(200, true), (404, false), (503, false)]);
    let line = eventually("access lines", async || {
        setting.gateway.access_log().into_iter().find(|line| line["path"] == "/test.Echo/Count")
    })
    .await;
    assert_eq!((&line["status"], &line["grpc_status"]), (&json!(200), &json!(15)), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn breaker_and_ejection_count_calls_that_servers_say_they_failed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let servers = [GrpcServer::start().await.unwrap(), GrpcServer::start().await.unwrap()];
    let (one, two) = (servers[0].address, servers[1].address);
    let gateway = fixture
        .gateway_with(&format!(
            "{WITHOUT_TLS}
upstreams:
  broken: {{ servers: ['{one}'], protocol: http2, breaker: {{ error_percent: 50, least_requests: 4, open_seconds: 60 }} }}
  pair: {{ servers: ['{one}', '{two}'], protocol: http2, ejection: {{ failures: 2, statuses: [5xx] }} }}
routes:
  - {{ name: broken, path_prefix: /test.Echo, upstream: broken }}
  - {{ name: pair, path_prefix: /test.Echo/Refuse, headers: {{ x-pair: 'yes' }}, upstream: pair }}
"
        ))
        .await;
    let call = |method: &str, kind: &str, message: &str, pair: bool| {
        let mut metadata = json!({ "x-api-key": customer.secret.expose() });
        if pair {
            metadata["x-pair"] = json!("yes");
        }
        let messages = [message];
        let call = GrpcCall {
            address: gateway.address,
            method,
            kind,
            timeout: 30.0,
            metadata: &metadata,
            messages: &messages,
        };
        grpc_call(&call).unwrap()
    };
    // Statuses that a client brings about by itself say nothing of the server.
    for status in ["5", "4", "12", "8", "5", "4"] {
        assert_eq!(call("Refuse", "unary", status, false)["code"].to_string(), status);
    }
    // One that ends a call with a failure behind its messages counts as well.
    for _ in 0..3 {
        assert_eq!(call("Count", "stream", "-2", false)["code"], 15);
        assert_eq!(call("Refuse", "unary", "14", false)["code"], 14);
    }
    let refused = call("Say", "unary", "hello", false);
    assert_eq!(refused["code"], 14, "{refused}");
    assert!(refused.to_string().contains("upstream_unavailable"), "{refused}");
    for _ in 0..4 {
        assert_eq!(call("Refuse", "unary", "14", true)["code"], 14);
    }
    let ejected = gateway.logged("an ejection", |line| line["event"] == "server_ejected").await;
    assert_eq!(
        (&ejected["upstream"], &ejected["reason"]),
        (&json!("pair"), &json!("the server answered 503")),
        "{ejected}"
    );
}
