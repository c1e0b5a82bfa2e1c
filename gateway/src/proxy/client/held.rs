//! Bytes to a client that wait until their units are there.
//!
//! Pingora's hook for the body of an answer cannot wait. What it finds out has to be waited for is
//! left with the client, whose stream lets nothing pass until then.

use std::{
    io,
    sync::Mutex,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;

use super::{Client, Ordering};
use crate::{answer::Problem, lock::locked};

/// The condition under which bytes pass.
pub(in crate::proxy) type Condition = BoxFuture<'static, Result<(), Problem>>;

/// The conditions of an answer, and the first that was not met.
#[derive(Default)]
pub(super) struct Held {
    /// Only locked by the request, and by the stream that it is answered on.
    conditions: Mutex<Vec<Condition>>,
    refusal: Mutex<Option<Problem>>,
}

impl Client {
    /// Lets no more bytes pass to the client until the condition is met. If it is not, none passes
    /// any more.
    pub(in crate::proxy) fn hold_until(&self, condition: Condition) {
        locked(&self.held.conditions).push(condition);
        self.is_held.store(true, Ordering::Release);
    }

    /// Forgets what bytes of the last answer waited for.
    pub(super) fn let_pass(&self) {
        if self.is_held.swap(false, Ordering::AcqRel) {
            locked(&self.held.conditions).clear();
            *locked(&self.held.refusal) = None;
        }
    }

    /// Returns the reason for which no more bytes pass.
    pub(in crate::proxy) fn refusal(&self) -> Option<Problem> {
        locked(&self.held.refusal).take()
    }

    /// Ready once bytes pass; an error if none does any more.
    pub(super) fn poll_held(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_held.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let mut conditions = locked(&self.held.conditions);
        while let Some(first) = conditions.first_mut() {
            if let Err(problem) = ready!(first.as_mut().poll(context)) {
                let reason = problem.code().as_str();
                *locked(&self.held.refusal) = Some(problem);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)));
            }
            drop(conditions.remove(0));
        }
        self.is_held.store(false, Ordering::Release);
        Poll::Ready(Ok(()))
    }
}
