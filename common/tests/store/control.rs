//! Who acts: what is logged of them, what is created once for them, and how their lists and reports are cut.

use std::collections::BTreeMap;

use common::{
    acting::{Acting, Actor, ActorKind, IdempotencyKey, Scope},
    admin::{AdminArea, AdminScope, AdminSecret, NewAdminKey, Role},
    id::TenantId,
    key::{KeyFilter, KeyStatus, KeyUpdate, NewKey, Pepper},
    plan::subscription::PlanStart,
    store::{AuditAction, AuditFilter, PageRequest, Store, StoreError},
    tenant::{TenantKind, TenantStatus, TenantUpdate, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        UsageBatch, UsageEntry, UsageRecord,
        report::{UsageCursor, UsageDimension, UsageQuery, UsageReportRow, UsageStep},
    },
};

use crate::fixture::{Fixture, NOW, key, new_key, new_tenant, on_both_engines, plan, request, root, stream};

on_both_engines!(
    changes_are_logged_with_who_and_what,
    the_audit_log_is_append_only,
    a_creation_happens_once_under_its_idempotency_key,
    nothing_outside_the_subtree_is_there,
    keys_are_narrowed_and_updated,
    admin_keys_are_found_by_hash_until_revoked,
    plans_change_ahead_and_migrate_without_rewriting_the_past,
    pages_meet_each_item_once,
    reports_add_up_on_every_clock,
);

const PAGE: PageRequest = PageRequest { after: None, limit: 100 };

fn person(name: &str, scope: Scope) -> Acting {
    let address = Some("192.0.2.7".parse().unwrap());
    let actor = Actor { kind: ActorKind::Person, name: name.into(), address, request_id: Some("req-1".into()) };
    Acting { actor, scope, idempotency: None, until: None }
}

async fn customer(store: &Store, parent: TenantId) -> TenantId {
    store.create_tenant(&new_tenant(TenantKind::Customer, Some(parent)), NOW).await.unwrap().id
}

async fn changes_are_logged_with_who_and_what(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let anna = store.acting_as(person("anna", Scope::Subtree(top)));
    let child = customer(&anna, top).await;
    anna.set_tenant_status(child, TenantStatus::Suspended, NOW).await.unwrap();
    anna.set_tenant_status(child, TenantStatus::Suspended, NOW).await.unwrap();
    let key = key(&anna, child).await;
    anna.revoke_key(key.id, NOW).await.unwrap();
    assert!(anna.create_key(&NewKey { name: String::new(), ..new_key(child) }, NOW).await.is_err());
    let entries = anna.audit_log(&AuditFilter::default(), PAGE).await.unwrap().items;
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    let expected = ["key.revoke", "key.create", "tenant.suspend", "tenant.create", "tenant.create"];
    assert_eq!(actions, expected, "the newest first, and nothing of what changed nothing");
    let suspended = &entries[2];
    assert_eq!((suspended.actor_kind, suspended.actor.as_deref()), (ActorKind::Person, Some("anna")));
    assert_eq!(suspended.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(suspended.request_id.as_deref(), Some("req-1"));
    assert_eq!(suspended.before.as_ref().unwrap()["status"], "active");
    assert_eq!(suspended.after.as_ref().unwrap()["status"], "suspended");
    let text = format!("{entries:?}");
    assert!(!text.contains(&key.hash.to_hex()), "no hash of a secret is logged");
    // The store's own start of the tree is a program's.
    assert_eq!(entries[4].actor_kind, ActorKind::Program);
    let filter =
        AuditFilter { subtree_of: Some(child), action: Some(AuditAction::KeyCreate), ..AuditFilter::default() };
    assert_eq!(anna.audit_log(&filter, PAGE).await.unwrap().items.len(), 1);
    let below = store.acting_as(person("bert", Scope::Subtree(child)));
    let seen = below.audit_log(&AuditFilter::default(), PAGE).await.unwrap().items;
    assert!(seen.iter().all(|entry| entry.tenant == Some(child)) && seen.len() == 4, "{seen:?}");
}

async fn the_audit_log_is_append_only(fixture: Fixture) {
    let store = fixture.store().await;
    root(&store).await;
    assert!(fixture.execute("UPDATE audit_log SET actor = 'nobody'").await.is_err());
    assert!(fixture.execute("DELETE FROM audit_log").await.is_err());
    let columns = "audit_log (seq, at, actor_kind, actor, action, subject_kind, subject)";
    let again = "VALUES (1, 0, 'person', 'nobody', 'tenant.create', 'tenant', 't')";
    let earlier = "VALUES (-7, 0, 'person', 'nobody', 'tenant.create', 'tenant', 't')";
    let statements = if fixture.is_sqlite() {
        vec![
            format!("INSERT OR REPLACE INTO {columns} {again}"),
            format!("REPLACE INTO {columns} {again}"),
            format!("INSERT INTO {columns} {again} ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'"),
            "UPDATE OR REPLACE audit_log SET actor = 'nobody'".to_owned(),
            format!("INSERT INTO {columns} {earlier}"),
        ]
    } else {
        vec![
            format!("INSERT INTO {columns} {again}"),
            format!(
                "INSERT INTO {columns} OVERRIDING SYSTEM VALUE {again} ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'"
            ),
            "TRUNCATE audit_log".to_owned(),
        ]
    };
    for statement in statements {
        let refused =
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut fixture.connection().await).await;
        assert!(refused.is_err(), "{statement}");
    }
    assert_eq!(fixture.number("SELECT COUNT(*) FROM audit_log WHERE actor = 'tollgate'").await, 1);
}

