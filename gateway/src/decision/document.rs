//! Questions and answers in JSON. A fault is told with its place; nothing is guessed.

use std::{borrow::Cow, net::IpAddr};

use bytes::Bytes;
use common::id::TenantId;
use http::Method;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    question::{Mode, Question, Settled, Target, Verdict},
    reservations::ReservationId,
};
use crate::{
    answer::{Code, Problem, told_remaining},
    auth::AuthError,
    catalog::Caller,
    limit::LimitState,
    route::UNITS_MAX,
};

/// Body of `POST /check`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckRequest {
    host: Option<String>,
    path: Option<String>,
    method: Option<String>,
    client_ip: Option<String>,
    units: Option<u64>,
    mode: Mode,
}

/// Body of `POST /settle`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettleRequest {
    reservation_id: String,
    units: u64,
    status: Option<u16>,
}

/// A settlement that makes sense.
pub(super) struct Settlement {
    pub(super) id: ReservationId,
    pub(super) units: u64,
    pub(super) status: Option<u16>,
}

#[derive(Serialize)]
struct CheckAnswer<'a> {
    decision: &'static str,
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    tenant: Option<Shown<TenantId>>,
    plan: Option<PlanAnswer<'a>>,
    limits: Vec<LimitAnswer>,
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<Shown<ReservationId>>,
}

#[derive(Serialize)]
struct PlanAnswer<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct LimitAnswer {
    policy: &'static str,
    quota: u64,
    window_seconds: u64,
    remaining: u64,
    reset_seconds: u64,
}

#[derive(Serialize)]
struct SettleAnswer<'a> {
    reservation_id: &'a str,
    units: u64,
    status: u16,
    billable: bool,
}

/// Something as it is written.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl CheckRequest {
    /// The request in a body; an empty one asks for everything that is the default.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let request: Self = parse(body)?;
        if request.path.is_none() && (request.host.is_some() || request.method.is_some()) {
            return Err(invalid("`host` and `method` choose a route only together with `path`"));
        }
        request.units.map_or(Ok(()), check_units)?;
        Ok(request)
    }

    /// The question that it asks with this credential.
    pub(super) fn question<'a>(&'a self, credential: Result<&'a [u8], AuthError>) -> Result<Question<'a>, Problem> {
        let target = match &self.path {
            None => None,
            Some(path) => Some(Target { host: self.host.as_deref(), path, method: self.method()? }),
        };
        Ok(Question { credential, target, client: self.client()?, units: self.units, mode: self.mode })
    }

    fn client(&self) -> Result<Option<IpAddr>, Problem> {
        let address = |text: &String| text.parse().map_err(|_| invalid("`client_ip` is not an IP address"));
        self.client_ip.as_ref().map(address).transpose()
    }

    fn method(&self) -> Result<Method, Problem> {
        let Some(method) = &self.method else {
            return Ok(Method::GET);
        };
        Method::from_bytes(method.as_bytes()).map_err(|_| invalid("`method` is not a method of HTTP, such as GET"))
    }
}

impl Settlement {
    /// The settlement in a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let SettleRequest { reservation_id, units, status } = parse(body)?;
        check_units(units)?;
        if status.is_some_and(|status| !(100..=599).contains(&status)) {
            return Err(invalid("`status` is not a status of HTTP, such as 200"));
        }
        let id = reservation_id.parse().map_err(|reason| invalid(format!("`reservation_id` {reason}")))?;
        Ok(Self { id, units, status })
    }
}

/// The units of a question or a settlement.
pub(super) fn check_units(units: u64) -> Result<(), Problem> {
    if units <= UNITS_MAX {
        return Ok(());
    }
    Err(invalid(format!("`units` may be at most {UNITS_MAX}")))
}

/// The answer to a question.
pub(super) fn verdict(verdict: &Verdict) -> Bytes {
    fn plan(caller: &Caller) -> PlanAnswer<'_> {
        PlanAnswer { name: caller.tenant.plan().as_str() }
    }
    let answer = match verdict {
        Verdict::Allow(allowed) => CheckAnswer {
            decision: "allow",
            reason: None,
            detail: None,
            tenant: allowed.caller.as_ref().map(|caller| Shown(caller.tenant.id)),
            plan: allowed.caller.as_ref().map(plan),
            limits: limits(&allowed.limits),
            retry_after_ms: None,
            reservation_id: allowed.reservation.map(Shown),
        },
        Verdict::Deny(refusal) => CheckAnswer {
            decision: "deny",
            reason: Some(refusal.problem.code().as_str()),
            detail: Some(refusal.problem.detail()),
            tenant: refusal.owner.map(|(tenant, _)| Shown(tenant)),
            plan: refusal.caller.as_ref().map(plan),
            limits: limits(refusal.problem.limits()),
            retry_after_ms: refusal.problem.retry_after_seconds().map(|seconds| seconds.saturating_mul(1_000)),
            reservation_id: None,
        },
    };
    written(&answer)
}

/// The answer to a settlement.
pub(super) fn settled(id: ReservationId, settled: &Settled) -> Bytes {
    let Settled { units, status, billable } = *settled;
    written(&SettleAnswer { reservation_id: &id.to_string(), units, status, billable })
}

fn limits(states: &[LimitState]) -> Vec<LimitAnswer> {
    let answer = |state: &LimitState| LimitAnswer {
        policy: state.policy,
        quota: state.quota,
        window_seconds: state.window_seconds,
        remaining: told_remaining(state),
        reset_seconds: state.reset_seconds,
    };
    states.iter().map(answer).collect()
}

fn written(answer: &impl Serialize) -> Bytes {
    // Serializing plain strings and numbers cannot fail.
    serde_json::to_vec(answer).unwrap_or_default().into()
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("the body is not as expected: it must be a JSON object"));
    }
    common::json::from_slice(body).map_err(|error| invalid(format!("the body is not as expected: {error}")))
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
