//! The payer, the plan and the month of a unit: those of its own time, whatever changed since.

mod moves;
mod plan_changes;

use billing::invoice::{Drafts, PeriodChoice, draft};
use common::{
    id::TenantId,
    plan::{PlanFile, subscription::PlanStart},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        UsageEntry, UsageRecord,
        report::{UsageDimension, UsageQuery, UsageStep},
    },
};
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, batch, instant, request, stderr},
    topic::deployments,
};

/// Plans that differ in what they do with tokens.
const PLANS: &str = "
plans:
  - { id: credit, name: Credit, currency: USD, flat_fee: '0.00', prepaid: [tokens] }
  - { id: none, name: Nothing, currency: USD, flat_fee: '0.00' }
  - id: metered
    name: Metered
    currency: USD
    flat_fee: '0.00'
    charges: [{ meter: tokens, tiers: [{ price: { amount: '1.00', per: 1 } }] }]
";

/// A store, and the number of the next entry.
struct Books {
    deployment: Deployment,
    store: Store,
    root: TenantId,
    next_seq: u64,
}

impl Books {
    async fn at(deployment: Deployment) -> Self {
        let (store, root) = deployment.store().await;
        let plans = PlanFile::parse(PLANS, "plans.yaml").unwrap().plans;
        store.apply_plans(&plans, instant("2026-01-01T00:00:00Z")).await.unwrap();
        Self { deployment, store, root, next_seq: 0 }
    }

    /// A tenant of the 1st of September.
    async fn tenant(&self, kind: TenantKind, parent: TenantId, zone: &str, plan: Option<&str>) -> TenantId {
        let new = NewTenant {
            parent: Some(parent),
            kind,
            name: format!("{kind} in {zone}"),
            zone: zone.parse().unwrap(),
            plan: plan.map(|plan| plan.parse().unwrap()),
        };
        self.store.create_tenant(&new, instant("2026-09-01T00:00:00Z")).await.unwrap().id
    }

    async fn assign(&self, tenant: TenantId, plan: &str, at: &str) {
        let plan = plan.parse().unwrap();
        self.store.assign_plan(tenant, &plan, None, PlanStart::Now, instant(at)).await.unwrap();
    }

    async fn book(&mut self, records: impl IntoIterator<Item = UsageRecord>) {
        let batch = batch(self.next_seq, records.into_iter().map(UsageEntry::Request));
        self.next_seq = batch.end_seq();
        self.store.book_usage(&batch, instant("2026-12-31T00:00:00Z")).await.unwrap();
    }

    async fn drafts(&self, period: &str) -> Drafts {
        draft(&self.store, PeriodChoice::Named(period.parse().unwrap()), None).await.unwrap()
    }

    async fn drafts_at(&self, now: &str) -> Drafts {
        draft(&self.store, PeriodChoice::Holding(instant(now)), None).await.unwrap()
    }

    async fn assert_in_order(&self) {
        let audit = self.store.reconcile(None).await.unwrap();
        assert!(audit.is_clean(), "{:?}", audit.breaches);
    }
}

fn total(drafts: &Drafts, tenant: TenantId) -> String {
    let invoice = drafts.invoices.iter().find(|invoice| invoice.tenant == tenant);
    invoice.map_or_else(|| "none".to_owned(), |invoice| invoice.total.digits())
}

fn lines(drafts: &Drafts, tenant: TenantId) -> Vec<(String, i128, String)> {
    let invoice = drafts.invoices.iter().find(|invoice| invoice.tenant == tenant).unwrap();
    let line = |line: &billing::rating::Line| (line.description.clone(), line.quantity, line.amount.digits());
    invoice.lines.iter().skip(1).map(line).collect()
}

fn tokens(tenant: TenantId, at: &str, units: u64, prepaid: bool) -> UsageRecord {
    UsageRecord { meter: "tokens".into(), prepaid, ..request(tenant, at, units) }
}

