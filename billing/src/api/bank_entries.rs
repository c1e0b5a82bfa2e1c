//! `/v1/tenants/{tenant}/bank-statements` and `/v1/bank-entries`: what a bank has booked on the account of
//! an issuer, and what a person says of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use common::{
    api::{
        bank::{BankEntryDocument, BankImportDocument, EntryTargetBody},
        invoice::ReasonBody,
        page::ListDocument,
        problem::{ProblemCode, ProblemDocument},
    },
    bank::{
        EntryFilter, EntryStatus,
        statement::{self, BankStatement, STATEMENT_MAX_BYTES, StatementError, table::TableProfile},
    },
    id::{BankEntryId, TenantId},
};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::{
    body::{Body, read_as_up_to},
    page,
    parameters::{Named, Parameters},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// The name of the list in cursors.
const LIST: &str = "bank_entries";

/// Content types of statements: two of camt.053, and one of tables.
const MEDIA_TYPES: [&str; 3] = ["application/xml", "text/xml", TABLE];

/// Content type of a table.
const TABLE: &str = "text/csv";

/// One statement is read at a time: a large one takes memory while it is.
static READING: Semaphore = Semaphore::const_new(1);

/// Filter of entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryParameters {
    /// Only entries with this status.
    status: Option<EntryStatus>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Import a bank statement
///
/// Takes camt.053 as XML or a table as CSV, of at most 16 MiB. An entry that names an invoice of the tenant is recorded
/// as a payment; what is paid beyond it goes into the buyer's wallet. Any other entry that brings money is left open for
/// a person. An entry counts once, whatever files contain it: a repeated request changes nothing, and goes on where an
/// earlier one was cut off. The parameters say how a table is read.
#[utoipa::path(
    post,
    operation_id = "import_bank_statement",
    path = "/v1/tenants/{tenant}/bank-statements",
    tag = "payments",
    params(("tenant" = String, Path, description = "The tenant whose account it is"), TableProfile),
    request_body(content(
        (String = "application/xml"), (String = "text/xml"), (String = "text/csv"),
    ), description = "The file as the bank gives it"),
    responses(
        (status = 200, description = "What was done", body = BankImportDocument),
        (status = 413, description = "The file has more than 16 MiB", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 415, description = "The file is neither XML nor CSV", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn import(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(issuer): Named<TenantId>,
    Parameters(profile): Parameters<TableProfile>,
    request: Request,
) -> Result<Json<BankImportDocument>, Problem> {
    let (file, media_type) = read_as_up_to(request, &MEDIA_TYPES, STATEMENT_MAX_BYTES, "a statement").await?;
    if media_type != TABLE && profile != TableProfile::default() {
        return Err(Problem::new(ProblemCode::ParameterInvalid, "the parameters are for a table: send it as text/csv"));
    }
    // The semaphore is never closed.
    let turn = READING.acquire().await;
    let read = move || -> Result<BankStatement, StatementError> {
        if media_type == TABLE { statement::table::read(&file, &profile) } else { statement::camt::read(&file) }
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| {
        tracing::error!(event = "bank_statement_failed", %error);
        Problem::new(ProblemCode::Internal, "this should not happen; the log of billing says why")
    })?;
    drop(turn);
    let statement = read.map_err(|error| refused(&error))?;
    Ok(Json(caller.store().import_bank_statement(issuer, &statement, services.clock.now()).await?.into()))
}

/// The problem that a fault of a file is.
fn refused(error: &StatementError) -> Problem {
    let code = match error {
        StatementError::TooLarge(_) | StatementError::TooMany => ProblemCode::BodyTooLarge,
        StatementError::Profile(_) | StatementError::Column(_) => ProblemCode::ParameterInvalid,
        StatementError::Encoding(_)
        | StatementError::Xml(_)
        | StatementError::Other(_)
        | StatementError::Entry { .. } => ProblemCode::BodyInvalid,
    };
    Problem::new(code, error.to_string())
}

/// List bank entries
///
/// What statements of the tenant's accounts have brought, oldest first. Those with the status `open` wait for a person.
#[utoipa::path(
    get,
    operation_id = "list_bank_entries",
    path = "/v1/tenants/{tenant}/bank-entries",
    tag = "payments",
    params(("tenant" = String, Path, description = "The tenant whose accounts they are of"), EntryParameters),
    responses((status = 200, description = "A page of entries", body = ListDocument<BankEntryDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Named(issuer): Named<TenantId>,
    Parameters(parameters): Parameters<EntryParameters>,
) -> Result<Json<ListDocument<BankEntryDocument>>, Problem> {
    let EntryParameters { status, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let found = caller.store().bank_entries(issuer, EntryFilter { status }, page).await?;
    Ok(Json(page::list(LIST, found.map(BankEntryDocument::from))))
}

/// Show a bank entry
#[utoipa::path(
    get,
    operation_id = "show_bank_entry",
    path = "/v1/bank-entries/{entry}",
    tag = "payments",
    params(("entry" = String, Path, description = "The entry's id")),
    responses((status = 200, description = "The entry", body = BankEntryDocument)),
)]
pub(super) async fn show(caller: Caller, Named(entry): Named<BankEntryId>) -> Result<Json<BankEntryDocument>, Problem> {
    Ok(Json(caller.store().bank_entry(entry).await?.into()))
}

/// Say what an open bank entry pays
///
/// An invoice, or the wallet of a tenant. The same again changes nothing.
#[utoipa::path(
    post,
    operation_id = "assign_bank_entry",
    path = "/v1/bank-entries/{entry}/assign",
    tag = "payments",
    params(("entry" = String, Path, description = "The entry's id")),
    request_body = EntryTargetBody,
    responses((status = 200, description = "The entry", body = BankEntryDocument)),
)]
pub(super) async fn assign(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(entry): Named<BankEntryId>,
    Body(body): Body<EntryTargetBody>,
) -> Result<Json<BankEntryDocument>, Problem> {
    let target =
        body.target().ok_or_else(|| Problem::new(ProblemCode::Refused, "name either `invoice` or `tenant`"))?;
    Ok(Json(caller.store().assign_bank_entry(entry, target, services.clock.now()).await?.into()))
}

/// Say that nothing follows from an open bank entry
///
/// The same again changes nothing.
#[utoipa::path(
    post,
    operation_id = "ignore_bank_entry",
    path = "/v1/bank-entries/{entry}/ignore",
    tag = "payments",
    params(("entry" = String, Path, description = "The entry's id")),
    request_body = ReasonBody,
    responses((status = 200, description = "The entry", body = BankEntryDocument)),
)]
pub(super) async fn ignore(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(entry): Named<BankEntryId>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<BankEntryDocument>, Problem> {
    Ok(Json(caller.store().ignore_bank_entry(entry, &body.reason, services.clock.now()).await?.into()))
}
