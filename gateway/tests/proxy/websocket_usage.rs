//! Upgraded connections that are billed by what passes on them: the books say what really passed,
//! and nothing passes beyond a hard quota or the credit.

use common::{
    id::TenantId,
    key::Secret,
    quota::{QuotaSource, credit::TopUp},
    tenant::TenantStatus,
    usage::UsageRecord,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use crate::support::{
    DEADLINE, Fixture, eventually, now,
    process::Gateway,
    websocket::{Echo, closed, connect, ended, refused, talk},
};

/// Status of the records that follow the first one of a connection.
const CONTINUED: u16 = 100;

fn routes_to(echo: &Echo) -> String {
    format!(
        "
upstreams: {{ all: {{ servers: ['{}'], health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: plain, path_prefix: /, upstream: all }}
  - {{ name: asked, path_prefix: /asked, upstream: all, upgrade: [websocket], upgrade_units: {{ messages: client }} }}
  - {{ name: told, path_prefix: /told, upstream: all, upgrade: [websocket], upgrade_units: {{ messages: server }} }}
  - {{ name: both, path_prefix: /both, upstream: all, upgrade: [websocket], upgrade_units: {{ messages: both }} }}
  - name: bytes
    path_prefix: /bytes
    upstream: all
    upgrade: [websocket]
    upgrade_units: {{ bytes: both, per: 100 }}
  - name: sent
    path_prefix: /sent
    upstream: all
    upgrade: [websocket]
    upgrade_units: {{ bytes: client, per: 100 }}
",
        echo.address
    )
}

/// Units of all records of a route, whose first record says how many connections it had.
fn units(records: &[UsageRecord], route: &str) -> u64 {
    let of_route = records.iter().filter(|record| &*record.route == route);
    of_route
        .map(|record| {
            assert!(record.billable && [101, CONTINUED].contains(&record.status), "{record:?}");
            assert_eq!(record.units == 0, record.status == 101, "the first record of a connection costs nothing");
            record.units
        })
        .sum()
}

/// The units of a route, once so many are booked.
async fn booked(fixture: &Fixture, tenant: TenantId, route: &str, least: u64) -> u64 {
    eventually("units booked", || async {
        let units = units(&fixture.billing.records(tenant), route);
        (units >= least).then_some(units)
    })
    .await
}

/// Ends the gateway, so that all that it recorded is booked.
async fn end(gateway: &Gateway) {
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}

async fn leave(mut socket: WebSocketStream<TcpStream>) {
    socket.close(None).await.unwrap();
    closed(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_bytes_are_billed_on_the_sides_that_the_route_names() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    for path in ["/asked", "/told", "/both", "/bytes", "/sent", "/plain"] {
        if path == "/plain" {
            assert_eq!(refused(&gateway, path, &customer.secret).await.0, 403);
            continue;
        }
        let mut socket = connect(&gateway, path, &customer.secret).await.unwrap();
        for length in [30, 250, 70_000] {
            talk(&mut socket, &"x".repeat(length)).await;
        }
        socket.send(Message::Ping("still there?".into())).await.unwrap();
        leave(socket).await;
    }
    end(&gateway).await;
    let records = fixture.billing.records(customer.tenant);
    // 70,280 bytes are 703 hundreds.
    for (route, expected) in [("asked", 3), ("told", 3), ("both", 6), ("bytes", 2 * 703), ("sent", 703)] {
        assert_eq!(units(&records, route), expected, "{route}");
        let opened = records.iter().filter(|record| &*record.route == route && record.status == 101).count();
        assert_eq!(opened, 1, "{route}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_in_fragments_is_billed_once() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let mut socket = connect(&gateway, "/both", &customer.secret).await.unwrap();
    let fragment =
        |text: &'static str, code, is_final| Message::Frame(Frame::message(text, OpCode::Data(code), is_final));
    let parts = [
        fragment("one ", Data::Text, false),
        Message::Frame(Frame::ping("still there?")),
        fragment("message", Data::Continue, false),
        fragment("", Data::Continue, true),
    ];
    for part in parts {
        socket.send(part).await.unwrap();
    }
    let heard = eventually("the echo", || async { echo.heard().first().cloned() }).await;
    assert_eq!(heard, "one message");
    leave(socket).await;
    end(&gateway).await;
    assert_eq!(units(&fixture.billing.records(customer.tenant), "both"), 2, "one each way");
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_quota_is_never_overshot_and_its_end_closes_the_connection() {
    for (path, heard, told) in [("/asked", 5, 5), ("/told", 50, 5)] {
        let (fixture, echo) = (Fixture::new().await, Echo::start().await);
        let customer = fixture.customer(Some("capped")).await;
        let gateway = fixture.gateway_with(&routes_to(&echo)).await;
        let mut socket = connect(&gateway, path, &customer.secret).await.unwrap();
        for number in 0..50 {
            socket.feed(Message::text(format!("{number}"))).await.unwrap();
        }
        socket.flush().await.unwrap();
        let mut answers = Vec::new();
        let code = loop {
            match tokio::time::timeout(DEADLINE, socket.next()).await.expect("an end").expect("a close").unwrap() {
                Message::Text(text) => answers.push(text.to_string()),
                Message::Close(frame) => break frame.map(|frame| (u16::from(frame.code), frame.reason.to_string())),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(code, Some((1008, "the quota of the month is spent".into())), "{path}");
        assert!(answers.len() <= told, "{path}: {answers:?}");
        assert_eq!(ended(&gateway, "quota").await, Some(1.0), "{path}");
        assert_eq!(refused(&gateway, path, &customer.secret).await.0, 429, "{path}");
        end(&gateway).await;
        assert!(echo.heard().len() <= heard, "{path}: {:?}", echo.heard());
        let records = fixture.billing.records(customer.tenant);
        assert_eq!(units(&records, path.trim_start_matches('/')), 5, "{path}");
        assert_eq!(
            if path == "/asked" { echo.heard().len() } else { answers.len() },
            5,
            "{path}: all that was paid for"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_share_one_quota() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("capped")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let mut socket = connect(&gateway, "/both", &customer.secret).await.unwrap();
    talk(&mut socket, "one").await;
    talk(&mut socket, "two").await;
    socket.send(Message::text("three")).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(1008), "there is no unit for the answer");
    assert_eq!(echo.heard(), ["one", "two", "three"]);
    end(&gateway).await;
    assert_eq!(units(&fixture.billing.records(customer.tenant), "both"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn frame_that_does_not_fit_into_the_quota_passes_not_at_all() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("capped")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let mut socket = connect(&gateway, "/sent", &customer.secret).await.unwrap();
    talk(&mut socket, &"a".repeat(300)).await;
    socket.send(Message::text("b".repeat(201))).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(1008));
    // Of the five units, two were never used.
    let again = || async { connect(&gateway, "/sent", &customer.secret).await.ok() };
    let mut socket = eventually("units are left", again).await;
    talk(&mut socket, &"c".repeat(200)).await;
    leave(socket).await;
    end(&gateway).await;
    assert_eq!(units(&fixture.billing.records(customer.tenant), "sent"), 5);
    assert_eq!(echo.heard(), ["a".repeat(300), "c".repeat(200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn prepaid_credit_ends_a_connection_and_more_of_it_opens_the_next() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("prepaid")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    assert_eq!(refused(&gateway, "/asked", &customer.secret).await.0, 402);
    for reference in ["one", "two"] {
        let (reference, meter, tenant) = (reference.to_owned(), "requests".to_owned(), customer.tenant);
        let top_up = TopUp { reference, tenant, meter, units: 3, reason: None, added_at: now() };
        fixture.store.add_credit(&top_up).await.unwrap();
        let mut socket =
            eventually("credit", || async { connect(&gateway, "/asked", &customer.secret).await.ok() }).await;
        for number in 0..3 {
            talk(&mut socket, &format!("{number}")).await;
        }
        socket.send(Message::text("one too many")).await.unwrap();
        assert_eq!(closed(&mut socket).await, Some(1008));
    }
    assert_eq!(ended(&gateway, "credit").await, Some(2.0));
    end(&gateway).await;
    let records = fixture.billing.records(customer.tenant);
    assert_eq!(units(&records, "asked"), 6);
    assert!(records.iter().filter(|record| record.units > 0).all(|record| record.prepaid), "{records:?}");
    assert_eq!(echo.heard().len(), 6);
    let drawn = fixture.store.quota_granted(customer.tenant, "requests", QuotaSource::Credit).await.unwrap();
    assert_eq!(drawn, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn counted_connection_ends_with_its_tenant_and_counts_no_more() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let mut socket = connect(&gateway, "/both", &customer.secret).await.unwrap();
    talk(&mut socket, "hello").await;
    fixture.store.set_tenant_status(customer.tenant, TenantStatus::Suspended, now()).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(1008));
    assert_eq!(ended(&gateway, "tenant").await, Some(1.0));
    end(&gateway).await;
    assert_eq!(units(&fixture.billing.records(customer.tenant), "both"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_meets_the_quota_of_a_plan_that_came_while_it_was_open() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let mut socket = connect(&gateway, "/asked", &customer.secret).await.unwrap();
    for number in 0..10 {
        talk(&mut socket, &format!("{number}")).await;
    }
    fixture.change_plan(&customer, "capped").await;
    let talks_until_closed = async {
        let mut more = 0_u64;
        while socket.send(Message::text("more")).await.is_ok() {
            match socket.next().await {
                Some(Ok(Message::Text(_))) => more += 1,
                _ => break,
            }
        }
        more
    };
    let more = tokio::time::timeout(DEADLINE, talks_until_closed).await.expect("the connection is closed");
    assert_eq!(ended(&gateway, "quota").await, Some(1.0));
    end(&gateway).await;
    let units = units(&fixture.billing.records(customer.tenant), "asked");
    assert!(units == 10 + more, "{units} {more}");
}

/// Talks without end, over one connection; the messages that were heard again.
async fn talk_on(gateway: &Gateway, secret: &Secret) -> u64 {
    let mut socket = connect(gateway, "/told", secret).await.unwrap();
    let mut heard = 0;
    while socket.send(Message::text("message")).await.is_ok() {
        match socket.next().await {
            Some(Ok(Message::Text(_))) => heard += 1,
            _ => break,
        }
        if heard == 200 {
            gateway.signal("KILL");
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_has_recorded_every_message_that_was_received() {
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&routes_to(&echo)).await;
    let heard = tokio::time::timeout(DEADLINE, talk_on(&gateway, &customer.secret)).await.expect("the end");
    gateway.ended().await;
    assert!(heard >= 200);
    let next = fixture.gateway_with(&routes_to(&echo)).await;
    let units = booked(&fixture, customer.tenant, "told", heard).await;
    assert!(units <= echo.heard().len() as u64, "{units} of {}", echo.heard().len());
    end(&next).await;
}