fn line(description: &str, quantity: i128, amount: &str) -> (String, i128, String) {
    (description.into(), quantity, amount.into())
}

#[tokio::test]
async fn month_of_a_bill_is_chosen_on_the_clock_of_its_payer() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let payer = books.tenant(TenantKind::Reseller, books.root, "America/Sao_Paulo", Some("growth")).await;
        let customer = books.tenant(TenantKind::Customer, payer, "Pacific/Kiritimati", None).await;
        books.book([request(customer, "2026-12-10T12:00:00Z", 5_000_000)]).await;
        // It is January in Kiritimati from 10:00 on, and December in Sao Paulo until 3:00 of the
        // next day.
        for now in ["2026-12-31T09:59:59Z", "2026-12-31T10:00:00Z", "2027-01-01T02:59:59Z"] {
            assert_eq!(total(&books.drafts_at(now).await, payer), "111.00", "{now}");
        }
        assert_eq!(total(&books.drafts_at("2027-01-01T03:00:00Z").await, payer), "99.00");
        assert_eq!(total(&books.drafts("2026-12").await, payer), "111.00");
    }
}

#[tokio::test]
async fn hour_in_which_a_month_of_the_payer_begins_is_split() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let payer = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
        // Its hours begin at a quarter past.
        let customer = books.tenant(TenantKind::Customer, payer, "Asia/Kathmandu", None).await;
        let used = [("2026-11-30T23:20:00Z", 1), ("2026-11-30T23:59:59.999999Z", 2), ("2026-12-01T00:00:00Z", 4)];
        books.book(used.map(|(at, units)| request(customer, at, units))).await;
        let units = async |period| {
            let drafts = books.drafts(period).await;
            drafts.invoices.iter().map(|invoice| invoice.counts.billable_units).sum::<u64>()
        };
        assert_eq!((units("2026-11").await, units("2026-12").await), (3, 4));
        books.assert_in_order().await;
    }
}

/// A plan as stores may hold one from before it would have been refused.
const UNRATEABLE: &str = "
    INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at) SELECT owner_id, 'odd', 1, REPLACE(REPLACE(REPLACE(body,
        '\"growth\"', '\"odd\"'), '\"4.00\"', '\"999999999999999\"'), '1000000', '1'), 0
        FROM plan_versions WHERE plan_id = 'growth';
    INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at)
        SELECT owner_id, 'torn', 1, '{}', 0 FROM plan_versions WHERE plan_id = 'growth';
    UPDATE subscriptions SET plan_id = 'odd' WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'reseller in UTC');
    UPDATE subscriptions SET plan_id = 'torn' WHERE tenant_id =
        (SELECT id FROM tenants WHERE name = 'reseller in Asia/Tokyo');
    UPDATE tenants SET zone = 'Mars/Olympus' WHERE name = 'customer in Asia/Seoul'";

