use super::*;

fn policy(origins: Origins) -> Arc<Cors> {
    Arc::new(Cors {
        origins,
        methods: HeaderValue::from_static("GET, POST"),
        headers: AllowedHeaders::Listed(HeaderValue::from_static("authorization, x-api-key")),
        exposed: HeaderValue::from_static("x-request-id"),
        credentials: false,
        max_age: HeaderValue::from_static("600"),
    })
}

fn listed(patterns: &[&str]) -> Origins {
    Origins::Listed(patterns.iter().map(|pattern| OriginPattern::parse(pattern).unwrap()).collect())
}

fn request(method: Method, headers: &[(&'static str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    for (name, value) in headers {
        request.append_header(*name, *value).unwrap();
    }
    request
}

fn text(response: &ResponseHeader, name: &str) -> Option<String> {
    response.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn origins_match_as_browsers_write_them() {
    let exact = OriginPattern::parse("https://App.Example.com:8443").unwrap();
    assert!(exact.matches(b"https://app.example.com:8443"));
    let others: [&[u8]; 4] =
        [b"https://app.example.com", b"http://app.example.com:8443", b"https://app.example.com:8443/", b"null"];
    for other in others {
        assert!(!exact.matches(other), "{}", other.escape_ascii());
    }
    let below = OriginPattern::parse("https://*.example.com").unwrap();
    for good in ["https://a.example.com", "https://a.b.example.com"] {
        assert!(below.matches(good.as_bytes()), "{good}");
    }
    for wrong in [
        "https://example.com",
        "https://.example.com",
        "http://a.example.com",
        "https://aexample.com",
        "https://a.example.com:8443",
        "https://evil.test/.example.com",
        "https://evil.test#.example.com",
        "https://a.example.com.evil.test",
    ] {
        assert!(!below.matches(wrong.as_bytes()), "{wrong}");
    }
    for good in ["http://localhost:3000", "http://[::1]:3000", "capacitor://localhost", "http://127.0.0.1"] {
        assert!(OriginPattern::parse(good).unwrap().matches(good.as_bytes()), "{good}");
    }
}

#[test]
fn text_that_no_browser_sends_is_no_origin() {
    for wrong in [
        "",
        "*",
        "null",
        "app.example.com",
        "https://",
        "https://*",
        "https://*.",
        "https://a.*.com",
        "https://a/",
        "https://a/b",
        "https://u@a",
        "https://a:b",
        "https://a:99999",
        "https://a:443",
        "http://a:80",
        "ht tp://a",
        "https://a b",
    ] {
        assert!(OriginPattern::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn preflight_is_told_by_its_headers() {
    let both = [("Origin", "https://a"), ("Access-Control-Request-Method", "PUT")];
    assert_eq!(Preflight::of(&request(Method::OPTIONS, &both)).unwrap().method, Method::PUT);
    assert!(Preflight::of(&request(Method::GET, &both)).is_none());
    assert!(Preflight::of(&request(Method::OPTIONS, &both[..1])).is_none());
    assert!(Preflight::of(&request(Method::OPTIONS, &both[1..])).is_none());
    let twice = [both[0], both[0], both[1]];
    assert!(Preflight::of(&request(Method::OPTIONS, &twice)).is_none());
    assert!(Preflight::of(&request(Method::OPTIONS, &[both[0], ("Access-Control-Request-Method", "P T")])).is_none());
}

fn answer(policy: &Arc<Cors>, origin: &str, headers: Option<&str>) -> ResponseHeader {
    let mut sent = vec![("Origin", origin), ("Access-Control-Request-Method", "POST")];
    sent.extend(headers.map(|headers| ("Access-Control-Request-Headers", headers)));
    let request = request(Method::OPTIONS, &sent);
    let preflight = Preflight::of(&request).unwrap();
    preflight.answer(&policy.grant(&request.headers), "r-1").unwrap()
}

#[test]
fn preflight_of_a_known_origin_is_told_what_it_may() {
    let policy = policy(listed(&["https://a.test"]));
    let told = answer(&policy, "https://a.test", Some("x-other"));
    assert_eq!(told.status, 204);
    assert_eq!(text(&told, "access-control-allow-origin").unwrap(), "https://a.test");
    assert_eq!(text(&told, "access-control-allow-methods").unwrap(), "GET, POST");
    assert_eq!(text(&told, "access-control-allow-headers").unwrap(), "authorization, x-api-key");
    assert_eq!(text(&told, "access-control-max-age").unwrap(), "600");
    assert_eq!(text(&told, "access-control-allow-credentials"), None);
    assert!(text(&told, "vary").unwrap().starts_with("Origin, "));
    let foreign = answer(&policy, "https://b.test", None);
    assert_eq!(foreign.status, 204);
    assert!(!foreign.headers.keys().any(|name| name.as_str().starts_with(FAMILY)), "{foreign:?}");
    assert!(foreign.headers.contains_key(VARY));
}

#[test]
fn headers_that_are_asked_for_are_named_where_any_is_allowed() {
    let mut policy = policy(Origins::Any);
    Arc::make_mut(&mut policy).headers = AllowedHeaders::Any;
    let told = answer(&policy, "https://a.test", Some("authorization, X-Own"));
    assert_eq!(text(&told, "access-control-allow-headers").unwrap(), "authorization, X-Own");
    assert_eq!(text(&told, "access-control-allow-origin").unwrap(), "*");
    for none in [None, Some(""), Some("a b"), Some("a;b")] {
        assert_eq!(text(&answer(&policy, "https://a.test", none), "access-control-allow-headers"), None, "{none:?}");
    }
}

fn written(policy: &Arc<Cors>, origin: Option<&str>, upstream: &[(&'static str, &str)]) -> ResponseHeader {
    let sent: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
    let mut response = ResponseHeader::build(200, None).unwrap();
    for (name, value) in upstream {
        response.append_header(*name, *value).unwrap();
    }
    policy.grant(&request(Method::GET, &sent).headers).write(&mut response).unwrap();
    response
}

#[test]
fn cors_headers_of_upstream_are_replaced() {
    let mut policy = policy(listed(&["https://a.test"]));
    Arc::make_mut(&mut policy).credentials = true;
    let upstream = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Private-Network", "true"),
        ("Access-Control-Expose-Headers", "x-secret"),
        ("Vary", "Accept-Encoding"),
    ];
    let told = written(&policy, Some("https://a.test"), &upstream);
    assert_eq!(text(&told, "access-control-allow-origin").unwrap(), "https://a.test");
    assert_eq!(text(&told, "access-control-expose-headers").unwrap(), "x-request-id");
    assert_eq!(text(&told, "access-control-allow-credentials").unwrap(), "true");
    assert_eq!(text(&told, "access-control-allow-private-network"), None);
    let vary: Vec<_> = told.headers.get_all(VARY).iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"]);
    for origin in [None, Some("https://b.test")] {
        let told = written(&policy, origin, &upstream);
        assert!(!told.headers.keys().any(|name| name.as_str().starts_with(FAMILY)), "{origin:?}: {told:?}");
        assert_eq!(told.headers.get_all(VARY).iter().count(), 2);
    }
}

#[test]
fn answers_vary_by_origin_only_where_origins_are_listed() {
    let vary = |policy: &Arc<Cors>, upstream: &str| {
        let told = written(policy, Some("https://a.test"), &[("Vary", upstream)]);
        told.headers.get_all(VARY).iter().count()
    };
    let listed = policy(listed(&["https://a.test"]));
    assert_eq!((vary(&listed, "Accept"), vary(&listed, "accept, origin"), vary(&listed, "*")), (2, 1, 1));
    assert_eq!(vary(&policy(Origins::Any), "Accept"), 1);
}
