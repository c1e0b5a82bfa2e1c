//! `GET /v1/usage`: what was used, summed by hour, day or month and by whatever is asked for, as JSON or CSV.

mod csv;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use common::{
    api::{page::ListDocument, problem::ProblemCode, usage::UsageDocument},
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, Window},
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::{
    page,
    parameters::{self, Parameters, from_text},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// Where a report in CSV says how it goes on.
pub(super) const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

/// How far back a report reaches that does not say from when on: 30 days.
const REACH_SECONDS: i64 = 30 * 86_400;

/// How a report is written.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReportFormat {
    /// A list in JSON.
    Json,
    /// A table as RFC 4180 has it.
    Csv,
}

/// Which usage, and how to sum it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageParameters {
    /// Whose usage; your own tenant's unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// And that of everybody below it; `false` unless stated.
    #[serde(default)]
    #[param(required = false)]
    subtree: bool,
    /// With this key only.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Through this route only.
    route: Option<String>,
    /// Of this meter only.
    meter: Option<String>,
    /// Under keys of this mode only.
    #[param(value_type = Option<Mode>)]
    mode: Option<Mode>,
    /// In hours that start at this instant or later; 30 days before `to` unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// And before this instant; now unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
    /// How long a row's sums reach; `day` unless stated.
    #[param(value_type = Option<UsageStep>, inline)]
    step: Option<UsageStep>,
    /// What rows are told apart by, beside time: any of `tenant`, `key`, `route`, `meter`, `mode`, with commas between;
    /// `meter` unless stated.
    #[serde(default, deserialize_with = "dimensions")]
    #[param(value_type = Option<String>, example = "tenant,meter")]
    group_by: Option<Vec<UsageDimension>>,
    /// `json` or `csv`; what `Accept` asks for unless stated.
    #[param(value_type = Option<ReportFormat>, inline)]
    format: Option<ReportFormat>,
    /// `next_cursor` of the page before, with the same parameters.
    cursor: Option<String>,
    /// Most rows of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Names with commas between; none is no name.
fn dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UsageDimension>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let read = words.map(|word| UsageDimension::deserialize(de::value::StrDeserializer::<D::Error>::new(word)));
    read.collect::<Result<_, _>>().map(Some)
}

/// Report usage
///
/// Sums by hour, day or month on each tenant's own clock, with a row for each clock. Hours that are still under way are
/// shown as far as they are booked. Usage counts where its tenant stood when it was made: a tenant that moved is in the
/// reports of those it was under for the time that it was there. For the next page, repeat the request with `cursor`, and with `from` and `to` as they were.
#[utoipa::path(
    get,
    path = "/v1/usage",
    tag = "usage",
    params(UsageParameters, ("Accept" = Option<String>, Header, description = "`application/json` or `text/csv`")),
    responses((status = 200, description = "A page of the report", content(
        (ListDocument<UsageDocument> = "application/json"),
        (String = "text/csv"),
    ), headers(("X-Next-Cursor" = Option<String>, description = "`next_cursor` of a report in CSV")))),
)]
pub(super) async fn report(
    State(services): State<Arc<Services>>,
    caller: Caller,
    headers: HeaderMap,
    Parameters(parameters): Parameters<UsageParameters>,
) -> Result<Response, Problem> {
    let format = parameters.format.unwrap_or_else(|| accepted(&headers));
    let (cursor, query) = query(parameters, &caller, services.clock.now())?;
    let list = name(&query);
    let after = cursor.map(|text| page::place(&list, &text)).transpose()?;
    let report = caller.store().usage_report(&UsageQuery { after, ..query }).await?;
    let next_cursor = report.next.as_ref().map(|after| page::cursor(&list, after));
    let items: Vec<UsageDocument> = report.rows.into_iter().map(Into::into).collect();
    Ok(match format {
        ReportFormat::Json => Json(ListDocument { items, next_cursor }).into_response(),
        ReportFormat::Csv => as_csv(&items, next_cursor),
    })
}

/// What is asked for, and the cursor.
fn query(parameters: UsageParameters, caller: &Caller, now: Micros) -> Result<(Option<String>, UsageQuery), Problem> {
    let refuse = |detail: &str| Problem::new(ProblemCode::ParameterInvalid, detail);
    let tenant = parameters.tenant.or(caller.principal.tenant);
    let tenant = tenant.ok_or_else(|| refuse("tenant: you are above every tenant, so say whose usage"))?;
    let end = parameters.to.unwrap_or(now);
    let start = parameters.from.unwrap_or(end.plus_seconds(-REACH_SECONDS));
    if start >= end {
        return Err(refuse("from: has to be before `to`"));
    }
    let query = UsageQuery {
        tenant,
        subtree: parameters.subtree,
        key: parameters.key,
        route: parameters.route,
        meter: parameters.meter,
        mode: parameters.mode,
        window: Window { start, end },
        step: parameters.step.unwrap_or(UsageStep::Day),
        group_by: parameters.group_by.unwrap_or_else(|| vec![UsageDimension::Meter]),
        after: None,
        limit: page::checked_limit(parameters.limit)?,
    };
    Ok((parameters.cursor, query))
}

/// The name of a report in its cursors: of what it sums and how. The window is left out, as its end may be `now`.
fn name(query: &UsageQuery) -> String {
    let UsageQuery { tenant, subtree, key, route, meter, mode, step, group_by, .. } = query;
    let asked = format!("{tenant} {subtree} {key:?} {route:?} {meter:?} {mode:?} {step:?} {group_by:?}");
    let digest = Sha256::digest(asked);
    digest[..8].iter().fold(String::from("usage "), |mut name, byte| {
        use std::fmt::Write as _;
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// CSV if it is asked for, and JSON is not asked for before it.
fn accepted(headers: &HeaderMap) -> ReportFormat {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types =
        lines.flat_map(|line| line.split(',')).map(|entry| entry.split(';').next().unwrap_or_default().trim());
    types
        .find_map(|media_type| match media_type {
            "text/csv" => Some(ReportFormat::Csv),
            "application/json" | "*/*" => Some(ReportFormat::Json),
            _ => None,
        })
        .unwrap_or(ReportFormat::Json)
}

fn as_csv(rows: &[UsageDocument], next_cursor: Option<String>) -> Response {
    let mut response = csv::table(rows).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"usage.csv\""));
    if let Some(value) = next_cursor.and_then(|cursor| HeaderValue::from_str(&cursor).ok()) {
        headers.insert(NEXT_CURSOR, value);
    }
    response
}
