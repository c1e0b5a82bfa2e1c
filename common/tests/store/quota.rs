//! Hard quotas: grants less refunds never exceed the limit.

use common::{
    id::TenantId,
    quota::{QuotaDraw, QuotaGrant, QuotaHolder, QuotaRefund, QuotaSource},
    store::{Store, StoreError},
    time::Period,
};

use crate::fixture::{Fixture, NOW, on_both_engines, root, stream};

on_both_engines!(
    quota_is_drawn_until_spent,
    several_quotas_are_drawn_in_one_transaction,
    concurrent_draws_never_exceed_limit,
    invalid_draws_and_refunds_are_refused,
);

const METER: &str = "requests";

pub(crate) fn month() -> Period {
    "2026-11".parse().unwrap()
}

pub(crate) fn november() -> QuotaSource {
    QuotaSource::Month(month())
}

/// A life with two streams.
pub(crate) fn holder(boot: u128) -> QuotaHolder {
    QuotaHolder { life: stream(boot).life(), lanes: 2 }
}

pub(crate) fn of_requests(tenant: TenantId, limit: u64, wanted: u64) -> QuotaDraw<'static> {
    QuotaDraw { tenant, meter: METER, source: november(), limit, wanted, beyond: 0 }
}

pub(crate) async fn draw(store: &Store, boot: u128, draw: QuotaDraw<'_>) -> u64 {
    store.draw_quotas(&holder(boot), &[draw], NOW).await.unwrap()[0].granted
}

pub(crate) async fn refund(store: &Store, boot: u128, tenant: TenantId, unused: u64) -> Result<(), StoreError> {
    let refund = QuotaRefund { tenant, meter: METER, source: november(), unused };
    store.refund_quotas(&holder(boot).life, &[refund], NOW).await
}

async fn quota_is_drawn_until_spent(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, 1, of_requests(tenant, 100, 70)).await, 70);
    assert_eq!(draw(&store, 2, of_requests(tenant, 100, 70)).await, 30);
    assert_eq!(draw(&store, 2, of_requests(tenant, 100, 70)).await, 0);
    refund(&store, 1, tenant, 25).await.unwrap();
    assert_eq!(draw(&store, 1, of_requests(tenant, 50, 10)).await, 0, "75 are out, and the limit was lowered to 50");
    assert_eq!(draw(&store, 2, of_requests(tenant, 80, 10)).await, 5);
    assert_eq!(store.quota_granted(tenant, METER, november()).await.unwrap(), 80);
    let held: Vec<_> =
        store.quota_leases().await.unwrap().into_iter().map(|lease| (lease.life, lease.drawn, lease.used)).collect();
    assert_eq!(held, [(holder(1).life.to_string(), 45, 0), (holder(2).life.to_string(), 35, 0)]);

    let next = QuotaDraw { source: QuotaSource::Month(month().next()), ..of_requests(tenant, 100, 100) };
    assert_eq!(draw(&store, 1, next).await, 100, "each month has its own");
    let tokens = QuotaDraw { meter: "tokens", ..of_requests(tenant, 100, 100) };
    assert_eq!(draw(&store, 1, tokens).await, 100, "each meter as well");
    assert_eq!(draw(&store, 1, of_requests(root(&store).await.id, 100, 100)).await, 100, "and each tenant");
}

async fn several_quotas_are_drawn_in_one_transaction(fixture: Fixture) {
    let store = fixture.store().await;
    let mut tenants = Vec::new();
    for _ in 0..70 {
        tenants.push(root(&store).await.id);
    }
    tenants.reverse();
    let draws: Vec<_> = (1..).zip(&tenants).map(|(units, tenant)| of_requests(*tenant, 50, units)).collect();
    let grants = store.draw_quotas(&holder(1), &draws, NOW).await.unwrap();
    let expected: Vec<_> =
        (1..=70).map(|units: u64| QuotaGrant { granted: units.min(50), left: 50 - units.min(50) }).collect();
    assert_eq!(grants, expected);
    for (tenant, grant) in tenants.iter().zip(&grants) {
        assert_eq!(store.quota_granted(*tenant, METER, november()).await.unwrap(), grant.granted);
    }

    let twice = [of_requests(tenants[0], 50, 1); 2];
    assert!(matches!(store.draw_quotas(&holder(1), &twice, NOW).await, Err(StoreError::Refused(_))));
    assert_eq!(store.draw_quotas(&holder(1), &[], NOW).await.unwrap(), []);
    let (first, second) = (tenants[0], tenants[1]);
    let refund_of = |tenant, unused| QuotaRefund { tenant, meter: METER, source: november(), unused };
    let one_too_many = [refund_of(first, 1), refund_of(second, 3)];
    store.refund_quotas(&holder(1).life, &one_too_many, NOW).await.unwrap_err();
    assert_eq!(store.quota_granted(first, METER, november()).await.unwrap(), 1, "all of it or nothing");
}

async fn concurrent_draws_never_exceed_limit(fixture: Fixture) {
    let store = fixture.store().await;
    let tenants = [root(&store).await.id, root(&store).await.id];
    let limit = 1_000;
    let mut tasks = Vec::new();
    for gateway in 0..6_u64 {
        // A pool of its own, as another process would have.
        let store = Store::open(&fixture.url).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let boot = u128::from(gateway);
            let mut held = [0; 2];
            for round in 0..20 {
                let mut draws = tenants.map(|tenant| of_requests(tenant, limit, 17 + gateway * 3 + round));
                if gateway % 2 == 0 {
                    draws.reverse();
                }
                let grants = store.draw_quotas(&holder(boot), &draws, NOW).await.unwrap();
                for (draw, grant) in draws.iter().zip(grants) {
                    refund(&store, boot, draw.tenant, grant.granted / 4).await.unwrap();
                    held[usize::from(draw.tenant == tenants[1])] += grant.granted - grant.granted / 4;
                }
            }
            held
        }));
    }
    let mut held = [0; 2];
    for task in tasks {
        let of_task = task.await.unwrap();
        held = [held[0] + of_task[0], held[1] + of_task[1]];
    }
    for (tenant, held) in tenants.into_iter().zip(held) {
        assert!(held <= limit, "{held} are out of {limit}");
        assert_eq!(draw(&store, 9, of_requests(tenant, limit, limit)).await, limit - held, "and not a unit was lost");
    }
}

async fn invalid_draws_and_refunds_are_refused(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, 1, of_requests(tenant, 0, 10)).await, 0);
    assert_eq!(draw(&store, 1, of_requests(tenant, 10, 0)).await, 0);
    assert_eq!(draw(&store, 1, of_requests(tenant, 10, 10)).await, 10);
    for (boot, unused) in [(1, 11), (1, u64::MAX), (2, 1)] {
        let error = refund(&store, boot, tenant, unused).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
    }
    assert_eq!(draw(&store, 1, of_requests(tenant, 10, 1)).await, 0, "a refund beyond what was drawn adds nothing");
    assert_eq!(draw(&store, 1, of_requests(tenant, u64::MAX, u64::MAX)).await, i64::MAX as u64 - 10);
    assert_eq!(draw(&store, 1, of_requests(tenant, u64::MAX, u64::MAX)).await, 0);

    let stranger = of_requests(TenantId::generate(), 10, 1);
    let error = store.draw_quotas(&holder(1), &[stranger], NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "tenant", .. }), "{error}");
}
