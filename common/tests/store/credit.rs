//! Prepaid credit: what is paid for can be used, once, whatever the month.

use common::{
    acting::{Acting, Scope},
    id::TenantId,
    quota::{
        QuotaDraw, QuotaSource,
        credit::{Credit, TOP_UP_UNITS_MAX, TopUp},
    },
    store::{PageRequest, StoreError},
    tenant::TenantKind,
    time::Micros,
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use crate::{
    fixture::{Fixture, NOW, new_tenant, on_both_engines, request, root},
    quota::{draw, holder, november, of_requests},
};

on_both_engines!(
    credit_is_drawn_up_to_amount_paid,
    repeated_top_up_adds_once,
    concurrent_top_ups_all_count,
    invalid_top_up_is_refused,
    correction_takes_back_undrawn_units_only,
    two_tenants_may_use_the_same_reference,
    credit_granted_by_reseller_moves_from_its_own,
    debt_is_paid_by_next_top_up,
    record_is_charged_to_source_of_its_units,
);

fn top_up(tenant: TenantId, units: i64, reference: &str) -> TopUp {
    let (reference, meter) = (reference.into(), "requests".into());
    TopUp { reference, tenant, meter, units, reason: None, added_at: NOW }
}

fn of_credit(tenant: TenantId, wanted: u64) -> QuotaDraw<'static> {
    QuotaDraw { source: QuotaSource::Credit, ..of_requests(tenant, u64::MAX, wanted) }
}

fn stands(tenant: TenantId, paid: u64, drawn: u64) -> Credit {
    Credit { tenant, meter: "requests".into(), paid, drawn, owed: 0, left: paid - drawn }
}

async fn credit_is_drawn_up_to_amount_paid(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, 1, of_credit(tenant, 5)).await, 0, "nothing was paid for");
    assert_eq!(store.add_credit(&top_up(tenant, 10, "one")).await.unwrap(), stands(tenant, 10, 0));
    assert_eq!(draw(&store, 1, of_credit(tenant, 7)).await, 7);
    assert_eq!(draw(&store, 2, of_credit(tenant, 7)).await, 3);
    assert_eq!(draw(&store, 2, of_credit(tenant, 7)).await, 0);
    assert_eq!(store.add_credit(&top_up(tenant, 5, "two")).await.unwrap(), stands(tenant, 15, 10));
    assert_eq!(draw(&store, 2, of_credit(tenant, 7)).await, 5);
    assert_eq!(store.credit(tenant).await.unwrap(), [stands(tenant, 15, 15)]);
    assert_eq!(draw(&store, 2, of_requests(tenant, 100, 7)).await, 7, "a month's quota is another thing");
}

async fn repeated_top_up_adds_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for _ in 0..2 {
        assert_eq!(store.add_credit(&top_up(tenant, 10, "order-1")).await.unwrap(), stands(tenant, 10, 0));
    }
    let error = store.add_credit(&top_up(tenant, 11, "order-1")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(reason) if reason.contains("order-1")), "{error}");
    assert_eq!(store.top_ups(tenant).await.unwrap(), [top_up(tenant, 10, "order-1")]);
}

async fn concurrent_top_ups_all_count(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let mut adding = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = store.clone();
        // Each is sent twice.
        adding.spawn(async move { store.add_credit(&top_up(tenant, 10, &format!("order-{}", number / 2))).await });
    }
    for added in adding.join_all().await {
        added.unwrap();
    }
    assert_eq!(store.credit(tenant).await.unwrap(), [stands(tenant, 60, 0)]);
    assert_eq!(store.top_ups(tenant).await.unwrap().len(), 6);
}

