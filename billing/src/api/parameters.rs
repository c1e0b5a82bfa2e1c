//! Parameters of path and query. Unknown, repeated and malformed parameters are refused, not
//! ignored.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use common::{
    api::{instant::Instant, problem::ProblemCode},
    plan::PlanId,
    time::Micros,
};
use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};

use crate::problem::Problem;

/// The query of a request.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let reason = rejection.body_text();
                let reason = reason.strip_prefix("Failed to deserialize query string: ").unwrap_or(&reason);
                Err(Problem::new(ProblemCode::ParameterInvalid, reason.chars().take(500).collect::<String>()))
            }
        }
    }
}

/// The thing that the path names. A malformed name is not found.
pub(super) struct Named<T>(pub(super) T);

/// A kind of thing that a path can name.
pub(super) trait Name: FromStr {
    /// The kind in words.
    const WHAT: &'static str;
}

impl Name for common::id::TenantId {
    const WHAT: &'static str = "tenant";
}

impl Name for common::id::KeyId {
    const WHAT: &'static str = "key";
}

impl Name for common::id::AdminKeyId {
    const WHAT: &'static str = "admin key";
}

impl Name for common::id::WalletGrantId {
    const WHAT: &'static str = "grant";
}

impl Name for common::budget::BudgetScope {
    const WHAT: &'static str = "scope of a budget";
}

impl Name for common::id::WalletTopUpId {
    const WHAT: &'static str = "top-up";
}

impl Name for common::id::InvoiceId {
    const WHAT: &'static str = "invoice";
}

impl Name for common::id::CreditNoteId {
    const WHAT: &'static str = "credit note";
}

impl Name for common::id::PaymentId {
    const WHAT: &'static str = "payment";
}

impl Name for common::id::BankEntryId {
    const WHAT: &'static str = "bank entry";
}

impl Name for common::id::PayoutId {
    const WHAT: &'static str = "payout";
}

impl Name for common::id::WebhookEndpointId {
    const WHAT: &'static str = "webhook endpoint";
}

impl Name for common::id::MessageId {
    const WHAT: &'static str = "message";
}

impl Name for common::coupon::CouponCode {
    const WHAT: &'static str = "coupon";
}

impl Name for PlanId {
    const WHAT: &'static str = "plan";
}

impl<T: Name, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        named(&text).map(Self)
    }
}

/// A thing that the path names, and a thing of that thing. A malformed name is not found.
pub(super) struct NamedPair<T, U>(pub(super) T, pub(super) U);

impl<T: Name, U: Name, S: Send + Sync> FromRequestParts<S> for NamedPair<T, U> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = Path::<(String, String)>::from_request_parts(parts, state).await;
        let (one, other) = names.map(|Path(names)| names).unwrap_or_default();
        Ok(Self(named(&one)?, named(&other)?))
    }
}

/// Reads the name of a thing.
fn named<T: Name>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(64).collect();
        Problem::new(ProblemCode::NotFound, format!("no {} {text}", T::WHAT))
    })
}

/// Parses an optional parameter from its text form.
pub(super) fn from_text<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// Longest text that may be searched for, in characters.
const SEARCH_MAX_CHARS: usize = 200;

/// The text that is searched for, if it is in bounds.
pub(super) fn searched(name: Option<String>) -> Result<Option<String>, Problem> {
    match name {
        Some(name) if name.is_empty() || name.chars().count() > SEARCH_MAX_CHARS => {
            let detail = format!("name: search for 1 to {SEARCH_MAX_CHARS} characters");
            Err(Problem::new(ProblemCode::ParameterInvalid, detail))
        }
        name => Ok(name),
    }
}

/// Parses an optional instant.
pub(super) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
    Instant::parse(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}
