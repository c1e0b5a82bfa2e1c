//! Exports of the ledger, of invoices and of costs, as files that are written while they are read.

use std::{fmt::Display, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use common::{
    api::problem::ProblemCode,
    export::{AccountMap, DatevProfile, Export, ExportKind, ExportQuery, InvoiceSide},
    id::TenantId,
    money::Currency,
    time::{Date, Micros, Window},
};
use futures_util::stream;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    parameters::{Named, Parameters, from_text, instant},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// Form of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LedgerForm {
    /// A table of entries by RFC 4180.
    Csv,
    /// Transactions for beancount.
    Beancount,
    /// A batch for DATEV (EXTF, Buchungsstapel).
    Datev,
}

/// Rows of a table of invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum InvoiceTable {
    /// A row for each invoice.
    Invoices,
    /// A row for each line and each tax.
    Lines,
}

/// Side of invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// Invoices that the tenant has issued.
    Issued,
    /// Invoices that the tenant owes.
    Owed,
}

/// Form of costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CostForm {
    /// FOCUS 1.2.
    Focus,
}

/// Time and form of an export of the books.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerExportParameters {
    /// `csv` unless stated.
    #[param(value_type = Option<LedgerForm>, inline)]
    format: Option<LedgerForm>,
    /// Only postings from this instant on.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only postings from before this instant; now unless stated.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
    /// For beancount and DATEV: names of accounts in the other books, with commas between.
    #[param(example = "receivable=1400,cash=1200")]
    accounts: Option<String>,
    /// For DATEV: the currency of the batch; `EUR` unless stated.
    currency: Option<String>,
    /// For DATEV: the number of the tax consultant.
    #[param(minimum = 1_001, maximum = 9_999_999)]
    consultant: Option<u32>,
    /// For DATEV: the number of the client.
    #[param(minimum = 1, maximum = 99_999)]
    client: Option<u32>,
    /// For DATEV: the first day of the fiscal year; that of the calendar year of `from` unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, format = Date)]
    fiscal_year: Option<Date>,
}

/// Time and rows of an export of invoices.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceExportParameters {
    /// `invoices` unless stated.
    #[param(value_type = Option<InvoiceTable>, inline)]
    table: Option<InvoiceTable>,
    /// `issued` unless stated.
    #[param(value_type = Option<Side>, inline)]
    side: Option<Side>,
    /// Only invoices that were finalized at this instant or later.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only invoices that were finalized before this instant; now unless stated.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
}

/// Time and form of an export of costs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CostExportParameters {
    /// `focus` unless stated.
    #[param(value_type = Option<CostForm>, inline)]
    #[expect(dead_code, reason = "there is one form, and others are refused")]
    format: Option<CostForm>,
    /// Includes invoices of every tenant below; `false` unless stated.
    #[serde(default)]
    #[param(required = false)]
    subtree: bool,
    /// Only invoices whose period starts at this instant or later, and credit notes from then on.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only those from before this instant; now unless stated.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
}

/// Export the books of an issuer
///
/// Every posting of the time, as a table, for beancount, or as a batch for DATEV. A file that breaks off without its end
/// is incomplete: ask again.
#[utoipa::path(
    get,
    operation_id = "export_ledger",
    path = "/v1/tenants/{tenant}/ledger/export",
    tag = "ledger",
    params(("tenant" = String, Path, description = "The issuer's id"), LedgerExportParameters),
    responses((status = 200, description = "The file", content(
        (String = "text/csv"), (String = "text/plain"),
    ))),
)]
pub(super) async fn ledger(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(issuer): Named<TenantId>,
    Parameters(parameters): Parameters<LedgerExportParameters>,
) -> Result<Response, Problem> {
    let now = services.clock.now();
    let window = window(parameters.from, parameters.to, now)?;
    let kind = match parameters.format.unwrap_or(LedgerForm::Csv) {
        LedgerForm::Csv => ExportKind::Ledger,
        LedgerForm::Beancount => ExportKind::Beancount(accounts(parameters.accounts.as_deref())?),
        LedgerForm::Datev => ExportKind::Datev(Box::new(datev(&parameters, window, now)?)),
    };
    send(&caller, ExportQuery { tenant: issuer, window, kind }).await
}