async fn a_creation_happens_once_under_its_idempotency_key(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let asking = |name: &str, fingerprint: &str| {
        let idempotency = Some(IdempotencyKey { key: "first".into(), fingerprint: fingerprint.into() });
        store.acting_as(Acting { idempotency, ..person(name, Scope::Everything) })
    };
    let new = new_tenant(TenantKind::Customer, Some(top));
    let created = asking("anna", "a").create_tenant(&new, NOW).await.unwrap();
    let again = asking("anna", "a").create_tenant(&new, NOW).await.unwrap_err();
    assert!(matches!(&again, StoreError::Replayed { subject } if *subject == created.id.to_string()), "{again}");
    let other = asking("anna", "b").create_tenant(&new, NOW).await.unwrap_err();
    assert!(matches!(other, StoreError::IdempotencyMismatch), "{other}");
    asking("bert", "a").create_tenant(&new, NOW).await.unwrap();
    // What was refused has taken no name.
    let unknown = new_tenant(TenantKind::Customer, Some(TenantId::generate()));
    let named = |key: &str| {
        let idempotency = Some(IdempotencyKey { key: key.into(), fingerprint: "c".into() });
        store.acting_as(Acting { idempotency, ..person("anna", Scope::Everything) })
    };
    assert!(named("second").create_tenant(&unknown, NOW).await.is_err());
    named("second").create_tenant(&new, NOW).await.unwrap();
    // After a day, the name is free again.
    asking("anna", "b").create_tenant(&new, NOW.plus_seconds(86_401)).await.unwrap();
    assert_eq!(store.tenants().await.unwrap().len(), 5);
}

