//! Usage that is reported as events: booked once for ever, corrected by further rows.

use std::io::Write as _;

use common::{
    acting::Scope,
    id::TenantId,
    key::Mode,
    plan::{PlanFile, subscription::PlanStart},
    quota::QuotaSource,
    store::{AuditAction, AuditFilter, Store, StoreError},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::Micros,
    usage::{
        PaidBy, UsageEntry, UsageRecord,
        event::{
            BACKFILL_DAYS_MAX, EVENT_UNITS_MAX, EventCorrection, EventFaultKind, EventName, EventOutcome, EventRowKind,
            EventState, UsageEvent,
        },
    },
};
use servers::{Process, eventually};

use crate::{
    fixture::{
        Fixture, NOW, PAGE, STORE_VARIABLE, acting_person, assert_conflict, batch, customer, new_tenant,
        on_both_engines, request, root, stream, units_of, usage_of,
    },
    quota::{draw, november, of_requests},
};

on_both_engines!(
    repeated_event_is_booked_once_for_ever,
    event_counts_beside_records_in_same_sums,
    event_is_split_by_plan_change_and_payment,
    faulty_event_keeps_none_of_others_back,
    event_with_other_content_is_a_conflict,
    old_usage_is_booked_as_backfill,
    event_outside_scope_is_not_found,
    correction_adds_a_row_and_changes_its_sum,
    reverted_event_leaves_no_sum,
    event_and_correction_count_against_quotas,
    event_on_prepaid_meter_draws_credit,
    concurrent_reports_of_one_event_book_it_once,
    killed_process_leaves_event_and_sum_alike,
);

pub(crate) fn event(tenant: TenantId, id: &str, units: u64) -> UsageEvent {
    UsageEvent {
        tenant,
        source: "/jobs".into(),
        id: id.into(),
        at: Some(NOW),
        meter: "requests".into(),
        units,
        mode: Mode::Live,
    }
}

pub(crate) async fn record(store: &Store, event: &UsageEvent) -> EventOutcome {
    store.record_usage_events(std::slice::from_ref(event), NOW).await.unwrap().remove(0)
}

pub(crate) fn correction(event: &UsageEvent, units: Option<u64>) -> EventCorrection {
    EventCorrection { event: event.name(), units, reason: "counted twice".into() }
}

const fn booked() -> EventOutcome {
    EventOutcome::Booked { at: NOW, backfill: false }
}

#[track_caller]
fn assert_fault(outcome: &EventOutcome, kind: EventFaultKind, field: &str) {
    let EventOutcome::Refused(fault) = outcome else { panic!("{outcome:?}") };
    assert_eq!((fault.kind, fault.field), (kind, field), "{fault}");
}