/// Export invoices
///
/// A table of invoices that the tenant has issued or owes, or of their lines and tax. Amounts are in major units.
#[utoipa::path(
    get,
    operation_id = "export_invoices",
    path = "/v1/tenants/{tenant}/invoices/export",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id"), InvoiceExportParameters),
    responses((status = 200, description = "A table by RFC 4180", content((String = "text/csv")))),
)]
pub(super) async fn invoices(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<InvoiceExportParameters>,
) -> Result<Response, Problem> {
    let window = window(parameters.from, parameters.to, services.clock.now())?;
    let side = match parameters.side.unwrap_or(Side::Issued) {
        Side::Issued => InvoiceSide::Issued,
        Side::Owed => InvoiceSide::Owed,
    };
    let kind = match parameters.table.unwrap_or(InvoiceTable::Invoices) {
        InvoiceTable::Invoices => ExportKind::Invoices(side),
        InvoiceTable::Lines => ExportKind::InvoiceLines(side),
    };
    send(&caller, ExportQuery { tenant, window, kind }).await
}

/// Export costs
///
/// What invoices and credit notes charge a tenant, or everybody in its subtree, as a table by FOCUS 1.2.
#[utoipa::path(
    get,
    operation_id = "export_costs",
    path = "/v1/tenants/{tenant}/usage/export",
    tag = "usage",
    params(("tenant" = String, Path, description = "The tenant that is charged"), CostExportParameters),
    responses((status = 200, description = "A table by FOCUS 1.2", content((String = "text/csv")))),
)]
pub(super) async fn costs(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<CostExportParameters>,
) -> Result<Response, Problem> {
    let window = window(parameters.from, parameters.to, services.clock.now())?;
    let kind = ExportKind::Focus { subtree: parameters.subtree };
    send(&caller, ExportQuery { tenant, window, kind }).await
}

fn invalid(detail: &dyn Display) -> Problem {
    Problem::new(ProblemCode::ParameterInvalid, detail.to_string())
}

fn window(from: Option<Micros>, to: Option<Micros>, now: Micros) -> Result<Window, Problem> {
    // What is written at this very instant is in it.
    let window = Window { start: from.unwrap_or(Micros(0)), end: to.unwrap_or(Micros(now.0.saturating_add(1))) };
    if window.start >= window.end {
        return Err(invalid(&"from: has to be before `to`"));
    }
    Ok(window)
}

fn accounts(text: Option<&str>) -> Result<AccountMap, Problem> {
    text.unwrap_or_default().parse().map_err(|error| invalid(&error))
}

fn datev(parameters: &LedgerExportParameters, window: Window, now: Micros) -> Result<DatevProfile, Problem> {
    let missing = |name: &str| invalid(&format!("{name}: DATEV asks for it"));
    let consultant = parameters.consultant.ok_or_else(|| missing("consultant"))?;
    let client = parameters.client.ok_or_else(|| missing("client"))?;
    if parameters.from.is_none() {
        return Err(missing("from"));
    }
    let code = parameters.currency.as_deref().unwrap_or("EUR");
    let currency = Currency::from_code(code).ok_or_else(|| invalid(&format!("currency: `{code:.10}` is none")))?;
    let accounts = accounts(parameters.accounts.as_deref())?;
    let fiscal_year = parameters.fiscal_year.or_else(|| first_day(window));
    let fiscal_year = fiscal_year.ok_or_else(|| missing("fiscal_year"))?;
    DatevProfile::new((consultant, client), fiscal_year, currency, accounts, now).map_err(|error| invalid(&error))
}

/// The first day of the calendar year in which a time begins. Whoever is ahead of UTC is so by less than
/// a day.
fn first_day(window: Window) -> Option<Date> {
    let begin = common::time::Zone::utc().date(window.start.plus_seconds(86_399)).ok()?;
    Date::new(begin.year, 1, 1)
}

/// The file, which is read piece by piece. Its first piece is read before the answer begins, so that a
/// refusal is one.
async fn send(caller: &Caller, query: ExportQuery) -> Result<Response, Problem> {
    let (media_type, name) = (query.kind.media_type(), query.kind.file_name());
    let mut export = caller.store().export(query).await?;
    let first = export.next().await?;
    let rest = stream::unfold(Some(export), |export| async {
        let mut export: Export = export?;
        match export.next().await {
            Ok(piece) => piece.map(|piece| (Ok(Bytes::from(piece)), Some(export))),
            Err(error) => {
                tracing::warn!(event = "export_failed", %error);
                Some((Err(error), None))
            }
        }
    });
    let first = stream::iter(first.map(|piece| Ok(Bytes::from(piece))));
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