async fn invalid_top_up_is_refused(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let long = "x".repeat(201);
    let sound = top_up(tenant, 1, "sound");
    let wrong = [
        TopUp { units: 0, ..sound.clone() },
        TopUp { units: TOP_UP_UNITS_MAX + 1, ..sound.clone() },
        TopUp { units: i64::MAX, ..sound.clone() },
        TopUp { units: i64::MIN, reason: Some("a slip".into()), ..sound.clone() },
        TopUp { units: -1, ..sound.clone() },
        TopUp { units: -1, reason: Some(" ".into()), ..sound.clone() },
        TopUp { reference: "order\u{202e}-1".into(), ..sound.clone() },
        TopUp { meter: "Not A Meter".into(), ..sound.clone() },
        TopUp { reference: String::new(), ..sound.clone() },
        TopUp { reference: long, ..sound.clone() },
        TopUp { reference: "a\nb".into(), ..sound.clone() },
    ];
    for top_up in wrong {
        let error = store.add_credit(&top_up).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
    }
    let stranger = TopUp { tenant: TenantId::generate(), ..sound.clone() };
    let error = store.add_credit(&stranger).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "tenant", .. }), "{error}");
    assert_eq!(store.top_ups(tenant).await.unwrap(), [], "nothing is left of what was refused");
    store.add_credit(&top_up(tenant, TOP_UP_UNITS_MAX, "all")).await.unwrap();
    store.add_credit(&sound).await.unwrap();
    store.delete_tenant(tenant, None, NOW).await.unwrap();
    let error = store.add_credit(&top_up(tenant, 1, "late")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "a deleted tenant gets no credit: {error}");
}

async fn correction_takes_back_undrawn_units_only(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let back = |units: i64, reference: &str| TopUp {
        reason: Some("typed one zero too many".into()),
        ..top_up(tenant, -units, reference)
    };
    let nothing_there = store.add_credit(&back(1, "early")).await.unwrap_err();
    assert!(matches!(nothing_there, StoreError::Conflict(_)), "{nothing_there}");
    store.add_credit(&top_up(tenant, 1_000, "order-1")).await.unwrap();
    assert_eq!(draw(&store, 1, of_credit(tenant, 90)).await, 90);
    let too_much = store.add_credit(&back(911, "order-1-back")).await.unwrap_err();
    assert!(matches!(too_much, StoreError::Conflict(_)), "{too_much}");
    for _ in 0..2 {
        assert_eq!(store.add_credit(&back(900, "order-1-back")).await.unwrap(), stands(tenant, 100, 90));
    }
    assert_eq!(draw(&store, 1, of_credit(tenant, 50)).await, 10);
    let top_ups = store.top_ups(tenant).await.unwrap();
    assert_eq!(top_ups, [top_up(tenant, 1_000, "order-1"), back(900, "order-1-back")]);
    let first = store.top_ups_page(tenant, PageRequest { after: None, limit: 1 }).await.unwrap();
    let second = store.top_ups_page(tenant, PageRequest { after: first.next, limit: 1 }).await.unwrap();
    assert_eq!((first.items.len(), second.items, second.next), (1, vec![back(900, "order-1-back")], None));
}

