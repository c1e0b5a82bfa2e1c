//! One bill for several tenants: the lines are those that each would have had on a bill of its own.

use common::{
    id::{InvoiceId, TenantId},
    invoice::{
        Address, BillingDetails, Invoice, InvoiceFilter, InvoiceLine, NewCreditNote,
        tax::{TaxRule, Treatment},
    },
    store::{PageRequest, Store},
    tenant::{TenantKind, TenantUpdate},
};
use serde_json::Value;

use crate::{
    deployment::{Deployment, instant, request, stderr},
    issue::{book, plans, run, subscribe, tenant},
    topic::deployments,
};

const ALL: PageRequest = PageRequest { after: None, limit: 1_000 };

/// A group with two units that have plans of their own, and a tenant beside it.
struct Group {
    store: Store,
    root: TenantId,
    payer: TenantId,
    units: [TenantId; 2],
    other: TenantId,
}

async fn group(deployment: &Deployment) -> Group {
    let (store, root) = deployment.store().await;
    let tiers = "tiers: [{ up_to: 100, price: { amount: '0.333', per: 1 } }, { price: { amount: '0.1', per: 1 } }]";
    let pro = format!(
        "id: pro, name: Pro, currency: EUR, flat_fee: '30.00', billing: {{ invoice_at: '40.00', prorate: true }}, \
         charges: [{{ meter: requests, included: 10, {tiers} }}]"
    );
    let early = "id: early, name: Early, currency: EUR, flat_fee: '90.00', billing: { in_advance: true }, \
                 charges: [{ meter: requests, per_unit: { amount: '0.0133', per: 1 } }]";
    plans(&store, None, &[&pro, early]).await;
    let group = tenant(&store, root, TenantKind::Reseller, "Europe/Berlin").await;
    let units = [
        tenant(&store, group, TenantKind::Customer, "Europe/Berlin").await,
        tenant(&store, group, TenantKind::Customer, "America/New_York").await,
    ];
    let other = tenant(&store, root, TenantKind::Customer, "UTC").await;
    for (tenant, plan) in [(group, "early"), (units[0], "pro"), (units[1], "early"), (other, "pro")] {
        subscribe(&store, tenant, plan, "2026-03-20T00:00:00Z").await;
    }
    Group { store, root, payer: group, units, other }
}

impl Group {
    async fn pay_for_units(&self, percent: Option<&str>) {
        let tax = percent.map(|percent| TaxRule { treatment: Treatment::Exclusive, percent: percent.parse().unwrap() });
        let details = BillingDetails { pays_for: self.units.into(), tax, ..BillingDetails::default() };
        self.store.set_billing_details(self.payer, &details, instant("2026-03-21T00:00:00Z")).await.unwrap();
    }

    /// A quarter with usage in time and late, a bill in the middle of a period, and fees in
    /// advance.
    async fn quarter(&self, deployment: &Deployment) {
        let used = |tenant, at: &str, units| request(tenant, at, units);
        let [first, second] = self.units;
        let steps = [
            (
                "2026-03-21T00:00:00Z",
                vec![used(first, "2026-03-20T12:00:00Z", 20), used(second, "2026-03-20T12:00:00Z", 77)],
            ),
            (
                "2026-04-01T12:00:00Z",
                vec![used(self.payer, "2026-03-25T00:00:00Z", 1_000), used(self.other, "2026-03-25T00:00:00Z", 9)],
            ),
            (
                "2026-04-15T00:00:00Z",
                vec![used(first, "2026-04-10T00:00:00Z", 200), used(second, "2026-04-01T03:59:59Z", 11)],
            ),
            (
                "2026-05-02T00:00:00Z",
                vec![used(first, "2026-03-22T00:00:00Z", 31), used(second, "2026-04-22T00:00:00Z", 5)],
            ),
            (
                "2026-06-02T00:00:00Z",
                vec![used(first, "2026-05-22T00:00:00Z", 400), used(second, "2026-04-23T00:00:00Z", 50)],
            ),
        ];
        let mut seq = 0;
        for (now, records) in steps {
            let count = records.len() as u64;
            book(&self.store, seq, records).await;
            seq += count;
            run(deployment, &["--now", now]).await;
            run(deployment, &["--now", now]).await;
        }
    }

    async fn invoices(&self) -> Vec<Invoice> {
        self.store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items
    }
}

