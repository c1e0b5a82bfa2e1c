//! Tables of invoices and credit notes.

use common::api::invoice::{CreditNoteDocument, InvoiceDocument};

use crate::output::{ListRow, Rows, View, or_dash};

impl View for InvoiceDocument {
    fn table(&self) -> Rows {
        let period = self.period.as_ref().map(|period| format!("{} up to {}", period.start, period.end));
        let plan = self.plan.as_ref().map(|plan| format!("{} v{}", plan.id, plan.version));
        let mut rows = Rows::properties([
            ("id", self.id.to_string()),
            ("number", self.number.clone()),
            ("status", self.status.to_string()),
            ("issuer", format!("{} ({})", self.issuer.name, self.issuer.tenant)),
            ("buyer", format!("{} ({})", self.buyer.name, self.buyer.tenant)),
            ("period", or_dash(period)),
            ("plan", or_dash(plan)),
        ]);
        for (place, line) in self.lines.iter().enumerate() {
            if let Some(section) = self.sections.iter().find(|one| one.lines > 0 && one.first_line == place) {
                let text = format!("{} ({}): {}", section.name, section.tenant, section.subtotal.amount);
                rows.push("section", text);
            }
            rows.push(&format!("line {place}"), format!("{}: {}", line.description, line.amount.amount));
        }
        for tax in &self.taxes {
            let note = tax.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
            let text = format!("{} % of {}: {}{note}", tax.rule.percent, tax.net.amount, tax.tax.amount);
            rows.push("tax", text);
        }
        rows.push("total", format!("{} {}", self.total.amount, self.currency));
        if self.credit_used.minor != 0 {
            rows.push("from credit", format!("{} {}", self.credit_used.amount, self.currency));
        }
        rows.push("open", format!("{} {}", self.open.amount, self.currency));
        rows.push("due", self.due_at.to_string());
        rows
    }
}

impl ListRow for InvoiceDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "NUMBER", "BUYER", "TOTAL", "OPEN", "STATUS", "DUE"];

    const DROPPABLE: &'static [&'static str] = &["DUE", "BUYER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.number.clone(),
            self.buyer.name.clone(),
            format!("{} {}", self.total.amount, self.currency),
            self.open.amount.clone(),
            self.status.to_string(),
            self.due_at.to_string(),
        ]
    }
}

impl View for CreditNoteDocument {
    fn table(&self) -> Rows {
        let mut rows = Rows::properties([
            ("id", self.id.to_string()),
            ("number", self.number.clone()),
            ("invoice", self.invoice.to_string()),
            ("reason", self.reason.clone()),
        ]);
        for line in &self.lines {
            rows.push(&format!("line {}", line.line), line.amount.amount.clone());
        }
        rows.push("total", self.total.amount.clone());
        rows
    }
}

impl ListRow for CreditNoteDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "NUMBER", "TOTAL", "ISSUED", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.number.clone(),
            self.total.amount.clone(),
            self.issued_at.to_string(),
            self.reason.clone(),
        ]
    }
}
