//! The usage of a request that is billed by the bytes of its bodies.
//!
//! Invariant: no byte of an answer reaches the client before its units are recorded. The request's
//! own record has the bytes that were read of the request until then, and those that the header of
//! the answer announces, as far as one read goes. What passes after that has records of its own, and
//! is taken from every hard quota and from the credit first.

use std::sync::Arc;

use bytes::Bytes;
use common::time::Micros;
use http::{HeaderMap, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use tracing::error;

use super::{
    Proxy,
    context::{Context, now},
};
use crate::{
    admission::unrecorded,
    answer::{Code, Problem},
    catalog::Caller,
    filter::reply::has_no_body,
    limit::{DenialReason, Draw},
    meter::units::{BodyMeter, ByteCount},
    route::{Route, Units},
    runtime::Gateway,
};

/// The bytes of the bodies of one request.
pub(super) struct Sizes {
    meter: BodyMeter,
    /// True for HEAD, whose answer announces a body that does not come.
    is_head: bool,
    /// Units of the request that no record has yet.
    unrecorded: u64,
    /// True if the answer is billed; none before its record.
    is_billed: Option<bool>,
}

/// The bytes that a message announces; 0 if it does not say.
pub(super) fn declared_length(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH);
    value.and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

impl Sizes {
    /// Counts the bodies of a request, if its units are theirs.
    pub(super) fn of(units: &Units, is_head: bool) -> Option<Self> {
        Some(Self { meter: meter(units)?, is_head, unrecorded: 0, is_billed: None })
    }

    /// The request is sent anew: what was counted of it will come again.
    pub(super) fn restart(&mut self, units: &Units) {
        if let (None, Some(meter)) = (self.is_billed, meter(units)) {
            self.meter = meter;
            self.unrecorded = 0;
        }
    }

    /// Units of the request's own record, which is written with the header of an answer.
    pub(super) fn of_header(&mut self, response: &ResponseHeader, is_billed: bool, has_client: bool) -> u64 {
        self.is_billed = Some(is_billed);
        let has_body = has_client && !self.is_head && !has_no_body(response.status);
        let announced = if has_body { declared_length(&response.headers) } else { 0 };
        let units = std::mem::take(&mut self.unrecorded);
        units.saturating_add(self.meter.begin_answer(announced))
    }

    /// Units that were used so far and are in no record.
    pub(super) const fn unrecorded(&self) -> u64 {
        self.unrecorded
    }
}

fn meter(units: &Units) -> Option<BodyMeter> {
    let Units::Bytes { bodies, per } = units else { return None };
    let count = |counts: bool| counts.then(|| ByteCount::new(*per));
    Some(BodyMeter::new(count(bodies.include_request()), count(bodies.include_response())))
}

/// Units of one part, with what a record of it needs.
struct Part {
    gateway: Arc<Gateway>,
    caller: Caller,
    route: Arc<Route>,
    units: u64,
    is_billed: bool,
}

impl Proxy {
    /// Counts a part of the request, which goes to the upstream next.
    pub(super) async fn count_request(&self, body: Option<&Bytes>, context: &mut Context) -> Result<()> {
        let Some(sizes) = &mut context.sizes else { return Ok(()) };
        let units = sizes.meter.request(body.map_or(0, |body| body.len() as u64));
        let Some(is_billed) = sizes.is_billed else {
            sizes.unrecorded = sizes.unrecorded.saturating_add(units);
            return Ok(());
        };
        let Some(part) = self.part(units, is_billed, context) else { return Ok(()) };
        part.pass().await.map_err(|problem| context.fail(problem))
    }

    /// Counts a part of the answer, which goes to the client next. If its units have to be waited
    /// for, the client's stream waits.
    pub(super) fn count_answer(&self, body: Option<&Bytes>, context: &mut Context) -> Result<()> {
        if context.has_no_client() {
            return Ok(());
        }
        let Some(sizes) = &mut context.sizes else { return Ok(()) };
        let units = sizes.meter.answer(body.map_or(0, |body| body.len() as u64));
        let is_billed = sizes.is_billed.unwrap_or(true);
        let Some(part) = self.part(units, is_billed, context) else { return Ok(()) };
        match (part.try_pass(), &context.client) {
            (Ok(true), _) => Ok(()),
            (Ok(false), Some(client)) => {
                client.hold_until(Box::pin(part.pass()));
                Ok(())
            }
            (Ok(false), None) => Err(context.fail(Problem::new(Code::QuotaUnavailable, "the quota cannot be checked"))),
            (Err(problem), _) => Err(context.fail(problem)),
        }
    }

    fn part(&self, units: u64, is_billed: bool, context: &Context) -> Option<Part> {
        if units == 0 {
            return None;
        }
        let (caller, route) = (context.caller.clone()?, context.route.clone()?);
        Some(Part { gateway: Arc::clone(&self.gateway), caller, route, units, is_billed })
    }
}

impl Part {
    /// Takes the units and records them, without waiting. False if they have to be waited for.
    fn try_pass(&self) -> Result<bool, Problem> {
        if !self.is_billed {
            return self.record(None, now()).map(|()| true);
        }
        let limiter = self.gateway.admission().limiter();
        match limiter.try_draw(self.caller.request(&*self.route, self.units, now())) {
            Ok(draw) => self.record(Some(draw), now()).map(|()| true),
            Err(denial) if denial.reason == DenialReason::QuotaUnavailable => Ok(false),
            Err(denial) => Err(denial.into()),
        }
    }

    /// Takes the units and records them. Waits for units that are on their way.
    async fn pass(self) -> Result<(), Problem> {
        if !self.is_billed {
            return self.record(None, now());
        }
        let limiter = self.gateway.admission().limiter();
        let draw = limiter.draw(self.caller.request(&*self.route, self.units, now())).await?;
        self.record(Some(draw), now())
    }

    fn record(&self, mut draw: Option<Draw>, now: Micros) -> Result<(), Problem> {
        let recorded =
            self.gateway.admission().record_further(&self.caller, &self.route, draw.as_ref(), self.units, now);
        let billed = recorded.map_err(|reason| {
            let consequence = "the request ends";
            error!(event = "usage_not_recorded", route = &*self.route.name, error = %reason, consequence);
            unrecorded()
        })?;
        if let Some(draw) = &mut draw {
            draw.spend(self.units, billed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::route::Bodies;

    fn sizes(bodies: Bodies, is_head: bool) -> Sizes {
        Sizes::of(&Units::Bytes { bodies, per: NonZeroU64::new(10).unwrap() }, is_head).unwrap()
    }

    fn response(status: u16, length: &str) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).unwrap();
        response.insert_header("Content-Length", length).unwrap();
        response
    }

    #[test]
    fn header_has_the_units_of_the_request_and_of_what_it_announces() {
        let mut both = sizes(Bodies::Both, false);
        both.unrecorded = both.meter.request(15);
        assert_eq!(both.of_header(&response(200, "25"), true, true), 2 + 3);
        assert_eq!((both.unrecorded(), both.is_billed), (0, Some(true)));
        assert_eq!(both.meter.answer(25), 0, "counted with the header");
    }

    #[test]
    fn body_that_does_not_come_costs_nothing() {
        assert_eq!(sizes(Bodies::Response, true).of_header(&response(200, "25"), true, true), 0, "HEAD");
        for status in [204, 304] {
            assert_eq!(sizes(Bodies::Response, false).of_header(&response(status, "25"), true, true), 0, "{status}");
        }
        assert_eq!(sizes(Bodies::Response, false).of_header(&response(200, "25"), true, false), 0, "nobody reads it");
        assert_eq!(sizes(Bodies::Request, false).of_header(&response(200, "25"), true, true), 0);
    }

    #[test]
    fn request_that_is_sent_anew_is_counted_once() {
        let units = Units::Bytes { bodies: Bodies::Request, per: NonZeroU64::MIN };
        let mut sizes = Sizes::of(&units, false).unwrap();
        sizes.unrecorded += sizes.meter.request(7);
        sizes.restart(&units);
        sizes.unrecorded += sizes.meter.request(7);
        assert_eq!(sizes.of_header(&response(200, "0"), true, true), 7);
    }
}
