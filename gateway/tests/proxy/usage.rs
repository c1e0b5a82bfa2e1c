//! The usage records of requests that passed.

use std::collections::BTreeMap;

use common::{
    key::Mode,
    quota::{QuotaSource, credit::TopUp},
    time::{Clock as _, SystemClock},
};

use crate::support::{Fixture, eventually, process::Gateway};

/// Sends a request that makes the upstream answer with this status and these headers.
async fn ask(
    gateway: &Gateway,
    path: &str,
    secret: &common::key::Secret,
    status: u16,
    headers: &[(&str, &str)],
) -> reqwest::Response {
    let request = gateway.client.get(gateway.url(path)).bearer_auth(secret.expose());
    let request = request.header("x-want-status", status.to_string());
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(format!("x-want-header-{name}"), *value));
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_decides_what_is_billed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let cases = [
        ("/usual", 200, true),
        ("/usual", 204, true),
        ("/usual", 302, false),
        ("/usual", 304, false),
        ("/usual", 404, true),
        ("/usual", 429, true),
        ("/usual", 500, false),
        ("/usual", 503, false),
        ("/strict", 200, true),
        ("/strict", 201, false),
        ("/strict", 404, false),
        ("/strict", 502, true),
    ];
    for (path, status, _) in cases {
        assert_eq!(ask(&gateway, path, &customer.secret, status, &[]).await.status(), status);
    }
    let records = fixture.billing.wait_for(customer.tenant, cases.len()).await;
    let mut found: Vec<_> = records.iter().map(|record| (&*record.route, record.status, record.billable)).collect();
    let mut expected: Vec<_> = cases
        .iter()
        .map(|(path, status, billable)| (if *path == "/strict" { "strict" } else { "all" }, *status, *billable))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(records.iter().all(|record| record.key == customer.key && record.mode == Mode::Live && record.units == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn unbilled_request_leaves_quota_alone() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let gateway = fixture.gateway().await;
    for status in [503, 500, 304, 302, 503, 500, 200, 404, 503, 200, 200, 502, 200] {
        assert_eq!(ask(&gateway, "/usual", &customer.secret, status, &[]).await.status(), status);
    }
    assert_eq!(ask(&gateway, "/usual", &customer.secret, 200, &[]).await.status(), 429, "five were billed");
}

#[tokio::test(flavor = "multi_thread")]
async fn soft_quota_refuses_nothing() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("lenient")).await;
    let gateway = fixture.gateway().await;
    for _ in 0..5 {
        assert_eq!(gateway.status("/", &customer.secret).await, 200);
    }
    assert_eq!(fixture.billing.wait_for(customer.tenant, 5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn prepaid_credit_is_used_to_its_last_unit_and_more_of_it_helps() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("prepaid")).await;
    let gateway = fixture.gateway().await;
    let add = async |units: i64, reference: &str| {
        let (reference, meter) = (reference.to_owned(), "requests".to_owned());
        let (tenant, reason, added_at) = (customer.tenant, None, SystemClock.now());
        let top_up = TopUp { reference, tenant, meter, units, reason, added_at };
        fixture.store.add_credit(&top_up).await.unwrap();
    };
    let refused = async || {
        let refused = gateway.get("/", &customer.secret).await;
        assert_eq!(refused.status(), 402);
        assert!(!refused.headers().contains_key("retry-after"), "waiting does not help");
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "credit_spent");
    };
    let mut paid = 0;
    refused().await;
    for (units, reference) in [(3, "one"), (2, "two")] {
        add(units, reference).await;
        eventually("the first answer", || async { (gateway.status("/", &customer.secret).await == 200).then_some(()) })
            .await;
        for _ in 1..units {
            assert_eq!(gateway.status("/", &customer.secret).await, 200);
        }
        paid += units;
        refused().await;
    }
    let records = fixture.billing.wait_for(customer.tenant, 5).await;
    assert!(records.iter().all(|record| record.prepaid && record.billable), "{records:?}");
    let drawn = fixture.store.quota_granted(customer.tenant, "requests", QuotaSource::Credit).await.unwrap();
    assert_eq!((drawn, paid), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn units_come_from_the_route_or_from_a_header_that_clients_never_see() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let cases: [(&str, Option<&str>, u64); 9] = [
        ("/fixed", None, 5),
        ("/fixed", Some("9"), 5),
        ("/counted", Some("7"), 7),
        ("/counted", Some("0"), 0),
        ("/counted", None, 3),
        ("/counted", Some("-4"), 3),
        ("/counted", Some("a lot"), 3),
        ("/counted", Some("1.5"), 3),
        ("/counted", Some("99999999999999999999"), 3),
    ];
    for (path, units, _) in cases {
        let headers: Vec<_> = units.iter().map(|units| ("x-usage-units", *units)).collect();
        let response = ask(&gateway, path, &customer.secret, 200, &headers).await;
        assert_eq!(response.status(), 200);
        assert!(path == "/fixed" || !response.headers().contains_key("x-usage-units"), "{path} {units:?}");
    }
    let records = fixture.billing.wait_for(customer.tenant, cases.len()).await;
    let mut found: Vec<u64> = records.iter().map(|record| record.units).collect();
    let mut expected: Vec<u64> = cases.iter().map(|(_, _, units)| *units).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let meters: BTreeMap<&str, &str> = records.iter().map(|record| (&*record.route, &*record.meter)).collect();
    assert_eq!(meters, BTreeMap::from([("counted", "requests"), ("fixed", "tokens")]));
    assert_eq!(gateway.metric("tollgate_units_unusable_total{route=\"counted\"}").await, Some(5.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_exactly_one_record_and_refusals_have_none() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let limited = fixture.customer(Some("narrow")).await;
    let (test_key, test_secret) = fixture.key(customer.tenant, Mode::Test).await;
    let gateway = fixture.gateway().await;
    // Some at a time: two hundred connections at once would ask for more than a busy machine
    // accepts in time.
    for _ in 0..20 {
        let requests = (0..10).map(|number| {
            let secret = if number % 5 < 1 { &test_secret } else { &customer.secret };
            gateway.status("/", secret)
        });
        let answers = futures_util::future::join_all(requests).await;
        assert_eq!(answers, [200; 10]);
    }
    let refused = futures_util::future::join_all((0..20).map(|_| gateway.status("/", &limited.secret))).await;
    assert_eq!(refused.iter().filter(|status| **status == 200).count(), 3);

    fixture.billing.wait_for(limited.tenant, 3).await;
    let refusals = eventually("refusals booked", || async {
        let refusals = fixture.billing.refusals(limited.tenant);
        (refusals.iter().map(|refusals| refusals.count).sum::<u64>() >= 17).then_some(refusals)
    })
    .await;
    assert!(refusals.iter().all(|refusals| &*refusals.reason == "rate_limited" && refusals.key == limited.key));
    let records = fixture.billing.wait_for(customer.tenant, 200).await;
    // Ending drains all that there is: nothing beyond what was counted may come.
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(fixture.billing.records(customer.tenant).len(), 200);
    assert_eq!(fixture.billing.records(limited.tenant).len(), 3);
    let counted: u64 = fixture.billing.refusals(limited.tenant).iter().map(|refusals| refusals.count).sum();
    assert_eq!(counted, 17);
    let of_test_key = records.iter().filter(|record| record.key == test_key);
    assert!(of_test_key.clone().all(|record| record.mode == Mode::Test));
    assert_eq!(of_test_key.count(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_own_rate_headers_are_replaced() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let unlimited = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let own = [("ratelimit", "\"own\";r=1;t=1"), ("x-ratelimit-limit", "12345"), ("x-ratelimit-remaining", "12345")];
    let response = ask(&gateway, "/", &customer.secret, 200, &own).await;
    assert_eq!(response.headers()["x-ratelimit-limit"], "3");
    assert!(!response.headers()["ratelimit"].to_str().unwrap().contains("own"));
    let response = ask(&gateway, "/", &unlimited.secret, 200, &own).await;
    assert!(own.iter().all(|(name, _)| !response.headers().contains_key(*name)), "{:?}", response.headers());
}
