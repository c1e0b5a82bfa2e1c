//! The usage of an upgraded connection that is billed by what passes on it.
//!
//! Invariants: a message or a byte goes on only after its units were taken from every quota and
//! recorded. The terms are those in force when it passes: a connection notices a new plan.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use common::{
    key::KeyStatus,
    time::{Clock as _, Micros, SystemClock},
};
use futures_util::future::BoxFuture;
use tracing::error;

use super::End;
use crate::{
    catalog::{Caller, Standing},
    limit::{Denial, DenialReason, Draw},
    meter::units::{ByteCount, FrameCount, FrameMeter, Passed, UnitSource},
    route::{Route, UpgradeCount},
    runtime::Gateway,
};

/// One direction of a WebSocket whose usage is counted.
pub(in crate::proxy) struct MeteredFrames {
    meter: FrameMeter,
    units: ConnectionUnits,
    /// The reason for which nothing passes any more.
    refusal: Option<End>,
}

/// The units that a connection uses: from the caller's quotas into the journal.
struct ConnectionUnits {
    gateway: Arc<Gateway>,
    caller: Caller,
    route: Arc<Route>,
    /// Units that are held, those of the month that ends first.
    draws: VecDeque<Draw>,
    waiting: Option<Waiting>,
}

/// Units that are on their way.
struct Waiting {
    units: u64,
    /// Only locked by its owner: the lock makes it one that threads may share.
    draw: Mutex<BoxFuture<'static, Result<Draw, Denial>>>,
}

impl MeteredFrames {
    /// A direction of which nothing has passed.
    pub(in crate::proxy) fn new(gateway: Arc<Gateway>, caller: Caller, route: Arc<Route>, count: UpgradeCount) -> Self {
        let count = match count {
            UpgradeCount::Messages => FrameCount::Messages,
            UpgradeCount::Bytes { per } => FrameCount::Bytes(ByteCount::new(per)),
        };
        let units = ConnectionUnits { gateway, caller, route, draws: VecDeque::new(), waiting: None };
        Self { meter: FrameMeter::new(count), units, refusal: None }
    }

    /// Takes as many of the bytes as may go on now. Once there are no units for a message, none
    /// passes any more.
    pub(in crate::proxy) fn poll_pass(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<Result<Passed, End>> {
        if let Some(end) = self.refusal {
            return Poll::Ready(Err(end));
        }
        let passed = self.meter.poll_pass(bytes, &mut self.units, context);
        if let Poll::Ready(Err(end)) = &passed {
            self.refusal = Some(*end);
        }
        passed
    }

    /// Waits until it is known of all bytes whether they go on. Returns those that do, and the
    /// reason why others do not.
    pub(in crate::proxy) async fn pass(&mut self, bytes: &Bytes) -> (Bytes, Option<End>) {
        let (mut on, mut rest) = (BytesMut::new(), bytes.clone());
        while !rest.is_empty() {
            let passed = match poll_fn(|context| self.poll_pass(&rest, context)).await {
                Ok(passed) => passed,
                Err(end) => return (on.freeze(), Some(end)),
            };
            if passed.until == bytes.len() && passed.before().is_empty() {
                return (rest, None);
            }
            on.put_slice(passed.before());
            on.put_slice(&rest[..passed.until]);
            rest = rest.split_off(passed.taken);
        }
        (on.freeze(), None)
    }
}

impl ConnectionUnits {
    /// The caller on the terms that are in force now.
    fn caller(&self) -> Result<Caller, End> {
        let key = &self.caller.key;
        if key.status(now()) != KeyStatus::Active {
            return Err(End::Key);
        }
        match key.standing() {
            Standing::Served(tenant) if key.spent_until(&tenant, now()).is_some() => Err(End::Budget),
            Standing::Served(tenant) => Ok(Caller { key: Arc::clone(key), tenant }),
            Standing::Suspended | Standing::Unpaid(_) | Standing::NoPlan | Standing::Deleted => Err(End::Tenant),
        }
    }

    fn keep(&mut self, draw: Draw) {
        let apart = match self.draws.back_mut() {
            Some(last) => last.join(draw).err(),
            None => Some(draw),
        };
        self.draws.extend(apart);
    }

    /// Draws units that have to be waited for.
    fn wait_for(&self, caller: Caller, units: u64) -> Waiting {
        let (gateway, route) = (Arc::clone(&self.gateway), Arc::clone(&self.route));
        let draw = async move {
            let limiter = gateway.admission().limiter();
            limiter.draw(caller.request(&*route, units, now())).await
        };
        Waiting { units, draw: Mutex::new(Box::pin(draw)) }
    }
}

impl UnitSource for ConnectionUnits {
    type Refusal = End;

    fn poll_hold(&mut self, units: u64, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut waiting = self.waiting.take().filter(|waiting| waiting.units == units);
        if waiting.is_none() {
            let caller = match self.caller() {
                Ok(caller) => caller,
                Err(end) => return Poll::Ready(Err(end)),
            };
            let drawn = self.gateway.admission().limiter().try_draw(caller.request(&*self.route, units, now()));
            match drawn {
                Ok(draw) => {
                    self.keep(draw);
                    return Poll::Ready(Ok(()));
                }
                Err(denial) if denial.reason == DenialReason::QuotaUnavailable => {}
                Err(denial) => return Poll::Ready(Err(end_of(&denial))),
            }
            waiting = Some(self.wait_for(caller, units));
        }
        let Some(mut waiting) = waiting else { return Poll::Pending };
        let draw = waiting.draw.get_mut().unwrap_or_else(PoisonError::into_inner);
        match draw.as_mut().poll(context) {
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
            Poll::Ready(Ok(draw)) => {
                self.keep(draw);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(denial)) => Poll::Ready(Err(end_of(&denial))),
        }
    }

    fn record(&mut self, mut units: u64) -> Result<(), End> {
        while let Some(draw) = self.draws.front_mut().filter(|_| units > 0) {
            let part = units.min(draw.left());
            let recorded = self.gateway.admission().record_part(&self.caller, &self.route, draw, part, now());
            let billed = recorded.map_err(|reason| {
                error!(
                    event = "usage_not_recorded",
                    route = &*self.route.name,
                    error = %reason,
                    consequence = "the upgraded connection is closed"
                );
                End::Usage
            })?;
            draw.spend(part, billed);
            units -= part;
            if draw.left() == 0 {
                self.draws.pop_front();
            }
        }
        Ok(())
    }
}

/// The end of a connection for whose messages there are no units.
const fn end_of(denial: &Denial) -> End {
    match denial.reason {
        DenialReason::QuotaExceeded => End::Quota,
        DenialReason::CreditSpent => End::Credit,
        DenialReason::QuotaUnavailable | DenialReason::RateLimited | DenialReason::ConcurrencyLimited => End::Usage,
    }
}

fn now() -> Micros {
    SystemClock.now()
}
