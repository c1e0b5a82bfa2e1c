//! Bytes to a client that wait until their units are there.
//!
//! Pingora's hook for the body of an answer cannot wait. What it finds out has to be waited for is
//! left with the client, whose stream lets nothing pass until then.

use std::{
    io,
    sync::{Mutex, atomic::AtomicBool},
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
    /// True once a condition was not met.
    is_refused: AtomicBool,
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
            self.held.is_refused.store(false, Ordering::Release);
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
            let met = ready!(first.as_mut().poll(context));
            drop(conditions.remove(0));
            if let Err(problem) = met {
                conditions.clear();
                self.held.is_refused.store(true, Ordering::Release);
                *locked(&self.held.refusal) = Some(problem);
            }
        }
        if self.held.is_refused.load(Ordering::Acquire) {
            let reason = "the units of the next bytes were refused";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)));
        }
        self.is_held.store(false, Ordering::Release);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        sync::oneshot,
    };

    use super::*;
    use crate::{answer::Code, proxy::client::ClientStream};

    #[tokio::test]
    async fn bytes_pass_once_every_condition_is_met_and_none_after_one_is_not() {
        let (mut client, server) = duplex(1024);
        let mut stream = ClientStream::of(Box::new(server), Arc::default());
        let shared = Arc::clone(stream.client());
        let (meet, condition) = oneshot::channel();
        shared
            .hold_until(Box::pin(async move { condition.await.map_err(|_| Problem::new(Code::Internal, "not met")) }));
        let write = tokio::spawn(async move {
            stream.write_all(b"first").await.unwrap();
            stream
        });
        tokio::task::yield_now().await;
        assert!(!write.is_finished());
        meet.send(()).unwrap();
        let mut stream = write.await.unwrap();
        let mut read = [0; 5];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"first");
        let refused = Problem::new(Code::QuotaExceeded, "spent");
        shared.hold_until(Box::pin(async move { Err(refused) }));
        shared.hold_until(Box::pin(pending()));
        for _ in 0..2 {
            assert_eq!(stream.write(b"second").await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(shared.refusal().map(|problem| problem.code()), Some(Code::QuotaExceeded));
        shared.let_pass();
        assert_eq!(stream.write(b"third").await.unwrap(), 5, "the next request of the connection");
    }
}
