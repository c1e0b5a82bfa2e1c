//! Decisions for those who keep their own proxy: whether a request may pass, told instead of done.
//!
//! | module | what it does |
//! |---|---|
//! | this one | the decision itself, behind the same [`Gate`] as the proxy's |
//! | [`reservations`], [`rooms`] | what is held until it is settled, and how much of it by whom |
//! | [`http`], [`document`] | `POST /check` and `POST /settle`, in JSON |
//! | [`envoy`] | Envoy's `RateLimitService`, by gRPC |
//! | [`server`] | listeners, threads and connections |
//!
//! What holds: what is consumed here is billed as if it had been forwarded, and nothing else is; a peek consumes
//! nothing; a reservation ends exactly once, by being settled, by expiring or with the process.

mod document;
pub mod envoy;
mod http;
mod reservations;
mod rooms;
mod server;

use std::{net::IpAddr, sync::Arc};

use ::http::Method;
use common::{
    plan::REQUESTS_METER,
    time::{Clock as _, SystemClock},
};
use prometheus::IntCounterVec;
pub(crate) use reservations::ReservationId;
use reservations::{Reservation, Reservations, SettleError};
use rooms::NoRoom;
pub use rooms::Shares;
use serde::Deserialize;
pub(crate) use server::{Server, Signals};
use tokio::sync::watch;
use tracing::error;

use crate::{
    answer::{Code, Problem},
    auth::{AuthError, Caller},
    config::{Billable, DecisionSettings, Lifecycle, Route, Units},
    gate::{self, Gate, Refusal, Whence},
    limit::{Clock, LimitStates, Rates},
    metrics,
    proxy::Gateway,
};

/// The route that usage is booked under if the question named no path.
const PATHLESS_ROUTE: &str = "check";

/// The status that counts for a request whose answer is not known.
const ASSUMED_STATUS: u16 = 200;

/// Answers whether requests may pass.
pub struct Decision {
    gateway: Arc<Gateway>,
    reservations: Reservations,
    /// What a question without a path counts as.
    pathless: Arc<Route>,
    decided: IntCounterVec,
}

/// What becomes of a request that may pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// It counts, and is billed.
    #[default]
    Consume,
    /// Nothing: it was only asked for.
    Peek,
    /// It counts, and its units are held until it is known how many it used.
    Reserve,
}

/// Whether a request may pass.
pub(crate) struct Question<'a> {
    pub(crate) credential: Result<&'a [u8], AuthError>,
    /// Where it goes; if it is not said, the limits of key and tenant decide.
    pub(crate) target: Option<Target<'a>>,
    /// The client's address, if it is said.
    pub(crate) client: Option<IpAddr>,
    /// What it costs, if that is not the route's to say.
    pub(crate) units: Option<u64>,
    pub(crate) mode: Mode,
}

/// Where a request goes.
pub(crate) struct Target<'a> {
    pub(crate) host: Option<&'a str>,
    /// With or without query.
    pub(crate) path: &'a str,
    pub(crate) method: Method,
}

/// The answer.
#[expect(clippy::large_enum_variant, reason = "what may pass is told without an allocation")]
pub(crate) enum Verdict {
    Allow(Allowed),
    Deny(Box<Refusal>),
}

/// A request that may pass.
pub(crate) struct Allowed {
    /// None on a public route.
    pub(crate) caller: Option<Caller>,
    /// How each limit stands after it (before it, for a peek).
    pub(crate) limits: LimitStates,
    pub(crate) reservation: Option<ReservationId>,
}

/// What was recorded of a reservation.
pub(crate) struct Settled {
    pub(crate) units: u64,
    pub(crate) status: u16,
    /// Whether the route bills answers of this status. Test keys are never billed.
    pub(crate) billable: bool,
}

/// Why a question gets no verdict that lets the request pass.
enum Halt {
    /// The request may not pass.
    Refused(Box<Refusal>),
    /// The question cannot be answered.
    Unanswered(Problem),
}

impl Decision {
    /// Decides as `gateway` does.
    pub fn new(gateway: Arc<Gateway>, settings: &DecisionSettings) -> Self {
        Self {
            gateway,
            reservations: Reservations::new(settings.shares, settings.reservation_lasts, Clock::default()),
            pathless: Arc::new(pathless_route()),
            decided: metrics::counters(
                "tollgate_decisions_total",
                "Decisions by mode and outcome: `allow`, or the code of the refusal",
                &["mode", "outcome"],
            ),
        }
    }

    /// The answer to a question. An error is no denial: the question cannot be answered.
    pub(crate) async fn decide(&self, question: &Question<'_>) -> Result<Verdict, Problem> {
        let verdict = match self.judge(question).await {
            Ok(allowed) => Verdict::Allow(allowed),
            Err(Halt::Refused(refusal)) => Verdict::Deny(refusal),
            Err(Halt::Unanswered(problem)) => return Err(problem),
        };
        let outcome = match &verdict {
            Verdict::Allow(_) => "allow",
            Verdict::Deny(refusal) => {
                if question.mode != Mode::Peek {
                    self.gate().count(refusal);
                }
                refusal.problem.code().as_str()
            }
        };
        self.decided.with_label_values(&[question.mode.as_str(), outcome]).inc();
        Ok(verdict)
    }