async fn nothing_outside_the_subtree_is_there(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let new = new_tenant(TenantKind::Reseller, Some(top));
    let (mine, other) = (store.create_tenant(&new, NOW).await.unwrap().id, customer(&store, top).await);
    let child = customer(&store, mine).await;
    let foreign = key(&store, other).await;
    let own = key(&store, child).await;
    let me = store.acting_as(person("anna", Scope::Subtree(mine)));
    let unknown = TenantId::generate();
    let text = |error: StoreError, id: TenantId| error.to_string().replace(&id.to_string(), "ID");
    for hidden in [other, top] {
        let outside = text(me.tenant(hidden).await.unwrap_err(), hidden);
        assert_eq!(outside, text(me.tenant(unknown).await.unwrap_err(), unknown), "indistinguishable");
        assert!(me.set_tenant_status(hidden, TenantStatus::Suspended, NOW).await.is_err());
        assert!(me.update_tenant(hidden, &TenantUpdate { name: Some("x".into()) }, None, NOW).await.is_err());
        assert!(me.delete_tenant(hidden, None, NOW).await.is_err());
        assert!(me.move_tenant(child, hidden, None, NOW).await.is_err());
        assert!(me.create_key(&new_key(hidden), NOW).await.is_err());
        assert!(me.create_tenant(&new_tenant(TenantKind::Customer, Some(hidden)), NOW).await.is_err());
        assert!(me.subscriptions_of(hidden).await.is_err());
        assert!(me.effective_terms(hidden, NOW).await.is_err());
        let filter = KeyFilter { subtree_of: Some(hidden), ..KeyFilter::default() };
        assert!(me.keys_page(&filter, PAGE).await.is_err());
    }
    assert!(me.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.is_err());
    assert!(me.key(foreign.id).await.is_err() && me.revoke_key(foreign.id, NOW).await.is_err());
    assert!(me.update_key(foreign.id, &KeyUpdate::default(), None, NOW).await.is_err());
    assert_eq!(me.keys(None).await.unwrap().iter().map(|key| key.id).collect::<Vec<_>>(), [own.id]);
    assert_eq!(me.keys(Some(other)).await.unwrap(), []);
    assert_eq!(me.tenants().await.unwrap().len(), 2);
    assert_eq!(store.tenant(other).await.unwrap().status, TenantStatus::Active);
}

async fn keys_are_narrowed_and_updated(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let ranges = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let new = NewKey { scopes: vec!["read".into(), "write".into()], allowed_ips: ranges, ..new_key(top) };
    let created = store.create_key(&new, NOW).await.unwrap();
    assert_eq!(store.key(created.id).await.unwrap(), created);
    let update = KeyUpdate { name: Some("other".into()), scopes: Some(Vec::new()), allowed_ips: None };
    let updated = store.update_key(created.id, &update, Some(1), NOW).await.unwrap();
    assert_eq!((updated.revision, updated.scopes.len(), updated.allowed_ips.len()), (2, 0, 2));
    assert_eq!(store.key(created.id).await.unwrap(), updated);
    let stale = store.update_key(created.id, &update, Some(1), NOW).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale}");
    for scopes in [vec!["a b".to_owned()], vec!["A".into()], vec!["a".into(), "a".into()], vec![String::new()]] {
        assert!(store.create_key(&NewKey { scopes, ..new_key(top) }, NOW).await.is_err());
    }
    // Last use moves forward only, changes no revision and tells no gateway.
    let before = store.last_change().await.unwrap();
    let mut used: Vec<_> = (0..600).map(|_| (common::id::KeyId::generate(), Micros(1))).collect();
    used.insert(300, (created.id, Micros(60)));
    store.touch_keys(&used).await.unwrap();
    store.touch_keys(&[(created.id, Micros(30))]).await.unwrap();
    let touched = store.key(created.id).await.unwrap();
    assert_eq!((touched.last_used_at, touched.revision), (Some(Micros(60)), 2));
    assert_eq!(store.last_change().await.unwrap(), before);
    store.revoke_key(created.id, NOW).await.unwrap();
    assert!(store.update_key(created.id, &update, None, NOW).await.is_err());
    let filter = |status| KeyFilter { status: Some((status, NOW)), ..KeyFilter::default() };
    assert_eq!(store.keys_page(&filter(KeyStatus::Revoked), PAGE).await.unwrap().items.len(), 1);
    assert_eq!(store.keys_page(&filter(KeyStatus::Active), PAGE).await.unwrap().items.len(), 0);
}

