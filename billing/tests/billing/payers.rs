//! Whose bill a unit is on, by which plan and in which month: that of its own time, whatever changed since.

use billing::invoice::{Drafts, PeriodChoice, draft, to_json};
use common::{
    acting::{Acting, Scope},
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
    fixture::{Fixture, batch, instant, request, stderr},
    topic::fixtures,
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
    fixture: Fixture,
    store: Store,
    root: TenantId,
    next_seq: u64,
}

impl Books {
    async fn at(fixture: Fixture) -> Self {
        let (store, root) = fixture.store().await;
        let plans = PlanFile::parse(PLANS, "plans.yaml").unwrap().plans;
        store.apply_plans(&plans, instant("2026-01-01T00:00:00Z")).await.unwrap();
        Self { fixture, store, root, next_seq: 0 }
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

fn lines(drafts: &Drafts, tenant: TenantId) -> Vec<(String, u64, String)> {
    let invoice = drafts.invoices.iter().find(|invoice| invoice.tenant == tenant).unwrap();
    let line = |line: &billing::rating::Line| (line.description.clone(), line.quantity, line.amount.digits());
    invoice.lines.iter().skip(1).map(line).collect()
}

fn tokens(tenant: TenantId, at: &str, units: u64, prepaid: bool) -> UsageRecord {
    UsageRecord { meter: "tokens".into(), prepaid, ..request(tenant, at, units) }
}

fn line(description: &str, quantity: u64, amount: &str) -> (String, u64, String) {
    (description.into(), quantity, amount.into())
}

#[tokio::test]
async fn units_paid_from_credit_are_not_billed_by_the_plan_that_follows() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("credit")).await;
        books.book(vec![tokens(tenant, "2026-11-10T12:05:00Z", 10, true); 5]).await;
        books.assign(tenant, "metered", "2026-11-10T12:30:00Z").await;
        books.book([tokens(tenant, "2026-11-10T12:40:00Z", 2, false)]).await;
        let drafts = books.drafts("2026-11").await;
        assert_eq!(total(&drafts, tenant), "2.00");
        assert_eq!(
            lines(&drafts, tenant),
            [line("tokens: from 1 on", 2, "2.00"), line("tokens: paid from credit", 50, "0.00")]
        );
        // A request that was admitted by credit before the change and is told of after it.
        books.book([tokens(tenant, "2026-11-10T12:29:59Z", 7, true)]).await;
        assert_eq!(total(&books.drafts("2026-11").await, tenant), "2.00");
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn units_that_were_owed_stay_owed_under_the_plan_that_follows() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        for (next, free) in [
            ("credit", line("tokens: prepaid, used without credit", 3, "0.00")),
            ("none", line("tokens: not part of the plan", 3, "0.00")),
        ] {
            let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("metered")).await;
            books.book([tokens(tenant, "2026-11-10T12:05:00Z", 50, false)]).await;
            books.assign(tenant, next, "2026-11-10T12:30:00Z").await;
            books.book([tokens(tenant, "2026-11-10T12:40:00Z", 3, false)]).await;
            let drafts = books.drafts("2026-11").await;
            assert_eq!(total(&drafts, tenant), "50.00", "{next}");
            assert_eq!(lines(&drafts, tenant), [line("Metered, tokens: from 1 on", 50, "50.00"), free]);
        }
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn units_that_were_free_stay_free_under_the_plan_that_follows() {
    let mut books = Books::at(Fixture::new()).await;
    let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("none")).await;
    books.book([tokens(tenant, "2026-11-10T12:05:00Z", 50, false)]).await;
    books.assign(tenant, "metered", "2026-11-10T12:30:00Z").await;
    books.book([tokens(tenant, "2026-11-10T12:40:00Z", 3, false)]).await;
    assert_eq!(total(&books.drafts("2026-11").await, tenant), "3.00");
}

#[tokio::test]
async fn last_plan_that_prices_a_meter_prices_all_of_it_with_one_allowance() {
    let mut books = Books::at(Fixture::new()).await;
    let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("starter")).await;
    books.book([request(tenant, "2026-11-10T12:00:00Z", 1_200_000)]).await;
    books.assign(tenant, "growth", "2026-11-15T00:00:00Z").await;
    books.book([request(tenant, "2026-11-20T12:00:00Z", 2_000_000)]).await;
    assert_eq!(total(&books.drafts("2026-11").await, tenant), "103.80");
}