    /// Ends a reservation: records its usage and charges the difference to what was held. The credential is the one
    /// that reserved; it may have been revoked since, as what was used is owed all the same.
    pub(crate) fn settle(
        &self,
        credential: Result<&[u8], AuthError>,
        id: ReservationId,
        units: u64,
        status: Option<u16>,
    ) -> Result<Settled, Problem> {
        let hash = self.gate().hash(credential)?;
        let status = status.unwrap_or(ASSUMED_STATUS);
        let record = |Reservation { caller, route, admission, .. }: &Reservation| {
            self.gate().record(caller, route, admission, units, status).map(drop)
        };
        let reservation = self.reservations.settle(id, &hash, record).map_err(|error| match error {
            SettleError::Unknown => Problem::new(
                Code::ReservationNotFound,
                "this API key has no such reservation at this gateway; it may have expired, and its units have gone back",
            ),
            SettleError::Settled => Problem::new(
                Code::ReservationSettled,
                "this reservation was settled before; nothing was recorded again",
            ),
            SettleError::Unrecorded(reason) => {
                error!(%reason, "usage of a reservation was not recorded, it stays open");
                gate::unrecorded()
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

    fn gate(&self) -> &Gate {
        self.gateway.gate()
    }

    async fn judge(&self, question: &Question<'_>) -> Result<Allowed, Halt> {
        let now = SystemClock.now();
        // Who asks is another proxy: its address is not the client's, and what it says of that is believed.
        let whence = Whence { address: question.client, failures_most: None };
        let route = match self.route(question.target.as_ref()) {
            Ok(route) if route.public.is_some() => return self.judge_public(question, route),
            found => found,
        };
        let caller = self.gate().identify(question.credential, whence, now)?;
        let route = match route {
            Ok(route) => route,
            Err(problem) => return Err(Box::new(Refusal::of(caller, None, problem)).into()),
        };
        let units = question.units.unwrap_or_else(|| route.units.estimate());
        let outcome = match question.mode {
            Mode::Peek => self.gate().peek(&caller, &route, units, now).await.map(|limits| (limits, None)),
            Mode::Consume => self.consume(&caller, &route, units, now).await.map(|limits| (limits, None)),
            Mode::Reserve => {
                let room = self.reservations.room(&caller).map_err(|reason| Halt::Unanswered(exhausted(reason)))?;
                let hash = self.gate().hash(question.credential).map_err(Halt::Unanswered)?;
                self.gate().admit(&caller, &route, units, now).await.map(|admission| {
                    let limits = self.gate().limits(&caller, &route, now);
                    let (caller, route) = (caller.clone(), Arc::clone(&route));
                    (limits, Some(self.reservations.hold(room, Reservation { caller, hash, route, admission })))
                })
            }
        };
        match outcome {
            Ok((limits, reservation)) => Ok(Allowed { caller: Some(caller), limits, reservation }),
            Err(problem) => Err(Box::new(Refusal::of(caller, Some(route), problem)).into()),
        }
    }

    /// The same for a public route, which asks nobody for a key and costs nothing.
    fn judge_public(&self, question: &Question<'_>, route: Arc<Route>) -> Result<Allowed, Halt> {
        let public = route.public.as_ref().filter(|_| question.mode == Mode::Consume);
        let admitted = public.map(|public| self.gate().admit_public(&route, public, question.client));
        match admitted.transpose() {
            _ if question.mode == Mode::Reserve => Err(Halt::Unanswered(Problem::new(
                Code::InvalidRequest,
                "the route is public and costs nothing: there is nothing to reserve",
            ))),
            Ok(state) => Ok(Allowed { caller: None, limits: LimitStates::of(state.flatten()), reservation: None }),
            Err(problem) => Err(Box::new(Refusal { route: Some(route), ..Refusal::of_nobody(problem) }).into()),
        }
    }

    async fn consume(
        &self,
        caller: &Caller,
        route: &Route,
        units: u64,
        now: common::time::Micros,
    ) -> Result<LimitStates, Problem> {
        let admission = self.gate().admit(caller, route, units, now).await?;
        let billed = self.gate().record(caller, route, &admission, units, ASSUMED_STATUS).map_err(|reason| {
            error!(%reason, "usage was not recorded, the request is denied");
            gate::unrecorded()
        })?;
        let _under_way = admission.settle(billed);
        Ok(self.gate().limits(caller, route, now))
    }

    fn route(&self, target: Option<&Target<'_>>) -> Result<Arc<Route>, Problem> {
        let Some(target) = target else {
            return Ok(Arc::clone(&self.pathless));
        };
        let live = self.gateway.live();
        gate::check_path(target.path.len(), &live.sizes)?;
        let path = target.path.split(['?', '#']).next().unwrap_or_default();
        gate::find_route(&live.table, target.host, path, &target.method).cloned()
    }
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Peek => "peek",
            Self::Reserve => "reserve",
        }
    }
}

fn pathless_route() -> Route {
    Route {
        name: PATHLESS_ROUTE.into(),
        hosts: Vec::new(),
        path_prefix: "/".into(),
        methods: Vec::new(),
        upstream: "".into(),
        meter: REQUESTS_METER.into(),
        units: Units::Fixed(1),
        billable: Billable::default(),
        strip_prefix: false,
        timeout: None,
        body_bytes: None,
        lifecycle: Lifecycle::default(),
        scope: None,
        spellings: crate::route::Spellings::default(),
        limits: Rates::default(),
        public: None,
        cors: None,
    }
}

fn exhausted(reason: NoRoom) -> Problem {
    let detail = match reason {
        NoRoom::Key(open) => format!(
            "this API key has {open} open reservations, which is its share: settle some (setting \
             `decision.reservations_per_key`)"
        ),
        NoRoom::Tenant(open) => format!(
            "this tenant has {open} open reservations, which is its share: settle some (setting \
             `decision.reservations_per_tenant`)"
        ),
        NoRoom::All(open) => {
            format!("all {open} reservations that this gateway keeps are open (setting `decision.reservations`)")
        }
    };
    Problem::new(Code::ReservationsExhausted, detail).retry_after(1)
}

impl From<Box<Refusal>> for Halt {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::Refused(refusal)
    }
}
