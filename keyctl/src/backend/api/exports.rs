//! Exports through the API.

use std::io::Write;

use async_trait::async_trait;
use common::export::{ExportKind, ExportQuery, InvoiceSide};

use super::ApiBackend;
use crate::{backend::Exports, error::Failure};

#[async_trait]
impl Exports for ApiBackend {
    async fn export(&self, query: ExportQuery, sink: &mut (dyn Write + Send)) -> Result<(), Failure> {
        let ExportQuery { tenant, window, kind } = query;
        let noun = match kind {
            ExportKind::Ledger | ExportKind::Beancount(_) | ExportKind::Datev(_) => "ledger",
            ExportKind::Invoices(_) | ExportKind::InvoiceLines(_) => "invoices",
            ExportKind::Focus { .. } => "usage",
        };
        let call = self.get(&["tenants", &tenant.to_string(), noun, "export"]);
        let call = call.query("from", Some(window.start)).query("to", Some(window.end));
        let side = |side| if side == InvoiceSide::Issued { "issued" } else { "owed" };
        let call = match &kind {
            ExportKind::Ledger => call.query("format", Some("csv")),
            ExportKind::Beancount(accounts) => {
                call.query("format", Some("beancount")).query("accounts", Some(accounts))
            }
            ExportKind::Datev(profile) => profile
                .members()
                .into_iter()
                .fold(call.query("format", Some("datev")), |call, (name, value)| call.query(name, Some(value))),
            ExportKind::Invoices(of) => call.query("table", Some("invoices")).query("side", Some(side(*of))),
            ExportKind::InvoiceLines(of) => call.query("table", Some("lines")).query("side", Some(side(*of))),
            ExportKind::Focus { subtree } => call.query("format", Some("focus")).query("subtree", Some(subtree)),
        };
        call.write_to(sink).await
    }
}