#[tokio::test]
async fn tenant_that_cannot_be_billed_is_named_and_blocks_no_other() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let mut tenants = Vec::new();
        for (kind, zone) in [
            (TenantKind::Reseller, "UTC"),
            (TenantKind::Reseller, "Asia/Tokyo"),
            (TenantKind::Customer, "Asia/Seoul"),
            (TenantKind::Customer, "UTC"),
        ] {
            let tenant = books.tenant(kind, books.root, zone, Some("growth")).await;
            books.book([request(tenant, "2026-11-10T12:00:00Z", 3_200_000)]).await;
            tenants.push(tenant);
        }
        let mut other = {
            use sqlx::Connection as _;
            sqlx::any::install_default_drivers();
            sqlx::AnyConnection::connect(&books.deployment.url()).await.unwrap()
        };
        sqlx::raw_sql(UNRATEABLE).execute(&mut other).await.unwrap();
        let url = books.deployment.url();
        let arguments = ["run", "--period", "2026-11", "--dry-run", "--store", &url, "--output"];
        let output = books.deployment.run(&[&arguments[..], &["json"]].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        let told = stderr(&output);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let billed: Vec<_> = json["invoices"].as_array().unwrap().iter().map(|one| one["tenant"].clone()).collect();
        assert_eq!(billed, [json!(tenants[3])]);
        let failed = json["failed"].as_array().unwrap();
        assert_eq!(
            failed.iter().map(|one| one["tenant"].clone()).collect::<Vec<_>>(),
            tenants[..3].iter().map(|id| json!(id)).collect::<Vec<_>>()
        );
        for (tenant, reason) in tenants.iter().zip(["plan odd version 1", "plan", "Mars/Olympus"]) {
            let row = failed.iter().find(|row| row["tenant"] == json!(tenant)).unwrap();
            assert!(row["reason"].as_str().unwrap().contains(reason), "{row}");
            assert!(told.contains(&tenant.to_string()), "{told}");
        }
        let table = books.deployment.run(&[&arguments[..], &["table"]].concat()).await;
        let shown = String::from_utf8(table.stdout).unwrap();
        assert!(shown.contains("103.80 USD") && shown.contains("NOT BILLED"), "{shown}");
        let alone =
            books.deployment.run(&[&arguments[..], &["json", "--tenant", &tenants[3].to_string()]].concat()).await;
        assert_eq!(alone.status.code(), Some(0), "{}", stderr(&alone));
    }
}

#[tokio::test]
async fn report_across_time_zones_names_the_zone_of_each_row_and_cut_hours() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let zones: Vec<String> = (1..=12)
            .flat_map(|hours| [format!("Etc/GMT+{hours}"), format!("Etc/GMT-{hours}")])
            .chain(
                ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Europe/Berlin", "Europe/London", "Asia/Kabul"]
                    .map(str::to_owned),
            )
            .chain(
                ["America/New_York", "America/St_Johns", "Asia/Tehran", "Asia/Yangon", "Pacific/Chatham"]
                    .map(str::to_owned),
            )
            .collect();
        assert_eq!(zones.len(), 36);
        for zone in &zones {
            let tenant = books.tenant(TenantKind::Customer, books.root, zone, None).await;
            books.book([request(tenant, "2026-11-10T12:00:00Z", 1), request(tenant, "2026-11-20T12:00:00Z", 2)]).await;
        }
        let mut query = UsageQuery {
            tenant: books.root,
            subtree: true,
            key: None,
            route: None,
            meter: None,
            mode: None,
            window: Window { start: instant("2026-11-10T10:00:00Z"), end: instant("2026-12-10T10:00:00Z") },
            step: UsageStep::Day,
            group_by: vec![UsageDimension::Meter],
            after: None,
            limit: 50,
        };
        let mut rows = Vec::new();
        loop {
            let page = books.store.usage_report(&query).await.unwrap();
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        assert_eq!(rows.iter().map(|row| row.units).sum::<u64>(), 36 * 3);
        let mut places: Vec<_> = rows.iter().map(|row| (row.start, row.zone.clone(), row.meter.clone())).collect();
        let count = places.len();
        places.dedup();
        assert_eq!((count, places.len()), (72, 72), "a row of its own for each day of each clock");
        assert!(places.is_sorted());
        let utc = |at: &str| rows.iter().find(|row| row.zone == "UTC" && row.start == instant(at)).unwrap();
        let (cut, whole) = (utc("2026-11-10T00:00:00Z"), utc("2026-11-20T00:00:00Z"));
        assert_eq!((cut.whole, cut.end, cut.units), (false, instant("2026-11-11T00:00:00Z"), 1));
        assert_eq!((whole.whole, whole.units), (true, 2));
        let hours = UsageQuery { step: UsageStep::Hour, after: None, limit: 1_000, ..query };
        let hours = books.store.usage_report(&hours).await.unwrap().rows;
        assert_eq!(hours.len(), 72);
        assert!(hours.iter().all(|row| row.end == Micros(row.start.0 + 3_600_000_000) && row.whole));
    }
}
