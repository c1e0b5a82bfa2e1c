//! Requests that may upgrade their connection, and answers that grant it.

use http::Version;
use pingora_http::{RequestHeader, ResponseHeader};

use super::*;
use crate::{
    config::{Overrides, Settings},
    limit::Limiter,
};

fn route(upgrade: &str) -> Arc<Route> {
    let text = format!(
        "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
         routes: [{{ name: a, path_prefix: /, upstream: a, upgrade: [{upgrade}] }}]\n"
    );
    let settings = Settings::parse(&text, "test.yaml", &Overrides::default()).unwrap();
    Arc::new(Route::new(settings.routes[0].clone(), &Limiter::new()))
}

fn request(method: &str, version: Version, headers: &[(&'static str, &str)]) -> RequestHeader {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    request.set_version(version);
    for (name, value) in headers {
        request.append_header(*name, *value).unwrap();
    }
    request
}

/// The protocol that a request is upgraded to, or the code that it is refused with.
fn outcome(upgrade: &str, request: &RequestHeader) -> Result<Option<String>, &'static str> {
    let found = Upgrade::of(request, &route(upgrade)).map_err(|problem| problem.code().as_str())?;
    Ok(found.map(|upgrade| upgrade.protocol.into()))
}

#[test]
fn only_a_protocol_that_the_route_names_is_upgraded_to() {
    let v11 = Version::HTTP_11;
    let websocket = Ok(Some("websocket".to_owned()));
    let plain = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let cases = [
        ("websocket", request("GET", v11, &plain), websocket.clone()),
        (
            "WebSocket",
            request("GET", v11, &[("Connection", "keep-alive, upgrade"), ("Upgrade", "WEBSOCKET")]),
            websocket.clone(),
        ),
        (
            "websocket",
            request("GET", v11, &[("Connection", "x"), ("Connection", "Upgrade"), ("Upgrade", "h2c, websocket")]),
            websocket,
        ),
        ("", request("GET", v11, &plain), Err("upgrade_not_allowed")),
        ("mqtt", request("GET", v11, &plain), Err("upgrade_not_allowed")),
        ("", request("GET", v11, &[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]), Ok(None)),
        ("websocket", request("GET", v11, &[("Upgrade", "websocket")]), Ok(None)),
        ("websocket", request("GET", Version::HTTP_10, &plain), Ok(None)),
        ("websocket", request("POST", v11, &plain), Ok(None)),
        ("websocket", request("GET", v11, &[plain[0], plain[1], ("Content-Length", "5")]), Ok(None)),
        ("websocket", request("GET", v11, &[]), Ok(None)),
    ];
    for (upgrade, request, expected) in cases {
        assert_eq!(outcome(upgrade, &request), expected, "[{upgrade}] {request:?}");
    }
}

#[test]
fn only_the_upgrade_that_was_asked_for_is_granted() {
    let asked = Upgrade { protocol: "websocket".into() };
    let answer = |status: u16, upgrade: &[&str]| {
        let mut answer = ResponseHeader::build(status, None).unwrap();
        for value in upgrade {
            answer.append_header("Upgrade", *value).unwrap();
        }
        answer
    };
    assert!(asked.is_granted_by(&answer(101, &["WebSocket"])));
    for refused in
        [answer(200, &["websocket"]), answer(101, &[]), answer(101, &["h2c"]), answer(101, &["websocket, h2c"])]
    {
        assert!(!asked.is_granted_by(&refused), "{refused:?}");
    }
}

#[test]
fn every_end_has_a_number_of_its_own() {
    for end in End::ALL {
        assert_eq!(End::of(end as u8), Some(end));
    }
    assert_eq!(End::of(0), None);
}
