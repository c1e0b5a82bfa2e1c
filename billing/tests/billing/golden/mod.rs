//! Golden invoices: whole stories, whose invoices are compared byte by byte with files in
//! `billing/tests/golden`, as JSON and as the text of `billing explain`. `UPDATE=1` writes the files.
//!
//! So are the electronic forms of the invoices and credit notes that EN 16931 covers; a validator
//! judges these files.
//!
//! Each story says in its comment what its invoices must come to, worked out by hand.

mod electronic;
mod stories;

use std::path::Path;

use billing::invoice::{IssueOptions, issue, issue_due};
use common::{
    api::invoice::{CreditNoteDocument, InvoiceDocument},
    id::{InvoiceId, TenantId},
    invoice::InvoiceFilter,
    plan::{PlanFile, subscription::PlanStart},
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    usage::{UsageEntry, UsageRecord},
};
use serde_json::Value;

use crate::deployment::{Deployment, batch, instant, request, stderr, stdout};

const BEGAN: &str = "2026-09-01T00:00:00Z";

const ALL: PageRequest = PageRequest { after: None, limit: 1_000 };

/// A store in which a story happens.
struct Story {
    deployment: Deployment,
    store: Store,
    root: TenantId,
    /// Ids and the names that stand for them in the files.
    names: Vec<(String, String)>,
    next_seq: u64,
}

impl Story {
    async fn new() -> Self {
        let deployment = Deployment::new();
        let (store, root) = deployment.store().await;
        let names = vec![(root.to_string(), "ten_root".into())];
        Self { deployment, store, root, names, next_seq: 0 }
    }

    async fn tenant(&mut self, name: &str, parent: TenantId, kind: TenantKind, zone: &str) -> TenantId {
        let zone = zone.parse().unwrap();
        let new = NewTenant { parent: Some(parent), kind, name: name.into(), zone, plan: None };
        let id = self.store.create_tenant(&new, instant(BEGAN)).await.unwrap().id;
        self.names.push((id.to_string(), format!("ten_{}", name.to_lowercase())));
        id
    }

    /// A customer of the root's.
    async fn customer(&mut self, name: &str, zone: &str) -> TenantId {
        self.tenant(name, self.root, TenantKind::Customer, zone).await
    }

    /// A plan, written as YAML in one line.
    async fn plan(&self, owner: TenantId, plan: &str) {
        let plans = PlanFile::parse(&format!("plans:\n  - {{ {plan} }}\n"), "test").unwrap().plans;
        self.store.apply_plans_of(Some(owner), &plans, instant(BEGAN)).await.unwrap();
    }

    async fn subscribe(&self, tenant: TenantId, plan: &str, at: &str) {
        let plan = plan.parse().unwrap();
        self.store.assign_plan(tenant, &plan, None, PlanStart::Now, instant(at)).await.unwrap();
    }

    async fn used(&mut self, tenant: TenantId, at: &str, units: u64) {
        self.book(request(tenant, at, units)).await;
    }

    async fn book(&mut self, record: UsageRecord) {
        let usage = batch(self.next_seq, [UsageEntry::Request(record)]);
        self.store.book_usage(&usage, instant("2026-12-01T00:00:00Z")).await.unwrap();
        self.next_seq += 1;
    }

    /// Issues the invoices of a month, at noon of the second day after it.
    async fn run(&self, period: &str) {
        let period: common::time::Period = period.parse().unwrap();
        let now = instant(&format!("{}-02T12:00:00Z", period.next()));
        let options = IssueOptions { now, grace_seconds: 3_600, late_periods: 3 };
        let run = issue(&self.store, period, None, options).await.unwrap();
        assert_eq!(run.failed, []);
    }

    /// Issues what is due at an instant, within a period or after it.
    async fn run_due(&self, now: &str) {
        let options = IssueOptions { now: instant(now), grace_seconds: 3_600, late_periods: 3 };
        let run = issue_due(&self.store, None, options).await.unwrap();
        assert_eq!(run.failed, []);
    }

    async fn invoice(&self, number: &str) -> InvoiceId {
        let found = self.store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items;
        found.into_iter().find(|invoice| invoice.number == number).unwrap().id
    }

    /// Compares all invoices with the files of the story, and their totals with `totals`.
    async fn ends(mut self, name: &str, totals: &[&str]) {
        let invoices = self.store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items;
        let found: Vec<String> = invoices.iter().map(|invoice| invoice.total.to_string()).collect();
        assert_eq!(found, totals, "{name}");
        let (mut documents, mut text) = (Vec::new(), String::new());
        for (place, invoice) in invoices.into_iter().enumerate() {
            let (id, tenant) = (invoice.id, invoice.tenant);
            let notes = self.store.credit_notes(id).await.unwrap();
            for (file, xml) in electronic::forms(&invoice, &notes) {
                compare(&format!("{name}.{place}-{file}"), &self.named(xml));
            }
            self.names.push((id.to_string(), format!("inv_{}", invoice.number.to_lowercase())));
            if let Some(hash) = &invoice.content.input_hash {
                self.names.push((hash.clone(), "hash of the inputs".into()));
            }
            documents.push(serde_json::to_value(InvoiceDocument::from(invoice)).unwrap());
            for note in notes {
                self.names.push((note.id.to_string(), format!("crn_{}", note.number.to_lowercase())));
                documents.push(serde_json::to_value(CreditNoteDocument::from(note)).unwrap());
            }
            let explained = self.deployment.run(&["explain", &id.to_string(), "--store", &self.deployment.url()]).await;
            assert_eq!(explained.status.code(), Some(0), "{tenant}: {}", stderr(&explained));
            text += &stdout(&explained);
            text.push('\n');
        }
        let json = serde_json::to_string_pretty(&Value::Array(documents)).unwrap() + "\n";
        compare(&format!("{name}.json"), &self.named(json));
        compare(&format!("{name}.txt"), &self.named(text));
    }

    /// A text with names in place of what is different each time.
    fn named(&self, text: String) -> String {
        self.names.iter().fold(text, |text, (id, name)| text.replace(id, name))
    }
}

fn compare(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file} differs; UPDATE=1 writes it. Now:\n{found}");
}