async fn admin_keys_are_found_by_hash_until_revoked(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    assert!(!store.has_owner().await.unwrap());
    let secret = AdminSecret::generate();
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    let new = NewAdminKey {
        tenant: top,
        name: "deployment".into(),
        role: Role::Admin,
        scopes: vec![AdminScope::write(AdminArea::Keys), AdminScope::read(AdminArea::Usage)],
        hash: pepper.hash_admin(&secret),
        pepper_id: pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: None,
    };
    let key = store.create_admin_key(&new, NOW).await.unwrap();
    assert!(!store.has_owner().await.unwrap(), "an admin is no owner");
    assert_eq!(store.admin_key_by_hash(&new.hash).await.unwrap(), Some(key.clone()));
    assert_eq!(store.admin_key_by_hash(&pepper.hash_admin(&AdminSecret::generate())).await.unwrap(), None);
    assert_eq!(store.admin_keys(Some(top)).await.unwrap(), std::slice::from_ref(&key));
    let revoked = store.revoke_admin_key(key.id, NOW).await.unwrap();
    assert_eq!(revoked.status(NOW), KeyStatus::Revoked);
    assert_eq!(store.admin_key_by_hash(&new.hash).await.unwrap(), Some(revoked));
    let other = root(&store).await.id;
    let elsewhere = store.acting_as(person("anna", Scope::Subtree(other)));
    assert!(elsewhere.admin_key(key.id).await.is_err() && elsewhere.revoke_admin_key(key.id, NOW).await.is_err());
}

async fn plans_change_ahead_and_migrate_without_rewriting_the_past(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("a", "1.00"), plan("b", "2.00")], NOW).await.unwrap();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let top = root(&store).await.id;
    let new = NewTenant { plan: Some(a), ..new_tenant(TenantKind::Customer, Some(top)) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    let spans = async || {
        let all = store.subscriptions_of(tenant).await.unwrap();
        all.into_iter().map(|one| (one.plan.to_string(), one.version, one.starts_at, one.ends_at)).collect::<Vec<_>>()
    };
    // 2026-12-01T00:00:00Z.
    let period_end = Micros(1_796_083_200_000_000);
    let later = NOW.plus_seconds(60);
    let ahead = store.assign_plan(tenant, &b, None, PlanStart::PeriodEnd, later).await.unwrap();
    assert_eq!(ahead.starts_at, period_end);
    let changed = [("a".to_owned(), 1, NOW, Some(period_end)), ("b".into(), 1, period_end, None)];
    assert_eq!(spans().await, changed);
    // Another change ahead takes the place of the first.
    let at = NOW.plus_seconds(3_600);
    store.assign_plan(tenant, &b, None, PlanStart::At(at), later).await.unwrap();
    assert_eq!(spans().await, [("a".to_owned(), 1, NOW, Some(at)), ("b".into(), 1, at, None)]);
    let after = at.plus_seconds(60);
    store.apply_plans(&[plan("b", "3.00")], after).await.unwrap();
    assert_eq!(store.migrate_plan(None, &b, PlanStart::Now, after).await.unwrap(), [tenant]);
    assert_eq!(store.migrate_plan(None, &b, PlanStart::Now, after).await.unwrap(), []);
    let expected = [("a".to_owned(), 1, NOW, Some(at)), ("b".into(), 1, at, Some(after)), ("b".into(), 2, after, None)];
    assert_eq!(spans().await, expected, "what was in force stays");
    store.deprecate_plan(&b, true, after).await.unwrap();
    let error = store.assign_plan(top, &b, None, PlanStart::Now, after).await.unwrap_err();
    assert!(error.to_string().contains("not on offer"), "{error}");
    assert_eq!(store.subscription_at(tenant, after).await.unwrap().unwrap().version, 2, "who has it keeps it");
    store.deprecate_plan(&b, false, after).await.unwrap();
    store.assign_plan(top, &b, Some(1), PlanStart::Now, after).await.unwrap();
}