/// Two resellers, a customer of the first, and what they owe for October.
async fn october(books: &mut Books) -> (TenantId, TenantId, TenantId) {
    let first = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
    let second = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("starter")).await;
    let customer = books.tenant(TenantKind::Customer, first, "UTC", None).await;
    books.book([request(customer, "2026-10-10T12:00:00Z", 5_000_000)]).await;
    (first, second, customer)
}

#[tokio::test]
async fn moving_a_tenant_changes_no_month_that_has_ended() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let (first, second, customer) = october(&mut books).await;
        let before = to_json(&books.drafts("2026-10").await).unwrap();
        books.store.move_tenant(customer, second, None, instant("2026-11-28T10:20:30Z")).await.unwrap();
        let drafts = books.drafts("2026-10").await;
        assert_eq!((total(&drafts, first), total(&drafts, second)), ("111.00".into(), "29.00".into()));
        assert_eq!(to_json(&drafts).unwrap(), before);

        // A move in mid-hour splits the hour; what comes late goes where it was used.
        books.book([request(customer, "2026-11-28T10:20:30Z", 700_000)]).await;
        books.book([request(customer, "2026-11-28T10:20:29.999999Z", 3_000_000)]).await;
        let november = books.drafts("2026-11").await;
        assert_eq!((total(&november, first), total(&november, second)), ("103.00".into(), "30.00".into()));
        // And back again.
        books.store.move_tenant(customer, first, None, instant("2026-11-28T10:40:00Z")).await.unwrap();
        books.book([request(customer, "2026-11-28T10:50:00Z", 1_000_000)]).await;
        let november = books.drafts("2026-11").await;
        assert_eq!((total(&november, first), total(&november, second)), ("107.00".into(), "30.00".into()));
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn moving_a_reseller_takes_along_those_below_from_then_on() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let above = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
        let middle = books.tenant(TenantKind::Reseller, above, "UTC", None).await;
        let other = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("starter")).await;
        let customer = books.tenant(TenantKind::Customer, middle, "UTC", None).await;
        books.store.move_tenant(middle, other, None, instant("2026-11-10T10:30:00Z")).await.unwrap();
        let used = [("10:29:59", 2_000_000), ("10:30:00", 600_000)];
        books.book(used.map(|(at, units)| request(customer, &format!("2026-11-10T{at}Z"), units))).await;
        // The plan of those who were above once counts for its own time too.
        books.store.end_subscription(above, PlanStart::Now, instant("2026-11-20T00:00:00Z")).await.unwrap();
        let drafts = books.drafts("2026-11").await;
        assert_eq!((total(&drafts, above), total(&drafts, other)), ("99.00".into(), "29.50".into()));
        let billed = |tenant| drafts.invoices.iter().find(|one| one.tenant == tenant).unwrap().counts.billable_units;
        assert_eq!((billed(above), billed(other)), (2_000_000, 600_000));
        books.assert_in_order().await;
    }
}

/// A report in days on the subtree of a tenant, as that tenant sees it: by tenant, the units of October and November.
async fn seen_by(books: &Books, tenant: TenantId) -> Vec<(TenantId, String, u64)> {
    let acting = Acting { scope: Scope::Subtree(tenant), ..Acting::program("test") };
    let query = UsageQuery {
        tenant,
        subtree: true,
        key: None,
        route: None,
        meter: None,
        mode: None,
        window: Window { start: instant("2026-10-01T00:00:00Z"), end: instant("2026-12-01T00:00:00Z") },
        step: UsageStep::Month,
        group_by: vec![UsageDimension::Tenant],
        after: None,
        limit: 100,
    };
    let report = books.store.acting_as(acting).usage_report(&query).await.unwrap();
    report.rows.iter().map(|row| (row.tenant.unwrap(), row.start.to_string()[..7].to_owned(), row.units)).collect()
}

#[tokio::test]
async fn each_payer_sees_its_own_time_of_a_tenant_that_moved() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let (first, second, customer) = october(&mut books).await;
        books.store.move_tenant(customer, second, None, instant("2026-11-28T10:20:30Z")).await.unwrap();
        books.book([request(customer, "2026-11-28T10:20:00Z", 3), request(customer, "2026-11-28T10:21:00Z", 4)]).await;
        let month = |month: &str, units| (customer, month.to_owned(), units);
        assert_eq!(seen_by(&books, first).await, [month("2026-10", 5_000_000), month("2026-11", 3)]);
        assert_eq!(seen_by(&books, second).await, [month("2026-11", 4)]);
        assert_eq!(seen_by(&books, books.root).await, [month("2026-10", 5_000_000), month("2026-11", 7)]);
        assert_eq!(seen_by(&books, customer).await, [month("2026-10", 5_000_000), month("2026-11", 7)]);
    }
}