pub(crate) async fn assert_clean(store: &Store) {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

async fn repeated_event_is_booked_once_for_ever(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let once = event(tenant, "1", 7);
    assert_eq!(record(&store, &once).await, booked());
    // Years later it is the same event.
    for now in [NOW, NOW.plus_seconds(1), NOW.plus_seconds(700 * 86_400)] {
        let again = store.record_usage_events(&[once.clone(), once.clone()], now).await.unwrap();
        assert_eq!(again, [EventOutcome::Duplicate, EventOutcome::Duplicate]);
    }
    let twice = [event(tenant, "2", 1), event(tenant, "2", 1), UsageEvent { source: "/shop".into(), ..once }];
    let outcomes = store.record_usage_events(&twice, NOW).await.unwrap();
    assert_eq!(outcomes, [booked(), EventOutcome::Duplicate, booked()]);
    let sums = usage_of(&store, tenant).await;
    assert_eq!((sums.len(), sums[0].requests, sums[0].units), (1, 3, 15));
    assert_clean(&store).await;
}

async fn event_counts_beside_records_in_same_sums(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    store.book_usage(&batch(&stream(1), 0, 5, tenant), NOW).await.unwrap();
    let record_of_route =
        UsageRecord { route: "events".into(), key: common::usage::event::EVENT_KEY, ..request(tenant) };
    let mixed = common::usage::UsageBatch {
        stream: stream(1),
        first_seq: 5,
        entries: vec![UsageEntry::Request(record_of_route)],
    };
    store.book_usage(&mixed, NOW).await.unwrap();
    record(&store, &event(tenant, "1", 10)).await;
    record(&store, &UsageEvent { mode: Mode::Test, ..event(tenant, "2", 100) }).await;
    let sums = usage_of(&store, tenant).await;
    let billed: u64 = sums.iter().filter(|sum| sum.billable).map(|sum| sum.units).sum();
    assert_eq!((units_of(&store, tenant).await, billed), (116, 16));
    let shared = sums.iter().find(|sum| sum.route == "events" && sum.billable).unwrap();
    assert_eq!((shared.requests, shared.units), (2, 11), "a gateway's route of that name is summed with events");
    assert_clean(&store).await;
    let audit = store.reconcile(None).await.unwrap();
    assert_eq!((audit.periods[0].reported.requests, audit.periods[0].recorded.requests), (2, 6));
    // A sum that holds other than its rows is told.
    fixture.execute("UPDATE usage_hourly SET units = units + 1 WHERE mode = 'test'").await.unwrap();
    let breaches = store.reconcile(None).await.unwrap().breaches;
    assert!(breaches.iter().any(|breach| breach.to_string().contains("100 units recorded, reported or dropped, 101")));
}

/// Plans whose meter `tokens` is prepaid in one and priced in the other.
const PLANS: &str = "plans:
- { id: priced, name: P, currency: USD, flat_fee: '1.00', quotas: [{ meter: requests, per_month: 100 }],
    charges: [{ meter: tokens, tiers: [{ price: { amount: '1', per: 1 } }] }] }
- { id: prepaid, name: C, currency: USD, flat_fee: '1.00', prepaid: [tokens] }";

async fn subscribed(store: &Store, plan: &str) -> TenantId {
    store.apply_plans(&PlanFile::parse(PLANS, "test").unwrap().plans, NOW).await.unwrap();
    let plan = Some(plan.parse().unwrap());
    let new = NewTenant { plan, ..new_tenant(TenantKind::Root, None) };
    store.create_tenant(&new, NOW.plus_seconds(-86_400)).await.unwrap().id
}

async fn event_is_split_by_plan_change_and_payment(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = subscribed(&store, "priced").await;
    let change = NOW.plus_seconds(600);
    let plan = "prepaid".parse().unwrap();
    store.assign_plan(tenant, &plan, None, PlanStart::At(change), NOW).await.unwrap();
    let later = change.plus_seconds(3_000);
    let at = |id: &str, at: Micros| UsageEvent { at: Some(at), meter: "tokens".into(), ..event(tenant, id, 10) };
    let events = [at("1", Micros(change.0 - 1)), at("2", change)];
    store.record_usage_events(&events, later).await.unwrap();
    let mut sums = usage_of(&store, tenant).await;
    sums.sort_by_key(|sum| sum.since);
    let found: Vec<_> = sums.iter().map(|sum| (sum.since, sum.paid, sum.units)).collect();
    assert_eq!(found, [(sums[0].hour, PaidBy::Charge, 10), (change, PaidBy::Credit, 10)]);
    assert_clean(&store).await;
}

async fn faulty_event_keeps_none_of_others_back(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let good = |id: &str| event(tenant, id, 1);
    let at = |seconds: i64| UsageEvent { at: Some(NOW.plus_seconds(seconds)), ..good("x") };
    let faulty = [
        (UsageEvent { id: String::new(), ..good("x") }, "id"),
        (UsageEvent { source: "a\u{0}".into(), ..good("x") }, "source"),
        (UsageEvent { id: "x".repeat(256), ..good("x") }, "id"),
        (UsageEvent { meter: "Tokens".into(), ..good("x") }, "data.meter"),
        (UsageEvent { units: EVENT_UNITS_MAX + 1, ..good("x") }, "data.units"),
        (at(301), "time"),
        (at(-BACKFILL_DAYS_MAX * 86_400 - 1), "time"),
        (UsageEvent { at: Some(Micros(i64::MIN)), ..good("x") }, "time"),
        (UsageEvent { at: Some(Micros(i64::MAX)), ..good("x") }, "time"),
    ];
    let mut events = vec![good("first")];
    events.extend(faulty.iter().map(|(event, _)| event.clone()));
    events.push(UsageEvent { tenant: TenantId::from_u128(99), ..good("x") });
    events.push(good("last"));
    let outcomes = store.record_usage_events(&events, NOW).await.unwrap();
    assert_eq!((&outcomes[0], outcomes.last()), (&booked(), Some(&booked())));
    for (outcome, (_, field)) in outcomes[1..].iter().zip(&faulty) {
        assert_fault(outcome, EventFaultKind::Refused, field);
    }
    assert_fault(&outcomes[outcomes.len() - 2], EventFaultKind::NotFound, "subject");
    assert_eq!(units_of(&store, tenant).await, 2);
    // A sum that would not fit is found out event by event.
    let sum = "UPDATE usage_hourly SET units = 9223372036854775000";
    fixture.execute(sum).await.unwrap();
    let outcomes = store.record_usage_events(&[event(tenant, "big", 1_000), good("small")], NOW).await.unwrap();
    assert_fault(&outcomes[0], EventFaultKind::Refused, "data.units");
    assert_eq!(outcomes[1], booked());
}

async fn event_with_other_content_is_a_conflict(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let (one, other) = (customer(&store, top).await, customer(&store, top).await);
    let first = event(one, "1", 5);
    record(&store, &first).await;
    for (changed, field) in [
        (UsageEvent { units: 6, ..first.clone() }, "data.units"),
        (UsageEvent { meter: "tokens".into(), ..first.clone() }, "data.meter"),
        (UsageEvent { mode: Mode::Test, ..first.clone() }, "data.mode"),
        (UsageEvent { at: Some(Micros(NOW.0 - 1)), ..first.clone() }, "time"),
        (UsageEvent { tenant: other, ..first.clone() }, "id"),
    ] {
        assert_fault(&record(&store, &changed).await, EventFaultKind::Conflict, field);
    }
    assert_eq!((units_of(&store, one).await, units_of(&store, other).await), (5, 0));
}

async fn old_usage_is_booked_as_backfill(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let at: Micros = "2026-10-31T23:59:59Z".parse().unwrap();
    let old = UsageEvent { at: Some(at), ..event(tenant, "old", 3) };
    assert_eq!(record(&store, &old).await, EventOutcome::Booked { at, backfill: true });
    let begin: Micros = "2026-11-01T00:00:00Z".parse().unwrap();
    let current = UsageEvent { at: Some(begin), ..event(tenant, "new", 1) };
    assert_eq!(record(&store, &current).await, EventOutcome::Booked { at: begin, backfill: false });
    let timeless = UsageEvent { at: None, ..event(tenant, "timeless", 1) };
    assert_eq!(record(&store, &timeless).await, booked());
    let later = store.record_usage_events(&[timeless], NOW.plus_seconds(9)).await.unwrap();
    assert_eq!(later, [EventOutcome::Duplicate]);
    let rows = store.usage_events(tenant, PAGE).await.unwrap().items;
    assert_eq!(rows.iter().map(|row| row.backfill).collect::<Vec<_>>(), [true, false, false]);
    assert_clean(&store).await;
}

async fn event_outside_scope_is_not_found(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let (one, other) = (customer(&store, top).await, customer(&store, top).await);
    record(&store, &event(one, "1", 5)).await;
    let narrowed = store.acting_as(acting_person("zoe", Scope::Subtree(other)));
    assert_fault(&record(&narrowed, &event(one, "2", 5)).await, EventFaultKind::NotFound, "subject");
    // Nobody learns from ids what others have reported.
    assert_eq!(record(&narrowed, &event(other, "1", 9)).await, booked());
    for error in [
        narrowed.correct_usage_event(&correction(&event(one, "1", 5), None), NOW).await.unwrap_err(),
        narrowed.usage_events(one, PAGE).await.unwrap_err(),
        store.correct_usage_event(&correction(&event(one, "7", 5), None), NOW).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
    assert_eq!(units_of(&store, one).await, 5);
}

async fn correction_adds_a_row_and_changes_its_sum(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let (wrong, right) = (event(tenant, "1", 100), event(tenant, "2", 1));
    store.record_usage_events(&[wrong.clone(), right], NOW).await.unwrap();
    for (units, expected, corrections) in [(40, 41, 1), (40, 41, 1), (0, 1, 2), (70, 71, 3)] {
        let state = store.correct_usage_event(&correction(&wrong, Some(units)), NOW).await.unwrap();
        assert_eq!((state.units, state.corrections, state.reverted), (units, corrections, false));
        assert_eq!(units_of(&store, tenant).await, expected);
        assert_clean(&store).await;
    }
    assert_eq!(usage_of(&store, tenant).await[0].requests, 2);
    let rows = store.usage_events(tenant, PAGE).await.unwrap().items;
    let told: Vec<_> = rows.iter().map(|row| (row.kind, row.units, row.reason.is_some())).collect();
    let amended = |units| (EventRowKind::Amend, units, true);
    let reported = |units| (EventRowKind::Record, units, false);
    assert_eq!(told, [reported(100), reported(1), amended(-60), amended(-40), amended(70)]);
    // The event as it was reported is still the same event.
    assert_eq!(record(&store, &wrong).await, EventOutcome::Duplicate);
    let filter = AuditFilter { action: Some(AuditAction::UsageAmend), ..AuditFilter::default() };
    let logged = store.audit_log(&filter, PAGE).await.unwrap().items;
    let last = &logged[0];
    assert_eq!((logged.len(), last.subject.as_str(), last.tenant), (3, "1", Some(tenant)));
    assert_eq!(last.after.as_ref().unwrap()["reason"], "counted twice");
    assert_eq!(
        (&last.before.as_ref().unwrap()["units"], &last.after.as_ref().unwrap()["units"]),
        (&0.into(), &70.into())
    );
    let changed = fixture.execute("UPDATE usage_events SET units = 1").await.unwrap_err();
    assert!(changed.to_string().contains("append-only"), "{changed}");
    for (units, reason) in [(EVENT_UNITS_MAX + 1, "slip"), (1, " ")] {
        let faulty = EventCorrection { units: Some(units), reason: reason.into(), ..correction(&wrong, None) };
        assert!(matches!(store.correct_usage_event(&faulty, NOW).await, Err(StoreError::Refused(_))));
    }
}

async fn reverted_event_leaves_no_sum(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let (one, other) = (event(tenant, "1", 9), event(tenant, "2", 4));
    store.record_usage_events(&[one.clone(), other.clone()], NOW).await.unwrap();
    for _ in 0..2 {
        let state: EventState = store.correct_usage_event(&correction(&one, None), NOW).await.unwrap();
        assert_eq!((state.units, state.reverted, state.corrections), (0, true, 1));
        let sums = usage_of(&store, tenant).await;
        assert_eq!((sums[0].requests, sums[0].units), (1, 4));
    }
    assert_conflict(store.correct_usage_event(&correction(&one, Some(9)), NOW).await, "another event");
    assert_eq!(record(&store, &one).await, EventOutcome::Duplicate);
    store.correct_usage_event(&correction(&other, None), NOW).await.unwrap();
    assert!(usage_of(&store, tenant).await.is_empty());
    assert_clean(&store).await;
    record(&store, &event(tenant, "3", 0)).await;
    store.correct_usage_event(&correction(&event(tenant, "3", 0), None), NOW).await.unwrap();
    assert!(usage_of(&store, tenant).await.is_empty());
    assert_clean(&store).await;
}

async fn event_and_correction_count_against_quotas(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = subscribed(&store, "priced").await;
    let used = event(tenant, "1", 70);
    record(&store, &used).await;
    // A gateway is given what is left, also if it draws for the first time.
    assert_eq!(draw(&store, 1, of_requests(tenant, 100, 100)).await, 30);
    store.correct_usage_event(&correction(&used, Some(50)), NOW).await.unwrap();
    assert_eq!(draw(&store, 1, of_requests(tenant, 100, 100)).await, 20);
    record(&store, &event(tenant, "2", 15)).await;
    let quota = store.quotas(tenant).await.unwrap().remove(0);
    assert_eq!((quota.source, quota.drawn, quota.owed, quota.left), (november(), 100, 15, 0));
    store.correct_usage_event(&correction(&used, None), NOW).await.unwrap();
    assert_eq!(draw(&store, 1, of_requests(tenant, 100, 100)).await, 35);
    // Tests and meters without a quota count against none.
    record(&store, &UsageEvent { mode: Mode::Test, ..event(tenant, "3", 5) }).await;
    record(&store, &UsageEvent { meter: "rows".into(), ..event(tenant, "4", 5) }).await;
    assert_eq!(store.quotas(tenant).await.unwrap().len(), 1);
}

async fn event_on_prepaid_meter_draws_credit(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = subscribed(&store, "prepaid").await;
    let used = UsageEvent { meter: "tokens".into(), ..event(tenant, "1", 30) };
    record(&store, &used).await;
    let credit = store.quotas(tenant).await.unwrap().remove(0);
    assert_eq!((credit.source, credit.drawn, credit.owed), (QuotaSource::Credit, 0, 30));
    let top_up = common::quota::credit::TopUp {
        reference: "one".into(),
        tenant,
        meter: "tokens".into(),
        units: 100,
        reason: None,
        added_at: NOW,
    };
    assert_eq!(store.add_credit(&top_up).await.unwrap().left, 70);
    store.correct_usage_event(&correction(&used, None), NOW).await.unwrap();
    assert_eq!(store.credit(tenant).await.unwrap()[0].left, 100);
}

async fn concurrent_reports_of_one_event_book_it_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let report = || {
        let store = store.clone();
        tokio::spawn(async move {
            let events: Vec<_> = (0..20).map(|id| event(tenant, &id.to_string(), 1)).collect();
            let outcomes = store.record_usage_events(&events, NOW).await.unwrap();
            outcomes.into_iter().filter(|outcome| *outcome == booked()).count()
        })
    };
    let (mut total, reports) = (0, [report(), report(), report(), report(), report()]);
    for report in reports {
        total += report.await.unwrap();
    }
    assert_eq!((total, units_of(&store, tenant).await), (20, 20));
    assert_clean(&store).await;
}

async fn killed_process_leaves_event_and_sum_alike(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let mut process = Process::captured("helper", fixture.helper("usage_event::report_until_killed")).unwrap();
    for enough in [5, 15, 40] {
        process.start().unwrap();
        eventually("enough is acknowledged", async || {
            assert_eq!(process.ended().unwrap(), None, "the helper ended early");
            units_of(&store, tenant).await >= enough
        })
        .await;
        process.kill().unwrap();
        let rows = store.usage_events(tenant, PAGE).await.unwrap().items;
        let reported: i64 = rows.iter().map(|row| row.units).sum();
        assert_eq!(units_of(&store, tenant).await, reported.unsigned_abs());
        assert_clean(&store).await;
    }
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn report_until_killed() {
    let store = Store::open(&std::env::var(STORE_VARIABLE).unwrap()).await.unwrap();
    let tenant = store.tenants().await.unwrap().remove(0).id;
    // Each life reports all of it again.
    for id in 0_u32.. {
        let reported = event(tenant, &id.to_string(), 2);
        record(&store, &reported).await;
        store.correct_usage_event(&correction(&reported, Some(1)), NOW).await.unwrap();
        let name = EventName { tenant, source: "/jobs".into(), id: id.to_string() };
        assert_eq!(store.usage_event(&name).await.unwrap().units, 1);
        writeln!(std::io::stdout().lock(), "\nreported {id}").unwrap();
    }
}
