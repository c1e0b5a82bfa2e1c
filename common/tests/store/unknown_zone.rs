//! A tenant in a time zone that this program's database does not have: everybody else is read,
//! reported and served.

use common::{
    change::CatalogRow,
    store::{AuditFilter, PageRequest},
    tenant::{TenantFilter, TenantKind::Customer},
    time::Window,
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};

use crate::fixture::{Fixture, NOW, batch, new_tenant, on_both_engines, root, stream};

on_both_engines!(unknown_zone_of_one_tenant_leaves_others_served);

async fn unknown_zone_of_one_tenant_leaves_others_served(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let lost = store.create_tenant(&new_tenant(Customer, Some(top)), NOW).await.unwrap().id;
    let other = store.create_tenant(&new_tenant(Customer, Some(top)), NOW).await.unwrap().id;
    for (boot, tenant) in [(1, lost), (2, other)] {
        store.book_usage(&batch(&stream(boot), 0, 2, tenant), NOW).await.unwrap();
    }
    fixture.execute("UPDATE tenants SET zone = 'Mars/Olympus' WHERE created_seq = 2").await.unwrap();

    let tenants = store.tenants().await.unwrap();
    let zones: Vec<_> = tenants.iter().map(|tenant| (tenant.zone.name(), tenant.zone.is_known())).collect();
    assert_eq!(zones.iter().filter(|zone| **zone == ("Mars/Olympus", false)).count(), 1, "{zones:?}");
    for step in [UsageStep::Hour, UsageStep::Day, UsageStep::Month] {
        let query = UsageQuery {
            tenant: top,
            subtree: true,
            window: Window { start: NOW.plus_seconds(-86_400), end: NOW.plus_seconds(86_400) },
            step,
            group_by: vec![UsageDimension::Tenant],
            key: None,
            route: None,
            meter: None,
            mode: None,
            after: None,
            limit: 100,
        };
        let rows = store.usage_report(&query).await.unwrap().rows;
        let of = |tenant| rows.iter().find(|row| row.tenant == Some(tenant)).unwrap();
        assert_eq!((of(lost).requests, of(lost).zone.as_str(), of(other).requests), (2, "Mars/Olympus", 2), "{step:?}");
    }
    let mut served = Vec::new();
    let take =
        |row| served.extend(if let CatalogRow::Tenant(tenant) = row { Some(tenant.zone.is_known()) } else { None });
    store.change_feed().whole(take).await.unwrap();
    assert_eq!(served.iter().filter(|is_known| **is_known).count(), 2, "{served:?}");
    store.raise_threshold_events(NOW, NOW).await.unwrap();
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean() && audit.periods.len() == 2, "{audit:?}");
    let page = PageRequest { after: None, limit: 100 };
    assert!(!store.audit_log(&AuditFilter::default(), page).await.unwrap().items.is_empty());
    assert_eq!(store.tenants_page(&TenantFilter::default(), page).await.unwrap().items.len(), 3);
}