/// The lines that each tenant was billed, in the order of the bills.
fn billed(invoices: &[Invoice], tenant: TenantId) -> Vec<InvoiceLine> {
    let bills = invoices.iter().flat_map(Invoice::bills).filter(|bill| bill.tenant == tenant);
    let plain = |line: &InvoiceLine| InvoiceLine { tax: TaxRule::NONE, ..line.clone() };
    bills.flat_map(|bill| bill.lines.iter().map(plain)).collect()
}

async fn clean(deployment: &Deployment) {
    let audit = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert_eq!(audit.status.code(), Some(0), "{}", stderr(&audit));
}

async fn explained(deployment: &Deployment, id: InvoiceId) -> Value {
    let output = deployment.run(&["explain", &id.to_string(), "--output", "json", "--store", &deployment.url()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn sections_have_the_lines_of_bills_of_their_own() {
    for (alone, together) in deployments().into_iter().zip(deployments()) {
        let (one_each, all_in_one) = (group(&alone).await, group(&together).await);
        all_in_one.pay_for_units(Some("19")).await;
        one_each.quarter(&alone).await;
        all_in_one.quarter(&together).await;
        let (apart, joined) = (one_each.invoices().await, all_in_one.invoices().await);
        let tenants = |group: &Group| [group.payer, group.units[0], group.units[1], group.other];
        for (apart_tenant, joined_tenant) in tenants(&one_each).into_iter().zip(tenants(&all_in_one)) {
            let (expected, found) = (billed(&apart, apart_tenant), billed(&joined, joined_tenant));
            assert_eq!(expected, found, "{apart_tenant} and {joined_tenant}");
            assert!(found.len() > 2);
        }
        let subtotals = |invoices: &[Invoice]| invoices.iter().map(|one| one.content.subtotal_minor).sum::<i64>();
        assert_eq!(subtotals(&apart), subtotals(&joined));
        let owed_by_units = joined.iter().any(|one| all_in_one.units.contains(&one.tenant));
        assert!(!owed_by_units, "the group owes for its units");
        assert!(joined.len() < apart.len(), "{} of {}", joined.len(), apart.len());
        for invoice in joined.iter().filter(|one| one.tenant == all_in_one.payer) {
            let content = &invoice.content;
            assert_eq!(content.sections.iter().map(|one| one.subtotal_minor).sum::<i64>(), content.subtotal_minor);
            assert_eq!(content.sections.iter().map(|one| one.lines).sum::<usize>(), content.lines.len());
            assert_ne!(explained(&together, invoice.id).await["from_frozen_usage"], "differs", "{}", invoice.number);
        }
        clean(&alone).await;
        clean(&together).await;
    }
}

#[tokio::test]
async fn void_invoice_for_several_is_issued_anew_and_a_credit_note_takes_back_a_section() {
    for deployment in deployments() {
        let group = group(&deployment).await;
        group.pay_for_units(None).await;
        book(&group.store, 0, vec![request(group.units[0], "2026-03-25T00:00:00Z", 60)]).await;
        run(&deployment, &["--now", "2026-03-21T00:00:00Z"]).await;
        let april = run(&deployment, &["--now", "2026-04-02T00:00:00Z"]).await;
        let of_group = |run: &Value| {
            let issued = run["issued"].as_array().unwrap();
            let found: Vec<InvoiceId> = issued
                .iter()
                .filter(|one| one["tenant"] == group.payer.to_string())
                .map(|one| one["id"].as_str().unwrap().parse().unwrap())
                .collect();
            assert_eq!(found.len(), 1, "{run}");
            found[0]
        };
        let first = group.store.invoice(of_group(&april)).await.unwrap();
        assert_eq!(first.bills().len(), 3);
        let now = instant("2026-04-03T00:00:00Z");
        group.store.void_invoice(first.id, "a slip", now).await.unwrap();
        clean(&deployment).await;
        let again = run(&deployment, &["--now", "2026-04-03T00:00:00Z"]).await;
        let second = group.store.invoice(of_group(&again)).await.unwrap();
        assert_eq!(second.content.lines, first.content.lines);
        let explanation = explained(&deployment, second.id).await;
        assert_eq!(
            (&explanation["from_frozen_usage"], &explanation["from_booked_usage"]),
            (&"same".into(), &"same".into())
        );
        let place = second.content.lines.iter().position(|line| line.amount_minor > 0).unwrap();
        let note = NewCreditNote { lines: vec![(place, 1)], reason: "goodwill".into() };
        assert_eq!(group.store.issue_credit_note(second.id, &note, now).await.unwrap().total.minor(), 1);
        // What a later bill takes as billed stays.
        book(&group.store, 1, vec![request(group.units[0], "2026-03-25T00:00:00Z", 7)]).await;
        run(&deployment, &["--now", "2026-05-02T00:00:00Z"]).await;
        let refused = group.store.void_invoice(second.id, "too late", instant("2026-05-03T00:00:00Z")).await;
        assert!(refused.is_err());
        clean(&deployment).await;
    }
}

#[tokio::test]
async fn tenant_that_is_paid_for_no_more_has_bills_of_its_own_again() {
    let deployment = Deployment::new();
    let group = group(&deployment).await;
    group.pay_for_units(None).await;
    run(&deployment, &["--now", "2026-04-02T00:00:00Z"]).await;
    let details = BillingDetails::default();
    group.store.set_billing_details(group.payer, &details, instant("2026-04-03T00:00:00Z")).await.unwrap();
    run(&deployment, &["--now", "2026-05-02T00:00:00Z"]).await;
    run(&deployment, &["--now", "2026-05-02T00:00:00Z"]).await;
    let invoices = group.invoices().await;
    for unit in group.units {
        let of_unit: Vec<_> = invoices.iter().flat_map(Invoice::bills).filter(|bill| bill.tenant == unit).collect();
        let starts: Vec<_> = of_unit.iter().map(|bill| (bill.window.start, bill.part)).collect();
        let mut distinct = starts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(starts.len(), distinct.len(), "no period is billed twice");
        assert!(of_unit.iter().any(|bill| bill.section.is_some()) && of_unit.iter().any(|bill| bill.section.is_none()));
    }
    let of_root = InvoiceFilter { issuer: Some(group.root), ..InvoiceFilter::default() };
    assert_eq!(group.store.invoices(of_root, ALL).await.unwrap().items.len(), invoices.len());
    clean(&deployment).await;
}

/// Sides of an invoice as the norm of electronic invoices asks for them.
fn side(name: &str, tax_id: &str) -> BillingDetails {
    BillingDetails {
        legal_name: Some(name.into()),
        address: Some(Address {
            lines: vec!["Hauptstraße 1".into()],
            postal_code: Some("10115".into()),
            city: "Berlin".into(),
            country: "DE".into(),
        }),
        email: Some("billing@example.com".into()),
        tax_id: Some(tax_id.into()),
        ..BillingDetails::default()
    }
}

#[tokio::test]
async fn paper_and_electronic_form_of_a_bill_for_several_name_each_of_them_and_keep_to_the_norms() {
    let deployment = Deployment::new();
    deployment.write_settings("127.0.0.1:0");
    deployment.typeset_documents(60);
    let group = group(&deployment).await;
    let (now, tax) =
        (instant("2026-03-21T00:00:00Z"), TaxRule { treatment: Treatment::Exclusive, percent: "19".parse().unwrap() });
    let seller = side("Root GmbH", "DE123456788");
    group.store.set_billing_details(group.root, &seller, now).await.unwrap();
    let payer = BillingDetails { pays_for: group.units.into(), tax: Some(tax), ..side("Gruppe AG", "DE987654328") };
    group.store.set_billing_details(group.payer, &payer, now).await.unwrap();
    for (unit, name) in group.units.into_iter().zip(["Werk Nord", "Werk Süd"]) {
        let update = TenantUpdate { name: Some(name.into()) };
        group.store.update_tenant(unit, &update, None, now).await.unwrap();
    }
    let used = group.units.map(|unit| request(unit, "2026-03-25T00:00:00Z", 60));
    book(&group.store, 0, used.into()).await;
    run(&deployment, &["--now", "2026-04-02T12:00:00Z"]).await;
    let of_payer = InvoiceFilter { tenant: Some(group.payer), ..InvoiceFilter::default() };
    let invoices = group.store.invoices(of_payer, ALL).await.unwrap().items;
    assert!(invoices.iter().any(|invoice| invoice.content.sections.len() == 3), "{invoices:?}");

    let payer = group.payer.to_string();
    let arguments = ["documents", "out", "--config", "billing.yaml", "--factur-x", "--tenant", &payer];
    let made = deployment.run(&arguments).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let folder = deployment.path("out").join(group.root.to_string());
    let files: Vec<_> = invoices.iter().map(|invoice| folder.join(format!("{}.pdf", invoice.number))).collect();
    assert_eq!(servers::invoice_judge::faults(&files).unwrap(), [] as [String; 0]);
    for (invoice, file) in invoices.iter().zip(&files) {
        let said = std::process::Command::new("pdftotext").args(["-layout"]).arg(file).arg("-").output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        for section in &invoice.content.sections {
            assert!(text.contains(&section.name), "{} is not in\n{text}", section.name);
        }
    }
}
