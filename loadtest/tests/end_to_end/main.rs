//! The whole road with the three real binaries, on both engines and over both transports: real HTTP
//! in, an invoice out, held against what the client received and what the upstream accepted.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod fixture;
mod secured;

use std::time::Duration;

use common::{
    key::Mode,
    store::Store,
    time::{Clock as _, SystemClock},
    usage::gaps::Acceptance,
};
use fixture::Fixture;
use loadtest::{
    deployment::{Books, KeyUsage},
    load::Load,
};
use servers::eventually;

/// Runs one scenario per engine, each as a test of its own.
macro_rules! on_both_engines {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Fixture::on_sqlite().await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Fixture::on_postgres().await).await;
            })+
        }
    };
}

on_both_engines!(
    invoice_equals_the_answers_that_the_client_received,
    usage_survives_an_outage_of_billing,
    killed_gateway_bills_its_answers,
    changes_reach_a_running_gateway,
    usage_beyond_a_hard_cap_is_owed_and_not_billed,
    request_of_a_client_that_left_is_billed_and_reported_as_aborted,
    life_without_a_journal_is_reported_as_lost,
);

async fn invoice_equals_the_answers_that_the_client_received(fixture: Fixture) {
    let acme = fixture.customer("Acme", "growth").await;
    let globex = fixture.customer("Globex", "business").await;
    for (customer, requests) in [(&acme, 120), (&globex, 75)] {
        for number in 0..requests {
            let path = if number % 5 == 0 { "/v1/status/404" } else { "/v1/hello" };
            assert_eq!(fixture.get(path, &customer.key).await, if number % 5 == 0 { 404 } else { 200 });
        }
    }
    assert_eq!(fixture.get("/bulk/units/3199880", &acme.key).await, 200);
    assert_eq!(fixture.get("/v1/status/503", &acme.key).await, 503);
    assert_eq!(fixture.get("/v1/status/304", &acme.key).await, 304);
    assert_eq!(fixture.get("/v1/hello", &acme.test_key).await, 200);

    let acme = fixture.invoice_once(&acme, |invoice| invoice.requests == 124).await;
    assert_eq!(acme.billable_requests, 121);
    assert_eq!(acme.billable_units, 3_200_000);
    assert_eq!(acme.test_requests, 1);
    assert_eq!(acme.total, "103.80");
    let globex = fixture.invoice_once(&globex, |invoice| invoice.requests == 75).await;
    assert_eq!((globex.billable_units, globex.total.as_str()), (75, "299.00"));
}

async fn usage_survives_an_outage_of_billing(mut fixture: Fixture) {
    let acme = fixture.customer("Acme", "business").await;
    assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
    fixture.billing.as_mut().expect("billing serves").process.kill().unwrap();
    for _ in 0..300 {
        assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
    }
    fixture.billing.as_mut().expect("billing serves").restart().await.unwrap();
    fixture.invoice_once(&acme, |invoice| invoice.billable_requests == 301).await;
}

async fn killed_gateway_bills_its_answers(mut fixture: Fixture) {
    let acme = fixture.customer("Acme", "enterprise").await;
    let mut books = Books::default();
    for _ in 0..5 {
        let load =
            Load { duration: Duration::from_secs(1), connections: 8, ..fixture.load(std::slice::from_ref(&acme)) };
        let (result, ()) = tokio::join!(load.run(), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            fixture.gateway.process.kill().unwrap();
            fixture.gateway.restart().await.unwrap();
        });
        books.add(&result.unwrap());
    }
    fixture.reconcile(&mut books).await.unwrap();
    assert!(books.balance(), "received <= billed <= accepted does not hold: {:?}", books.keys);
}

async fn usage_beyond_a_hard_cap_is_owed_and_not_billed(fixture: Fixture) {
    let plans = tempfile::NamedTempFile::new().unwrap();
    let text = "plans: [{ id: capped, name: Capped, currency: USD, flat_fee: '0.00', \
        charges: [{ meter: requests, tiers: [{ price: { amount: '1.00', per: 1 } }] }], \
        quotas: [{ meter: requests, per_month: 20 }] }]";
    std::fs::write(plans.path(), text).unwrap();
    fixture.admin(&["plan", "apply", plans.path().to_str().unwrap()]).await;
    let acme = fixture.customer("Acme", "capped").await;
    for _ in 0..2 {
        assert_eq!(fixture.get("/bulk/units/15", &acme.key).await, 200, "its cost is known with the answer only");
    }
    assert_eq!(fixture.get("/v1/hello", &acme.key).await, 429, "there is nothing left");
    let invoice = fixture.invoice_once(&acme, |invoice| invoice.billable_units == 30).await;
    assert_eq!(invoice.total, "20.00");
}

async fn request_of_a_client_that_left_is_billed_and_reported_as_aborted(fixture: Fixture) {
    let acme = fixture.customer("Acme", "enterprise").await;
    assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
    fixture.leave("/v1/slow/2000", &acme.key).await;
    let expected = KeyUsage { requests: 2, aborted: 1, units: 2, billable_units: 2 };
    let told = async || fixture.usage_in(fixture.store()).await.unwrap().get(&acme.key_id.to_string()).copied();
    eventually("the request is told", async || told().await == Some(expected)).await;
    fixture.audit().await.unwrap();
}

async fn changes_reach_a_running_gateway(fixture: Fixture) {
    let acme = fixture.customer("Acme", "enterprise").await;
    assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);

    fixture.admin(&["tenant", "suspend", &acme.tenant.to_string()]).await;
    eventually("the suspension is enforced", async || fixture.get("/v1/hello", &acme.key).await == 403).await;
    fixture.admin(&["tenant", "resume", &acme.tenant.to_string()]).await;
    eventually("the tenant is served again", async || fixture.get("/v1/hello", &acme.key).await == 200).await;

    let second = fixture.keyctl.create_key(acme.tenant, "second", Mode::Live).await.unwrap();
    eventually("the new key is known", async || fixture.get("/v1/hello", &second.secret).await == 200).await;
    fixture.admin(&["key", "revoke", &second.id.to_string()]).await;
    eventually("the key is refused", async || fixture.get("/v1/hello", &second.secret).await == 401).await;
    assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200, "other keys are not touched");
}

async fn life_without_a_journal_is_reported_as_lost(mut fixture: Fixture) {
    let acme = fixture.customer("Acme", "enterprise").await;
    let store = Store::open(fixture.store()).await.unwrap();
    let journal = fixture.directory().join("gateway-journal");
    let lives = || std::fs::read_dir(&journal).unwrap().filter(|life| !is_hidden(life.as_ref().unwrap())).count();
    for is_gone in [false, true, false] {
        assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
        fixture.gateway.process.kill().unwrap();
        if is_gone {
            std::fs::remove_dir_all(&journal).unwrap();
        }
        fixture.gateway.restart().await.unwrap();
        assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
        eventually("what was left is drained", async || lives() == 1).await;
        if is_gone {
            eventually("the life is told", async || store.lost_life_count().await.unwrap() == 1).await;
        }
    }
    let told = store.lost_lives().await.unwrap();
    assert_eq!(told.len(), 1, "those that were found are not told: {told:?}");
    let settling = Acceptance { at: SystemClock.now(), by: "ada".into(), reason: "its disk is gone".into() };
    store.accept_lost_life(&told[0].life, &settling).await.unwrap();
    assert_eq!(store.lost_life_count().await.unwrap(), 0);
    store.close().await;
}

fn is_hidden(entry: &std::fs::DirEntry) -> bool {
    !entry.file_name().to_str().is_some_and(|name| name.contains('@') && !name.starts_with('.'))
}