async fn pages_meet_each_item_once(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    for _ in 0..7 {
        customer(&store, top).await;
    }
    let filter = common::tenant::TenantFilter { parent: Some(top), ..Default::default() };
    let (mut after, mut met, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = store.tenants_page(&filter, PageRequest { after, limit: 3 }).await.unwrap();
        met.extend(page.items.into_iter().map(|tenant| tenant.id));
        pages += 1;
        // Somebody who comes meanwhile moves nothing.
        if pages == 1 {
            customer(&store, top).await;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut once = met.clone();
    once.dedup();
    assert_eq!((met.len(), once.len(), pages), (8, 8, 3));
    let beyond = PageRequest { after: Some(i64::MAX), limit: 3 };
    assert_eq!(store.tenants_page(&filter, beyond).await.unwrap().items, []);
}

async fn reports_add_up_on_every_clock(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let zoned = |zone: &str| NewTenant { zone: zone.parse().unwrap(), ..new_tenant(TenantKind::Customer, Some(top)) };
    let mut tenants = Vec::new();
    for zone in ["UTC", "Asia/Kathmandu", "America/New_York"] {
        tenants.push(store.create_tenant(&zoned(zone), NOW).await.unwrap().id);
    }
    let mut entries = Vec::new();
    for hour in 0..60 {
        for (index, tenant) in tenants.iter().enumerate() {
            let at = NOW.plus_seconds(hour * 3_600);
            let meter = if hour % 2 == 0 { "requests" } else { "pages" };
            let units = 1 + u64::try_from(index).unwrap();
            entries.push(UsageEntry::Request(UsageRecord { at, units, meter: meter.into(), ..request(*tenant) }));
        }
    }
    let batch = UsageBatch { stream: stream(1), first_seq: 0, entries };
    store.book_usage(&batch, NOW).await.unwrap();
    let query = |step, group_by: &[UsageDimension], limit| UsageQuery {
        tenant: top,
        subtree: true,
        key: None,
        route: None,
        meter: None,
        mode: None,
        window: Window { start: NOW.plus_seconds(-86_400), end: NOW.plus_seconds(86_400 * 5) },
        step,
        group_by: group_by.to_vec(),
        after: None,
        limit,
    };
    for step in [UsageStep::Hour, UsageStep::Day, UsageStep::Month] {
        for group_by in [&[][..], &[UsageDimension::Tenant], &[UsageDimension::Meter, UsageDimension::Tenant]] {
            let whole = all(&store, query(step, group_by, 1_000)).await;
            let paged = all(&store, query(step, group_by, 3)).await;
            assert_eq!(whole, paged, "pages are the report, {step:?} {group_by:?}");
            let units: u64 = whole.iter().map(|row| row.units).sum();
            assert_eq!(units, 60 * (1 + 2 + 3), "{step:?} {group_by:?}");
        }
    }
    let days = all(&store, query(UsageStep::Day, &[UsageDimension::Tenant], 1_000)).await;
    let mut starts: BTreeMap<TenantId, Vec<Micros>> = BTreeMap::new();
    for row in &days {
        starts.entry(row.tenant.unwrap()).or_default().push(row.start);
    }
    // 2026-11-21T18:15Z is midnight in Kathmandu, 2026-11-21T05:00Z in New York.
    assert_eq!(starts[&tenants[1]][0], Micros(1_795_284_900_000_000));
    assert_eq!(starts[&tenants[2]][0], Micros(1_795_237_200_000_000));
    let one = UsageQuery {
        tenant: tenants[0],
        subtree: false,
        meter: Some("pages".into()),
        ..query(UsageStep::Month, &[], 9)
    };
    let rows = all(&store, one).await;
    assert_eq!((rows.len(), rows[0].units, rows[0].requests), (1, 30, 30));
    let mine = store.acting_as(person("anna", Scope::Subtree(tenants[0])));
    assert!(mine.usage_report(&query(UsageStep::Day, &[], 9)).await.is_err());
}

async fn all(store: &Store, mut query: UsageQuery) -> Vec<UsageReportRow> {
    let (mut rows, mut cursors): (Vec<UsageReportRow>, Vec<UsageCursor>) = (Vec::new(), Vec::new());
    loop {
        let report = store.usage_report(&query).await.unwrap();
        rows.extend(report.rows);
        match report.next {
            None => return rows,
            Some(next) => {
                assert!(!cursors.contains(&next), "a report that never ends");
                cursors.push(next.clone());
                query.after = Some(next);
            }
        }
    }
}
