//! The decision itself, by the same admission as the proxy's.

use std::sync::Arc;

use common::time::{Clock as _, SystemClock};
use prometheus::IntCounterVec;
use tokio::sync::watch;
use tracing::error;

use super::{
    places::NoPlace,
    question::{Allowed, Mode, Question, Settled, Target, Verdict},
    reservations::{Reservation, ReservationId, Reservations, SettleError},
};
use crate::{
    admission::{AdmissionControl, Admitted, Arrival, Credential, Identified, find_route, unrecorded},
    answer::{Code, Problem},
    auth::AuthError,
    config::DecisionSettings,
    limit::{Clock, LimitStates},
    listen::sizes::check_path,
    metrics,
    route::{Headers, RequestView, Route, RouteSettings},
    runtime::Gateway,
};

/// The route that usage is booked under if the question named no path.
const PATHLESS_ROUTE: &str = "check";

/// The status that counts for a request whose answer is not known.
const ASSUMED_STATUS: u16 = 200;

/// Answers whether requests may pass.
pub struct Decision {
    gateway: Arc<Gateway>,
    reservations: Reservations,
    /// The route of a question without a path.
    pathless: Arc<Route>,
    decided: IntCounterVec,
}

/// The reason for which an identified request is not allowed.
enum Halt {
    /// The request may not pass.
    Denied(Problem),
    /// The question cannot be answered.
    Unanswered(Problem),
}

impl Decision {
    /// Decides as `gateway` does.
    pub fn new(gateway: Arc<Gateway>, settings: &DecisionSettings) -> Self {
        let pathless = Route::new(RouteSettings::named(PATHLESS_ROUTE), gateway.admission().limiter());
        Self {
            gateway,
            reservations: Reservations::new(settings.shares, settings.reservation_lasts, Clock::default()),
            pathless: Arc::new(pathless),
            decided: metrics::counters(
                "tollgate_decisions_total",
                "Decisions by mode and outcome: `allow`, or the code of the refusal",
                &["mode", "outcome"],
            ),
        }
    }

    /// The answer to a question. An error is no denial: the question cannot be answered.
    pub(crate) async fn decide(&self, question: &Question<'_>) -> Result<Verdict, Problem> {
        let verdict = self.judge(question).await?;
        let outcome = match &verdict {
            Verdict::Allow(_) => "allow",
            Verdict::Deny(refusal) => {
                if question.mode != Mode::Peek {
                    self.admission().count(refusal);
                }
                refusal.problem.code().as_str()
            }
        };
        self.decided.with_label_values(&[question.mode.as_str(), outcome]).inc();
        Ok(verdict)
    }

    /// Ends a reservation: records its usage and charges the difference to what was held. The
    /// credential is the one that reserved; it may have been revoked since, as what was used is
    /// owed all the same.
    pub(crate) fn settle(
        &self,
        credential: Result<&[u8], AuthError>,
        id: ReservationId,
        units: u64,
        status: Option<u16>,
    ) -> Result<Settled, Problem> {
        let hash = self.admission().hash(credential)?;
        let status = status.unwrap_or(ASSUMED_STATUS);
        let record = |Reservation { caller, route, admission, .. }: &Reservation| {
            self.admission().record(caller, route, admission, units, status).map(drop)
        };
        let reservation = self.reservations.settle(id, &hash, record).map_err(|error| match error {
            SettleError::Unknown => Problem::new(
                Code::ReservationNotFound,
                "this API key has no such reservation at this gateway; a reservation that expires returns its units",
            ),
            SettleError::Settled => Problem::new(
                Code::ReservationSettled,
                "this reservation was settled before; nothing was recorded again",
            ),
            SettleError::Unrecorded(reason) => {
                error!(event = "usage_not_recorded", error = %reason, consequence = "the reservation stays open");
                unrecorded()
            }
        })?;
        let billable = reservation.route.billable.covers(status);
        drop(reservation.admission.settle(if billable { units } else { 0 }));
        Ok(Settled { units, status, billable })
    }

    /// Gives back what expired reservations hold, until told to stop.
    pub(crate) async fn expire_until(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        self.reservations.expire_until(stopped).await;
    }

    /// Gives back what every open reservation holds.
    pub(crate) fn release(&self) {
        self.reservations.release();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.gateway.is_draining()
    }

    fn admission(&self) -> &AdmissionControl {
        self.gateway.admission()
    }

