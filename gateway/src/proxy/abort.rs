//! Requests whose client leaves before the answer: what is recorded of them, and how they are
//! counted.
//!
//! Invariant: a request that had gone to the upstream is recorded exactly once, whether its client
//! stays or leaves. One that had not gone there is not recorded.

use common::usage::ABORTED_STATUS;
use pingora_core::{Error, ErrorSource};
use tracing::error;

use super::{Proxy, context::Context, sizes::Sizes};

/// The outcome of a request whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abort {
    /// The request was not complete, so that it ended with its client.
    Incomplete,
    /// The request ended with its client, as its route says.
    Cancelled,
    /// The upstream's answer was waited for, and came.
    Finished,
    /// The answer took too long, or too many bytes.
    CutOff,
    /// The upstream failed.
    Failed,
}

impl Abort {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
            Self::CutOff => "cut_off",
            Self::Failed => "failed",
        }
    }

    /// Returns true if the client's leaving hides the answer that the upstream would have given to
    /// a complete request of a route that finishes its requests.
    const fn is_billed(self) -> bool {
        matches!(self, Self::CutOff)
    }
}

impl Proxy {
    /// Ends a request that failed after its client had left.
    pub(super) fn end_aborted(&self, error: &Error, context: &mut Context) {
        if *error.esource() != ErrorSource::Downstream {
            // What a client that stays would have been told counts as it does for that.
            context.abort = Some(Abort::Failed);
            return;
        }
        let is_exhausted = context.client.as_ref().is_some_and(|client| client.is_exhausted());
        let abort = match (is_exhausted, context.body.is_complete) {
            (true, _) => Abort::CutOff,
            (false, true) => Abort::Cancelled,
            (false, false) => Abort::Incomplete,
        };
        if context.progress.answered {
            context.abort = Some(abort);
        } else {
            self.record_abort(context, abort);
        }
    }

    /// Ends a request whose client has left before the answer. If nobody can know any more what the
    /// upstream would have answered, the units that were set aside are billed.
    pub(super) fn record_abort(&self, context: &mut Context, abort: Abort) {
        context.abort = Some(abort);
        context.status = Some(ABORTED_STATUS);
        let (Some(caller), Some(route)) = (&context.caller, &context.route) else {
            return;
        };
        if context.progress.recorded || !context.progress.dispatched {
            return;
        }
        let Some(admission) = context.admission.take() else {
            return;
        };
        let is_billed = abort.is_billed() && route.billable.covers(ABORTED_STATUS);
        let counted = context.sizes.as_ref().map(Sizes::unrecorded);
        let (units, admissions) = (counted.unwrap_or(route.units.estimate()), self.gateway.admission());
        match admissions.record_as(caller, route, &admission, units, ABORTED_STATUS, is_billed) {
            Ok(billed) => {
                context.progress.recorded = true;
                // Its permit is held until the context is dropped.
                context.permit = Some(admission.settle(billed));
            }
            Err(reason) => {
                error!(event = "usage_not_recorded", request_id = context.request_id, error = %reason);
            }
        }
    }
}
