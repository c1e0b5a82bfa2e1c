//! `GET /v1/usage`: usage summed by hour, day or month and by the dimensions that are asked for, as
//! JSON or CSV.

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

/// The header with the cursor of a report in CSV.
pub(super) const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

/// Length of a report without `from`: 30 days.
const REACH_SECONDS: i64 = 30 * 86_400;

/// Format of a report.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReportFormat {
    /// A list in JSON.
    Json,
    /// A table by RFC 4180.
    Csv,
}

/// Filter and grouping of a report.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageParameters {
    /// The tenant whose usage it is; the caller's unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Includes every tenant below it; `false` unless stated.
    #[serde(default)]
    #[param(required = false)]
    subtree: bool,
    /// Only usage with this key.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Only usage through this route.
    route: Option<String>,
    /// Only usage of this meter.
    meter: Option<String>,
    /// Only usage under keys of this mode.
    #[param(value_type = Option<Mode>)]
    mode: Option<Mode>,
    /// Only hours that start at this instant or later; 30 days before `to` unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only hours that start before this instant; now unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
    /// Span of time that each row sums; `day` unless stated.
    #[param(value_type = Option<UsageStep>, inline)]
    step: Option<UsageStep>,
    /// Dimensions to group by, beside time: any of `tenant`, `key`, `route`, `meter`, `mode`,
    /// separated by commas; `meter` unless stated.
    #[serde(default, deserialize_with = "dimensions")]
    #[param(value_type = Option<String>, example = "tenant,meter")]
    group_by: Option<Vec<UsageDimension>>,
    /// `json` or `csv`; by the header `Accept` unless stated.
    #[param(value_type = Option<ReportFormat>, inline)]
    format: Option<ReportFormat>,
    /// `next_cursor` of the page before, with the same parameters.
    cursor: Option<String>,
    /// Most rows of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Parses dimensions separated by commas; an empty text is none.
fn dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UsageDimension>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let read = words.map(|word| UsageDimension::deserialize(de::value::StrDeserializer::<D::Error>::new(word)));
    read.collect::<Result<_, _>>().map(Some)
}

/// Report usage
///
/// Sums by hour, day or month in each tenant's own time zone, with a row for each time zone. The
/// current hour is shown as far as it is booked. Usage counts at the place of its tenant at the
/// time: a tenant that moved is in the reports of its former parents for the time below them. For
/// the next page, repeat the request with `cursor` and the same `from` and `to`.
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

/// The cursor and the query of a request.
fn query(parameters: UsageParameters, caller: &Caller, now: Micros) -> Result<(Option<String>, UsageQuery), Problem> {
    let refuse = |detail: &str| Problem::new(ProblemCode::ParameterInvalid, detail);
    let tenant = parameters.tenant.or(caller.principal.tenant);
    let tenant = tenant.ok_or_else(|| refuse("tenant: required for a caller above every tenant"))?;
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

/// The name of a report in its cursors, by its filter and grouping. The window is left out, as its
/// end may be now.
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

/// The first of CSV and JSON in the header `Accept`; JSON without either.
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