    async fn judge(&self, question: &Question<'_>) -> Result<Verdict, Problem> {
        let identified = self.admission().identify(Arrival {
            credential: question.credential.clone().map(Credential::Key),
            certificate_key: None,
            route: self.route(question.target.as_ref()),
            // The other proxy's own address is not the client's, and what it says of that is
            // believed.
            address: question.client,
            failures_most: None,
            now: SystemClock.now(),
        });
        let request = match identified {
            Ok(request) => request,
            Err(refusal) => return Ok(Verdict::Deny(refusal)),
        };
        let units = question.units.unwrap_or_else(|| request.route.units.estimate());
        let outcome = match question.mode {
            Mode::Peek => {
                self.admission().peek(&request, units).await.map(|limits| (limits, None)).map_err(Halt::Denied)
            }
            Mode::Consume => self.consume(&request, units).await.map(|limits| (limits, None)).map_err(Halt::Denied),
            Mode::Reserve => self.reserve(&request, units, question.credential.clone()).await,
        };
        match outcome {
            Ok((limits, reservation)) => Ok(Verdict::Allow(Allowed { caller: request.caller, limits, reservation })),
            Err(Halt::Denied(problem)) => Ok(Verdict::Deny(request.refused(problem))),
            Err(Halt::Unanswered(problem)) => Err(problem),
        }
    }

    /// Admits a request and records its usage.
    async fn consume(&self, request: &Identified, units: u64) -> Result<LimitStates, Problem> {
        let (admission, caller) = match (self.admission().admit(request, units).await?, &request.caller) {
            (Admitted::Caller(admission), Some(caller)) => (admission, caller),
            (Admitted::Address(state), _) => return Ok(LimitStates::of(state)),
            (Admitted::Caller(_), None) => return Err(Problem::new(Code::Internal, "a request without a caller")),
        };
        let record = self.admission().record(caller, &request.route, &admission, units, ASSUMED_STATUS);
        let billed = record.map_err(|error| {
            error!(event = "usage_not_recorded", %error, consequence = "the request is denied");
            unrecorded()
        })?;
        // Its permit is held until here, so that what remains is told as it is while the request is
        // served.
        let _permit = admission.settle(billed);
        Ok(self.admission().limits(caller, &request.route, request.now))
    }

    /// Admits a request, and holds its units until they are settled.
    async fn reserve(
        &self,
        request: &Identified,
        units: u64,
        credential: Result<&[u8], AuthError>,
    ) -> Result<(LimitStates, Option<ReservationId>), Halt> {
        let Some(caller) = &request.caller else {
            let detail = "the route is public and costs nothing: there is nothing to reserve";
            return Err(Halt::Unanswered(Problem::new(Code::InvalidRequest, detail)));
        };
        let place = self.reservations.place(caller).map_err(|reason| Halt::Unanswered(exhausted(reason)))?;
        let hash = self.admission().hash(credential).map_err(Halt::Unanswered)?;
        let admitted = self.admission().admit(request, units).await.map_err(Halt::Denied)?;
        let Admitted::Caller(admission) = admitted else {
            return Err(Halt::Denied(Problem::new(Code::Internal, "a request without a caller")));
        };
        let limits = self.admission().limits(caller, &request.route, request.now);
        let (caller, route) = (caller.clone(), Arc::clone(&request.route));
        let reservation = self.reservations.hold(place, Reservation { caller, hash, route, admission });
        Ok((limits, Some(reservation)))
    }

    /// Finds the route of a question's target; without one, the limits of the caller alone decide.
    fn route(&self, target: Option<&Target<'_>>) -> Result<Arc<Route>, Problem> {
        let Some(target) = target else {
            return Ok(Arc::clone(&self.pathless));
        };
        let live = self.gateway.look();
        check_path(target.path.len(), &live.sizes)?;
        let target_path = target.path.split('#').next().unwrap_or_default();
        let (path, query) =
            target_path.split_once('?').map_or((target_path, None), |(path, query)| (path, Some(query)));
        // No condition on a header is met: headers are not told.
        let (host, method, headers) = (target.host, &target.method, Headers::Unknown);
        find_route(&live.table, &RequestView { host, path, method, headers, query })
    }
}

fn exhausted(reason: NoPlace) -> Problem {
    let (limit, setting) = match reason {
        NoPlace::Key(open) => (format!("{open} open reservations per API key"), "decision.reservations_per_key"),
        NoPlace::Tenant(open) => (format!("{open} open reservations per tenant"), "decision.reservations_per_tenant"),
        NoPlace::All(open) => (format!("{open} open reservations"), "decision.reservations"),
    };
    let detail = format!("the limit of {limit} is reached: settle some, or raise `{setting}`");
    Problem::new(Code::ReservationsExhausted, detail).retry_after(1)
}
