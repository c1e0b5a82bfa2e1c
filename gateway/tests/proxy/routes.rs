//! Requests take the most specific route: by path, conditions and method.

use reqwest::Method;

use crate::support::{
    Fixture, eventually,
    process::Gateway,
    raw::{RawUpstream, Wire},
};

const ROUTES: &str = "
upstreams:
  demo: { servers: ['DEMO'] }
routes:
  - { name: all, path_prefix: /, upstream: demo, public: true }
  - { name: users, path: /users, methods: [GET], upstream: demo, public: true }
  - { name: user, path: '/users/{id}', methods: [GET, DELETE], upstream: demo, public: true, cors: { origins: '*' } }
  - { name: me, path: /users/me, methods: [GET], upstream: demo, public: true }
  - { name: second, path: '/users/{id}', headers: { X-Version: '2' }, upstream: demo, public: true,
      cors: { origins: 'https://two.test', headers: [X-Version] } }
  - { name: beta, path_prefix: /users, query: { beta: 1 }, upstream: demo, public: true }
";

/// The route that served a request with this status, by the access log.
async fn route_of(gateway: &Gateway, request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let (status, id) = (answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap().to_owned());
    let line = eventually("the access line", || async {
        gateway.access_log().into_iter().find(|line| line["request_id"] == id)
    });
    (status, line.await["route"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn most_specific_route_serves_a_request_whatever_the_order_of_the_file() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(ROUTES).await;
    let cases = [
        (Method::GET, "/users", None, 200, "users"),
        (Method::GET, "/users/", None, 200, "users"),
        (Method::POST, "/users", None, 405, "none"),
        (Method::GET, "/users/5", None, 200, "user"),
        (Method::GET, "/users/me", None, 200, "me"),
        (Method::DELETE, "/users/me", None, 405, "none"),
        (Method::GET, "/users/ME", None, 400, "none"),
        (Method::GET, "/users/5", Some("2"), 200, "second"),
        (Method::PUT, "/users/5", Some("2"), 200, "second"),
        (Method::PUT, "/users/5", Some("3"), 405, "none"),
        (Method::GET, "/users/5/items?beta=1", None, 200, "beta"),
        (Method::GET, "/users/5/items?beta=1&beta=0", None, 200, "all"),
        (Method::GET, "/users/5/items", None, 200, "all"),
    ];
    for (method, target, version, status, route) in cases {
        let request = gateway.client.request(method.clone(), gateway.url(target));
        let request = request.bearer_auth(customer.secret.expose());
        let request = version.into_iter().fold(request, |request, version| request.header("X-Version", version));
        assert_eq!(route_of(&gateway, request).await, (status, route.to_owned()), "{method} {target} {version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_takes_the_route_of_the_request_that_it_announces() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(ROUTES).await;
    for (headers, route) in [("x-version", "second"), ("authorization", "user")] {
        let request =
            gateway.client.request(Method::OPTIONS, gateway.url("/users/5")).header("Origin", "https://two.test");
        let request = request.header("Access-Control-Request-Method", "GET");
        let request = request.header("Access-Control-Request-Headers", headers);
        assert_eq!(route_of(&gateway, request).await, (204, route.to_owned()), "{headers}");
    }
    assert_eq!(fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_compressed_pass_as_they_are() {
    let (fixture, upstream) = (Fixture::new().await, RawUpstream::start().await);
    let routes = format!(
        "upstreams: {{ raw: {{ servers: ['{}'] }} }}\nroutes: [{{ name: a, path_prefix: /, upstream: raw, public: true }}]\n",
        upstream.address
    );
    let gateway = fixture.gateway_with(&routes).await;
    for coding in ["gzip", "br", "zstd"] {
        let mut client = Wire::connect(gateway.address).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"))
            .await;
        let (mut server, request) = upstream.request().await;
        assert!(request.to_lowercase().contains(&format!("accept-encoding: {coding}\r\n")), "{request}");
        // No gateway that decoded or encoded anything would pass these bytes on.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nVary: Accept-Encoding\r\nContent-Length: 4\r\n\r\n\x1f\x01\x02\x03"
        );
        server.send(answer).await;
        let answer = client.read_to_end().await;
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        let header = header.to_lowercase();
        assert!(
            header.contains(&format!("content-encoding: {coding}")) && header.contains("content-length: 4"),
            "{header}"
        );
        assert!(header.contains("vary: accept-encoding") && body == "\x1f\x01\x02\x03", "{answer:?}");
    }
}