async fn credit_granted_by_reseller_moves_from_its_own(fixture: Fixture) {
    let store = fixture.store().await;
    let root = root(&store).await.id;
    let create = async |kind, parent| store.create_tenant(&new_tenant(kind, Some(parent)), NOW).await.unwrap().id;
    let reseller = create(TenantKind::Reseller, root).await;
    let customer = create(TenantKind::Customer, reseller).await;
    let acting_at = |tenant| store.acting_as(Acting { scope: Scope::Subtree(tenant), ..Acting::program("test") });
    let (seller, resale) = (acting_at(root), acting_at(reseller));
    let refused = resale.add_credit(&top_up(customer, 1, "from nothing")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(reason) if reason.contains("0 units")), "{refused}");
    assert_eq!(store.top_ups(customer).await.unwrap(), []);
    resale.add_credit(&top_up(reseller, 1, "to itself")).await.unwrap_err();

    seller.add_credit(&top_up(reseller, 100, "bought")).await.unwrap();
    assert_eq!(draw(&store, 1, of_credit(reseller, 10)).await, 10);
    for _ in 0..2 {
        assert_eq!(resale.add_credit(&top_up(customer, 60, "sold")).await.unwrap(), stands(customer, 60, 0));
    }
    assert_eq!(store.credit(reseller).await.unwrap(), [stands(reseller, 40, 10)]);
    resale.add_credit(&top_up(customer, 31, "too much")).await.unwrap_err();
    resale.add_credit(&top_up(customer, TOP_UP_UNITS_MAX, "far too much")).await.unwrap_err();

    // The seller makes credit for whomever it likes; the reseller cannot take that for itself.
    seller.add_credit(&top_up(customer, 5, "from the seller")).await.unwrap();
    let back =
        |units: i64, reference: &str| TopUp { reason: Some("a slip".into()), ..top_up(customer, -units, reference) };
    let foreign = resale.add_credit(&back(61, "all")).await.unwrap_err();
    assert!(matches!(&foreign, StoreError::Conflict(reason) if reason.contains("granted")), "{foreign}");
    // What is drawn does not come back to be given again.
    assert_eq!(draw(&store, 1, of_credit(customer, 6)).await, 6);
    resale.add_credit(&back(60, "what was sold")).await.unwrap_err();
    assert_eq!(resale.add_credit(&back(59, "what is left")).await.unwrap(), stands(customer, 6, 6));
    assert_eq!(store.credit(reseller).await.unwrap(), [stands(reseller, 99, 10)]);
}

async fn debt_is_paid_by_next_top_up(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    store.add_credit(&top_up(tenant, 10, "first")).await.unwrap();
    let draws = [QuotaDraw { beyond: 25, ..of_credit(tenant, 1) }];
    assert_eq!(store.draw_quotas(&holder(1), &draws, NOW).await.unwrap()[0].granted, 0);
    let credit = store.credit(tenant).await.unwrap().remove(0);
    assert_eq!((credit.paid, credit.drawn, credit.owed, credit.left), (10, 10, 15, 0));
    let credit = store.add_credit(&top_up(tenant, 12, "second")).await.unwrap();
    assert_eq!((credit.paid, credit.drawn, credit.owed, credit.left), (22, 22, 3, 0), "the debt is paid first");
    let credit = store.add_credit(&top_up(tenant, 4, "third")).await.unwrap();
    assert_eq!((credit.paid, credit.drawn, credit.owed, credit.left), (26, 25, 0, 1));
}

async fn two_tenants_may_use_the_same_reference(fixture: Fixture) {
    let store = fixture.store().await;
    let (one, other) = (root(&store).await.id, root(&store).await.id);
    store.add_credit(&top_up(one, 10, "order-1")).await.unwrap();
    let added = store.add_credit(&top_up(other, 11, "order-1")).await.unwrap();
    assert_eq!(added, stands(other, 11, 0), "another tenant's references are nothing to this one");
    assert_eq!(store.credit(one).await.unwrap(), [stands(one, 10, 0)]);
}

async fn record_is_charged_to_source_of_its_units(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    store.add_credit(&top_up(tenant, 100, "one")).await.unwrap();
    draw(&store, 1, of_credit(tenant, 50)).await;
    draw(&store, 1, of_requests(tenant, 100, 40)).await;
    let of_month = UsageRecord { units: 3, ..request(tenant) };
    let of_credit_now = UsageRecord { units: 4, prepaid: true, ..request(tenant) };
    let next_year = UsageRecord { at: Micros(NOW.0 + 31_536_000_000_000), ..of_credit_now.clone() };
    let records = [of_month, of_credit_now, next_year].map(UsageEntry::Request);
    for lane in [0, 1] {
        let mut entries = if lane == 0 { records.to_vec() } else { Vec::new() };
        entries.push(UsageEntry::End);
        let batch = UsageBatch { stream: StreamId::new("edge-1", 1, lane).unwrap(), first_seq: 0, entries };
        store.book_usage(&batch, NOW).await.unwrap();
    }
    assert_eq!(store.credit(tenant).await.unwrap(), [stands(tenant, 100, 8)]);
    assert_eq!(store.quota_granted(tenant, "requests", november()).await.unwrap(), 3);
}