#[tokio::test]
async fn month_of_a_bill_is_chosen_on_the_clock_of_its_payer() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let payer = books.tenant(TenantKind::Reseller, books.root, "America/Sao_Paulo", Some("growth")).await;
        let customer = books.tenant(TenantKind::Customer, payer, "Pacific/Kiritimati", None).await;
        books.book([request(customer, "2026-12-10T12:00:00Z", 5_000_000)]).await;
        // It is January in Kiritimati from 10:00 on, and December in Sao Paulo until 3:00 of the next day.
        for now in ["2026-12-31T09:59:59Z", "2026-12-31T10:00:00Z", "2027-01-01T02:59:59Z"] {
            assert_eq!(total(&books.drafts_at(now).await, payer), "111.00", "{now}");
        }
        assert_eq!(total(&books.drafts_at("2027-01-01T03:00:00Z").await, payer), "99.00");
        assert_eq!(total(&books.drafts("2026-12").await, payer), "111.00");
    }
}

#[tokio::test]
async fn hour_in_which_a_month_of_the_payer_begins_is_split() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
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

#[tokio::test]
async fn plan_of_ones_own_that_has_ended_rates_nothing_after_its_end() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
        let reseller = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
        let below = books.tenant(TenantKind::Customer, reseller, "UTC", Some("starter")).await;
        let alone = books.tenant(TenantKind::Customer, books.root, "UTC", Some("starter")).await;
        for tenant in [below, alone] {
            let end = instant("2026-11-10T08:30:00Z");
            books.store.end_subscription(tenant, PlanStart::Now, end).await.unwrap();
            let used = ["2026-11-10T08:29:59Z", "2026-11-10T08:30:00Z", "2026-11-25T00:00:00Z"];
            books.book(used.map(|at| request(tenant, at, 1_000_000))).await;
        }
        let drafts = books.drafts("2026-11").await;
        let units = |tenant| drafts.invoices.iter().find(|one| one.tenant == tenant).unwrap().counts.billable_units;
        assert_eq!([below, alone, reseller].map(units), [1_000_000, 1_000_000, 2_000_000]);
        let json: Value = serde_json::from_str(&to_json(&drafts).unwrap()).unwrap();
        assert_eq!(json["unsubscribed_tenants"], json!([{ "tenant": alone, "units": 2_000_000 }]));
        assert_eq!(json["failed"], Value::Null);
    }
}

/// A plan as stores may hold one from before it would have been refused.
const UNRATEABLE: &str = "
    INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at) SELECT owner_id, 'odd', 1, REPLACE(REPLACE(REPLACE(body,
        '\"growth\"', '\"odd\"'), '\"4.00\"', '\"0.0000000000000000000000000001\"'), '1000000', '1000000000000'), 0
        FROM plan_versions WHERE plan_id = 'growth';
    INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at)
        SELECT owner_id, 'torn', 1, '{}', 0 FROM plan_versions WHERE plan_id = 'growth';
    UPDATE subscriptions SET plan_id = 'odd' WHERE tenant_id = (SELECT id FROM tenants WHERE name = 'reseller in UTC');
    UPDATE subscriptions SET plan_id = 'torn' WHERE tenant_id =
        (SELECT id FROM tenants WHERE name = 'reseller in Asia/Tokyo');
    UPDATE tenants SET zone = 'Mars/Olympus' WHERE name = 'customer in Asia/Seoul'";

#[tokio::test]
async fn tenant_that_cannot_be_billed_stops_no_other_and_is_told() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
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
            sqlx::AnyConnection::connect(&books.fixture.url()).await.unwrap()
        };
        sqlx::raw_sql(UNRATEABLE).execute(&mut other).await.unwrap();
        let url = books.fixture.url();
        let arguments = ["run", "--period", "2026-11", "--dry-run", "--store", &url, "--output"];
        let output = books.fixture.run(&[&arguments[..], &["json"]].concat()).await;
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
        let table = books.fixture.run(&[&arguments[..], &["table"]].concat()).await;
        let shown = String::from_utf8(table.stdout).unwrap();
        assert!(shown.contains("103.80 USD") && shown.contains("NOT BILLED"), "{shown}");
        let alone = books.fixture.run(&[&arguments[..], &["json", "--tenant", &tenants[3].to_string()]].concat()).await;
        assert_eq!(alone.status.code(), Some(0), "{}", stderr(&alone));
    }
}

#[tokio::test]
async fn report_on_many_clocks_says_which_row_is_of_which_and_what_is_cut() {
    for fixture in fixtures() {
        let mut books = Books::at(fixture).await;
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
