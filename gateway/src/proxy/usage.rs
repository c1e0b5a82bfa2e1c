//! From the upstream's answer to the usage record, before the answer goes on.

use common::usage::ABORTED_STATUS;
use http::{HeaderMap, HeaderName, StatusCode};
use pingora_http::ResponseHeader;
use tracing::{error, warn};

use super::{
    Proxy,
    abort::Abort,
    context::{Context, now},
    hop, plain,
};
use crate::{
    admission::unrecorded,
    answer::{Code, Problem, rate_headers},
    limit::{LimitState, headers::RATE_HEADERS},
    route::{Bill, Route, UNITS_MAX, Units},
};

/// Room for the headers that an answer gets on its way.
const HEADERS_ADDED: usize = 8;

/// The status of a record that is written before there is an answer.
const DISPATCHED: u16 = 202;

impl Proxy {
    /// Records the usage of a request that is billed whatever becomes of it, before the upstream
    /// sees any of it.
    pub(super) fn account_dispatch(&self, context: &mut Context) -> Result<(), Problem> {
        let Some(route) = context.route.as_ref().filter(|route| route.lifecycle.bill == Bill::OnDispatch) else {
            return Ok(());
        };
        let Some(caller) = &context.caller else {
            return Err(Problem::new(Code::Internal, "a request without a caller"));
        };
        let Some(admission) = context.admission.take() else {
            // Recorded already: another connection is tried.
            return Ok(());
        };
        let units = route.units.estimate();
        let record = self.gateway.admission().record_as(caller, route, &admission, units, DISPATCHED, true);
        let billed = record.map_err(|reason| {
            error!(
                event = "usage_not_recorded",
                request_id = context.request_id,
                error = %reason,
                consequence = "the request is not sent"
            );
            unrecorded()
        })?;
        context.progress.recorded = true;
        context.permit = Some(admission.settle(billed));
        Ok(())
    }

    /// Records the usage of an answer, charges its units and dresses it for the client. Until this
    /// returns, nothing of the answer has left; if it fails, nothing will.
    pub(super) fn account(&self, response: &mut ResponseHeader, context: &mut Context) -> Result<(), Problem> {
        let (Some(caller), Some(route)) = (&context.caller, &context.route) else {
            return Self::dress_public(response, context);
        };
        let has_left = context.has_no_client();
        let units = self.take_units(response, route);
        let is_counted_later =
            response.status == StatusCode::SWITCHING_PROTOCOLS && route.lifecycle.upgrade.units.is_some();
        let units = if is_counted_later { 0 } else { units };
        if let Some(admission) = context.admission.take_if(|_| !route.is_metered()) {
            context.permit = Some(admission.settle(0));
        }
        if let Some(admission) = context.admission.take() {
            if let Some(call) = &mut context.call {
                call.end(&response.headers);
            }
            let status = context.call.and_then(|call| call.http_status()).unwrap_or(response.status.as_u16());
            let (told, billable) = (if has_left { ABORTED_STATUS } else { status }, route.billable.covers(status));
            let sizes = context.sizes.as_mut().filter(|_| !is_counted_later);
            let units = sizes.map_or(units, |sizes| sizes.of_header(response, billable, !has_left));
            let record = self.gateway.admission().record_as(caller, route, &admission, units, told, billable);
            let billed = record.map_err(|reason| {
                error!(
                    event = "usage_not_recorded",
                    request_id = context.request_id,
                    error = %reason,
                    consequence = "the answer is withheld"
                );
                unrecorded()
            })?;
            context.progress.recorded = true;
            // Settled first, with its permit held: the limits are then told as they are now.
            context.permit = Some(admission.settle(billed));
        }
        if has_left {
            context.abort = Some(Abort::Finished);
            context.status = Some(ABORTED_STATUS);
        }
        dress(response, &self.gateway.admission().limits(caller, route, now()));
        Ok(())
    }

    /// Dresses an answer of a public route, of which nothing is recorded.
    fn dress_public(response: &mut ResponseHeader, context: &mut Context) -> Result<(), Problem> {
        if context.route.as_ref().is_none_or(|route| route.public.is_none()) {
            return Err(Problem::new(Code::Internal, "an answer without a caller"));
        }
        if context.has_no_client() {
            context.abort = Some(Abort::Finished);
            context.status = Some(ABORTED_STATUS);
        }
        dress(response, context.by_address.as_slice());
        Ok(())
    }

    /// The units that the upstream reports, or the route's own. The header is for the gateway only
    /// and goes.
    fn take_units(&self, response: &mut ResponseHeader, route: &Route) -> u64 {
        let (name, default) = match &route.units {
            Units::Fixed(units) => return *units,
            // They are counted as they pass.
            Units::Bytes { .. } => return 0,
            Units::Header { name, default } => (name, *default),
        };
        let reported = reported_units(response, name);
        response.remove_header(name);
        reported.unwrap_or_else(|reason| {
            self.observer.units_unusable.with_label_values(&[&route.name]).inc();
            warn!(event = "units_unusable", route = &*route.name, header = name.as_str(), reason, default);
            default
        })
    }
}

fn reported_units(response: &ResponseHeader, name: &HeaderName) -> Result<u64, &'static str> {
    let mut values = response.headers.get_all(name).iter();
    let value = values.next().ok_or("missing")?;
    if values.next().is_some() {
        return Err("sent more than once");
    }
    let text = value.to_str().map_err(|_| "not a number")?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number");
    }
    text.parse().ok().filter(|units| *units <= UNITS_MAX).ok_or("too large")
}

/// Removes what was meant for the gateway only, and replaces whatever rate headers the upstream
/// sent.
fn dress(response: &mut ResponseHeader, limits: &[LimitState]) {
    let status = response.status;
    plain::edit_answer(response, |headers| {
        headers.reserve(HEADERS_ADDED);
        hop::strip_response(status, headers);
        insert_rate_headers(headers, limits);
    });
}

fn insert_rate_headers(headers: &mut HeaderMap, limits: &[LimitState]) {
    if limits.is_empty() {
        for name in &RATE_HEADERS {
            headers.remove(name);
        }
    }
    for (name, value) in rate_headers(limits) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(values: &[&str]) -> Result<u64, &'static str> {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for value in values {
            response.append_header("X-Usage-Units", *value).unwrap();
        }
        reported_units(&response, &HeaderName::from_static("x-usage-units"))
    }

    #[test]
    fn units_are_one_whole_number_of_sane_size() {
        assert_eq!(reported(&["7"]), Ok(7));
        assert_eq!(reported(&["0"]), Ok(0));
        assert_eq!(reported(&[&UNITS_MAX.to_string()]), Ok(UNITS_MAX));
        for wrong in ["", "-1", "1.5", "+1", "many", "1e3", "99999999999999999999999", "1000000001"] {
            assert!(reported(&[wrong]).is_err(), "{wrong}");
        }
        assert!(reported(&[]).is_err());
        assert!(reported(&["1", "1"]).is_err());
    }

    #[test]
    fn rate_headers_of_the_upstream_are_replaced() {
        let minute =
            LimitState { policy: "key-minute", quota: 100, window_seconds: 60, remaining: 10, reset_seconds: 1 };
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.insert_header("X-RateLimit-Limit", "upstream").unwrap();
        dress(&mut response, &[minute]);
        assert_eq!(response.headers["ratelimit"], "\"key-minute\";r=10;t=1");
        assert_eq!(response.headers["x-ratelimit-limit"], "100");
        dress(&mut response, &[]);
        assert!(response.headers.is_empty());
    }
}
